"""trivox draw and report: results as pictures, films and a page of plots."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from trivox.cli.options import Names, Skeleton, Units, one_of, unset
from trivox.cli.predict import ImageFit, Method

ShownLayer = Literal["pose", "detections", "reprojection", "truth", "heatmaps", "volumes"]


@dataclass(frozen=True, kw_only=True)
class Draw:
    """Draw what was found over its pictures: mosaic, film, or all of them."""

    result: Annotated[Positional[Path], arg(metavar="RESULT")]
    """Result folder, file of poses (with --rig and --videos), or results.pkl (with --labels)."""
    out: Annotated[Path, arg(metavar="FILE|DIR")]
    """Film (.mp4) of mosaics, one mosaic (.jpg, .png), or folder for CAMERA/FRAME.jpg."""
    frames: Annotated[str | None, unset("FIRST:BEFORE:STEP")] = None
    """Frames to draw: 40, 0:100, 0:100:2; all unless given, one good one for a picture."""
    show: Annotated[tuple[ShownLayer, ...], unset(f"{one_of(ShownLayer)} [...]")] = ()
    """What to draw; unless given all that needs no model."""
    truth: Annotated[Path | None, unset("FILE")] = None
    """File of true poses, to draw beside."""
    method: Annotated[Method | None, unset(one_of(Method))] = None
    """Whose heatmaps and volumes to show: a model that comes along (algebraic, volumetric), or that of --weights."""
    weights: Annotated[str | None, unset("FILE")] = None
    """Model whose heatmaps and volumes to show."""
    videos: Annotated[tuple[Path, ...], unset("VIDEO [VIDEO ...]")] = ()
    """Where the videos are, if not where the result found them."""
    cameras: Names = ()
    """Camera names in the order of --videos, where the file names do not tell."""
    rig: Annotated[Path | None, unset("RIG")] = None
    """Calibration file, for a file of poses."""
    image_fit: Annotated[ImageFit | None, unset(one_of(ImageFit))] = None
    """How pictures of another size than calibrated sit in the calibrated frame."""
    labels: Annotated[Path | None, unset("DIR|FILE")] = None
    """Dataset of a results.pkl: as for trivox evaluate, or the published system's config (.yaml) of the run."""
    pictures: Annotated[Path | None, unset("DIR")] = None
    """Folder with the pictures of a label table (.npy)."""
    part: Annotated[Literal["train", "test", "both"], unset("{train,test,both}")] = "test"
    """Rows of the labels that were predicted."""
    every: Annotated[int, arg(metavar="N")] = 1
    """Of the test every n-th row was predicted."""
    damaged: Literal["with", "without"] = "with"
    """Whether rows with broken truth were predicted."""
    split: Annotated[Path | None, unset("YAML")] = None
    """File that splits frames into parts, in place of the dataset's own parts."""
    recordings: Names = ()
    """Recordings that were predicted, by name, in place of a part."""
    units: Units = None
    """Unit of a results.pkl, mm unless given."""
    skeleton: Skeleton = None
    """Joints of a results.pkl, where their number does not tell."""
    width: Annotated[int, arg(metavar="PIXELS")] = 1920
    """Width of the mosaic."""

    def run(self) -> None:
        from trivox.evaluation_inputs import Rows
        from trivox.files.calibrations import load_rig
        from trivox.view.draw import draw

        names = ("out", "frames", "show", "truth", "method", "weights", "videos", "image_fit")
        names += ("labels", "pictures", "units", "skeleton", "width")
        rows = Rows(self.part, self.split, self.damaged, self.every, self.recordings)
        count = draw(
            self.result,
            rig=None if self.rig is None else load_rig(self.rig),
            cameras=self.cameras or None,
            rows=None if rows == Rows() else rows,
            **{name: getattr(self, name) for name in names},
        )
        print(f"drew {count} frame{'s' * (count != 1)} into {self.out}")


@dataclass(frozen=True, kw_only=True)
class MakeReport:
    """Write a page that says how good a result is, and what to do next."""

    result: Annotated[Positional[Path], arg(metavar="RESULT")]
    """Result folder of predict or triangulate."""
    out: Annotated[Path, arg(metavar="FILE.html")] = Path("report.html")
    """Page to write."""
    truth: Annotated[Path | None, unset("FILE")] = None
    """File of true poses: errors are then part of the page."""

    def run(self) -> None:
        from trivox.view.report import write_report

        judged = write_report(self.result, self.out, truth=self.truth)
        print(judged.sentence)
        for step in judged.next_steps:
            print(f"- {step}")
        print(f"report in {self.out}: open it in a browser")
