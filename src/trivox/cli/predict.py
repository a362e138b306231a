"""trivox predict, triangulate and demo: people in 3D, out of videos, 2D keypoints, or the scene that comes along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from trivox.cli.options import Names, Skeleton, WithRig, one_of, unset
from trivox.errors import InputError

Method = Literal["ransac", "linear", "algebraic", "volumetric"]
ImageFit = Literal["scale", "left", "center", "right"]


@dataclass(frozen=True, kw_only=True)
class People(WithRig):
    """What `predict` and `triangulate` share."""

    out: Annotated[Path, arg(metavar="DIR")]
    """Folder for the results."""
    people: Annotated[int, arg(metavar="N")] = 1
    """How many people to follow: those seen by the most views, then the largest, come first."""
    smooth: bool = False
    """Smooth the joints over time and fill short gaps; poses_raw.npz keeps those before."""
    cameras: Names = ()
    """Camera names in the order of the files, where the file names do not tell; comes after the files."""

    def check_files(self, files: Sequence[Path]) -> None:
        if self.cameras and not files:
            raise InputError(
                f"--cameras takes every word after it, here {len(self.cameras)}, so that no file is left; "
                "put it after the files"
            )


@dataclass(frozen=True, kw_only=True)
class Predict(People):
    """Synchronized videos or image folders of a rig in, 3D joints in millimetres out."""

    videos: Annotated[Positional[tuple[Path, ...]], unset("VIDEO [VIDEO ...]")]
    """One video or image folder per camera, named like the cameras."""
    method: Annotated[Method | None, unset(one_of(Method))] = None
    """The models that come along (volumetric, the default; algebraic); without a model, and faster, robust over all
    pairs of views (ransac) or weighted by score (linear); or that of --weights."""
    weights: Annotated[str | None, unset("FILE")] = None
    """Model that gives the joints: a file of `trivox weights import` or save_model, or the name of one that comes
    along."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """In which the model computes; bfloat16 is faster where the machine has it."""
    skeleton: Skeleton = None
    """Joints to give; coco17 unless given, or those of --weights."""
    image_fit: Annotated[ImageFit | None, unset(one_of(ImageFit))] = None
    """How pictures of another size than calibrated sit in the calibrated frame; up to 16 pixels are fitted by the
    people seen, unless it is given."""
    fps: Annotated[float | None, unset("RATE")] = None
    """Frame rate of image folders; videos tell their own."""

    def run(self) -> None:
        from trivox.predict import predict

        self.check_files(self.videos)
        predict(
            self.load_rig(),
            self.videos,
            out=self.out,
            cameras=self.cameras or None,
            method=self.method,
            weights=self.weights,
            people=self.people,
            skeleton=self.skeleton,
            image_fit=self.image_fit,
            fps=self.fps,
            precision=self.precision,
            smooth=self.smooth,
        )
        _print_result(self.out)


@dataclass(frozen=True, kw_only=True)
class Triangulate(People):
    """2D keypoints in (OpenPose, MMPose, AlphaPose, DeepLabCut, ...), 3D joints out."""

    keypoints: Annotated[Positional[tuple[Path, ...]], unset("KEYPOINTS [KEYPOINTS ...]")]
    """One keypoint file or folder per camera, named like the cameras."""
    method: Literal["ransac", "linear"] = "ransac"
    """Robust over all pairs of views, or linear weighted by score; both refined."""
    skeleton: Skeleton = None
    """Joints of the files, where they do not name them."""
    fps: Annotated[float | None, unset("RATE")] = None
    """Frame rate, for the times in the exports (30 unless given)."""

    def run(self) -> None:
        from trivox.triangulate_files import triangulate_files

        self.check_files(self.keypoints)
        triangulate_files(
            self.load_rig(),
            self.keypoints,
            out=self.out,
            cameras=self.cameras or None,
            method=self.method,
            people=self.people,
            skeleton=self.skeleton,
            fps=self.fps,
            smooth=self.smooth,
        )
        _print_result(self.out)


@dataclass(frozen=True)
class Smooth:
    """A result in, the same people smoothed over time out, short gaps filled (docs/smoothing.md)."""

    result: Annotated[Positional[Path], arg(metavar="RESULT")]
    """Result folder of predict or triangulate."""
    out: Annotated[Path, arg(metavar="DIR")]
    """Folder for the smoothed result; RESULT stays as it is."""
    longest_gap_s: Annotated[float, arg(metavar="SECONDS")] = 0.25
    """Gaps up to here are filled; such joints have the confidence 0."""

    def run(self) -> None:
        from trivox.smooth import smooth_result

        smooth_result(self.result, self.out, longest_gap_s=self.longest_gap_s)
        _print_result(self.out)


@dataclass(frozen=True)
class Demo:
    """Run all on a small rendered scene that comes along; compare with its truth."""

    out: Path = Path("trivox-demo")
    """Folder for the results."""

    def run(self) -> None:
        from trivox.demo import run_demo

        score = run_demo(self.out)
        _print_result(self.out)
        print(
            f"compared with the exact truth of the rendered scene: mean {score.mean_mm:.1f} mm, median "
            f"{score.median_mm:.1f} mm over all joints (limbs: mean {score.limb_mean_mm:.1f} mm)"
        )


def _print_result(out: Path) -> None:
    from trivox.files.results import entries_of, load_summary
    from trivox.summary import read_summary, summary_table

    print(summary_table(read_summary(load_summary(out), out / "summary.json")))
    poses = [name for name in entries_of(out) if name.startswith("poses")]
    print(f"results in {out}: 3D in {', '.join(poses)}; 2D in keypoints/; rig.toml, summary.json, job.json")
