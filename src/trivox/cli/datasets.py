"""trivox prepare and trivox dataset: datasets made of raw downloads, and looked through."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg, subcommand

from trivox.cli.options import Names, unset

if TYPE_CHECKING:
    from trivox.data.labels import Labels


@dataclass(frozen=True, kw_only=True)
class PrepareDataset:
    """What both datasets share."""

    raw: Annotated[Positional[Path], arg(metavar="RAW")]
    """Folder of the downloads, unpacked."""
    out: Annotated[Path, arg(metavar="DIR")]
    """Folder for pictures and labels.json."""
    undistort: bool = False
    """Also write pictures with the lens undone."""
    published_labels: bool = False
    """Also write the label file (.npy) that the published system reads."""


@dataclass(frozen=True, kw_only=True)
class PrepareHuman36m(PrepareDataset):
    """Human3.6M: pictures from the videos, boxes from the masks, 3D from the CDF or h5 files."""

    cameras: Annotated[Path | None, unset("FILE")] = None
    """Camera parameters: the published JSON or a metadata.xml; else the metadata.xml in RAW."""
    subjects: Annotated[tuple[str, ...], unset("S [S ...]")] = ()
    """Only these of the seven subjects."""
    boxes: Annotated[Literal["masks", "joints"] | Path, arg(metavar="{masks,joints}|TABLE")] = "masks"
    """Of the ground-truth masks, around the projected joints, or of a table (.npy)."""
    every: Annotated[int, arg(metavar="N")] = 5
    """Take every N-th frame of the 50 Hz videos."""
    skip_missing: bool = False
    """Go on without files that are missing."""

    def run(self) -> None:
        from trivox.prepare import prepare_human36m

        options = {field.name: getattr(self, field.name) for field in fields(self)}
        _print_labels(prepare_human36m(options.pop("raw"), options.pop("out"), **options), self.out)


@dataclass(frozen=True, kw_only=True)
class PreparePanoptic(PrepareDataset):
    """CMU Panoptic: the official tree with videos or images; several people, each with box and identity."""

    kind: Literal["hd", "vga"] = "hd"
    """HD or VGA cameras, which have poses of their own."""
    sequences: Names = ()
    """Only these sequences."""
    cameras: Names = ()
    """Only these cameras (00_03)."""
    ignore_cameras: Names = ()
    """Not these cameras."""
    boxes: Annotated[Literal["joints", "detector"] | Path, arg(metavar="{joints,detector}|TABLE")] = "joints"
    """Around the projected joints, of the bundled detector, or of a table (.npy) or folder of detections."""
    every: Annotated[int, arg(metavar="N")] = 1
    """Take every N-th of the frames that have poses and pictures."""

    def run(self) -> None:
        from trivox.prepare import prepare_panoptic

        options = {field.name: getattr(self, field.name) for field in fields(self)}
        _print_labels(prepare_panoptic(options.pop("raw"), options.pop("out"), **options), self.out)


@dataclass(frozen=True)
class Prepare:
    """Make a dataset ready: pictures and labels from a raw download."""

    command: Annotated[PrepareHuman36m, subcommand("human36m")] | Annotated[PreparePanoptic, subcommand("panoptic")]

    def run(self) -> None:
        self.command.run()


def _print_labels(labels: Labels, out: Path) -> None:
    views = int(labels.present.sum())
    recordings = len(set(labels.recording.tolist()))
    print(
        f"{labels.name}: {len(labels)} poses in {recordings} recordings, {views} views of "
        f"{len(labels.camera_names)} cameras; labels in {out / 'labels.json'} and {out / 'labels.npz'}"
    )


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Tell what a dataset holds and what is wrong with it (then: exit code 1)."""

    action: Annotated[Positional[Literal["check"]], arg(metavar="check")]
    """What to do."""
    dataset: Annotated[Positional[Path], arg(metavar="DIR|FILE")]
    """Folder of scenes (docs/own-data.md), of trivox prepare, or a label table."""
    out: Annotated[Path | None, unset("PICTURE")] = None
    """Picture (.jpg, .png) to draw: one instant in all cameras, with truth and boxes."""
    recording: Annotated[str | None, unset("NAME")] = None
    """Scene or recording to draw; the best seen unless given."""
    frame: Annotated[int | None, unset("NUMBER")] = None
    """Frame to draw; the best seen unless given."""
    pictures: Annotated[Path | None, unset("DIR")] = None
    """Folder with the pictures of a label table (.npy) of the published system."""

    def run(self) -> None:
        from trivox.dataset_check import check_dataset

        names = ("pictures", "out", "recording", "frame")
        report = check_dataset(self.dataset, **{name: getattr(self, name) for name in names})
        for line in (*report.facts, *([report.drawn] if report.drawn else [])):
            print(line)
        for kind, sentences in (("fault", report.findings.faults), ("remark", report.findings.remarks)):
            for sentence in sentences:
                print(f"{kind}: {sentence}")
        if report.findings.faults:
            sys.exit(1)
        print(f"{self.dataset}: no faults found" + ("" if self.out else "; --out PICTURE draws the truth to look at"))
