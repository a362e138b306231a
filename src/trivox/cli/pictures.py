"""trivox draw and report: results as pictures, films and a page of plots."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import OmitArgPrefixes, Positional, arg

from trivox.cli.options import Names, Units, one_of, unset
from trivox.cli.predict import ImageFit, Method

ShownLayer = Literal["pose", "detections", "reprojection", "truth", "heatmaps", "volumes"]


@dataclass(frozen=True, kw_only=True)
class OfAModel:
    """What a model sees (with --show heatmaps, volumes)."""

    method: Annotated[Method | None, unset(one_of(Method))] = None
    """A model that comes along (algebraic, volumetric), or that of --weights."""
    weights: Annotated[str | None, unset("FILE")] = None
    """Model file."""


@dataclass(frozen=True, kw_only=True)
class OverVideos:
    """Where people and their videos come from; a result folder knows."""

    rig: Annotated[Path | None, unset("RIG")] = None
    """Calibration file, for a file of poses."""
    videos: Annotated[tuple[Path, ...], unset("VIDEO [VIDEO ...]")] = ()
    """Where the videos are, if not where the result found them."""
    cameras: Names = ()
    """Camera names in the order of --videos, where the file names do not tell."""
    image_fit: Annotated[ImageFit | None, unset(one_of(ImageFit))] = None
    """How pictures of another size than calibrated sit in the calibrated frame."""
    truth: Annotated[Path | None, unset("FILE")] = None
    """File of true poses, to draw beside."""


@dataclass(frozen=True, kw_only=True)
class OverDataset:
    """What the rows of a results.pkl belong to."""

    labels: Annotated[Path | None, unset("CONFIG|DIR|FILE")] = None
    """The published system's config (.yaml) of the run, which tells all; or a dataset whose test was predicted."""
    pictures: Annotated[Path | None, unset("DIR")] = None
    """Folder with the pictures of a label table (.npy)."""
    recordings: Names = ()
    """Recordings that were predicted, by name, in place of the test."""
    units: Units = None
    """Unit of the results, mm unless given."""


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
    width: Annotated[int, arg(metavar="PIXELS")] = 1920
    """Width of the mosaic."""
    model: OmitArgPrefixes[OfAModel] = OfAModel()
    footage: OmitArgPrefixes[OverVideos] = OverVideos()
    dataset: OmitArgPrefixes[OverDataset] = OverDataset()

    def run(self) -> None:
        from trivox.evaluation_inputs import Rows
        from trivox.files.calibrations import load_rig
        from trivox.view.draw import draw

        footage, dataset = self.footage, self.dataset
        try:
            count = draw(
                self.result,
                **{name: getattr(self, name) for name in ("out", "frames", "show", "width")},
                **vars(self.model),
                **{**vars(footage), "rig": None if footage.rig is None else load_rig(footage.rig)},
                **{name: getattr(dataset, name) for name in ("labels", "pictures", "units")},
                rows=Rows(recordings=dataset.recordings),
            )
        except KeyboardInterrupt as stop:
            raise KeyboardInterrupt(_what_is_left(self.out)) from stop
        print(f"drew {count} frame{'s' * (count != 1)} into {self.out}")


def _what_is_left(out: Path) -> str:
    if out.is_dir():
        return f"stopped; pictures that are done are in {out}, which is not written over: remove it to begin again"
    return f"stopped; nothing was written to {out}"


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
