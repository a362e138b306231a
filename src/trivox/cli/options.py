"""Options that several commands share, and how they are written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from tyro.conf import Positional, arg

if TYPE_CHECKING:
    from trivox.geometry.rig import Rig


def unset(metavar: str) -> Any:
    """An option that has no value unless given; its help says so by saying nothing."""
    return arg(metavar=metavar, help_behavior_hint="")


def one_of(words: object) -> str:
    """The words of a `Literal`, as the help lists choices."""
    return f"{{{','.join(get_args(words))}}}"


SkeletonName = Literal[
    "coco17", "h36m17", "mpii16", "panoptic19", "body25b", "body25", "coco18", "mmpose_h36m17", "mpi3dhp17"
]
Axis = Literal["x", "-x", "y", "-y", "z", "-z"]

# Options that nobody has to give.
Skeleton = Annotated[SkeletonName | None, unset(one_of(SkeletonName))]
Up = Annotated[Axis | None, unset(one_of(Axis))]
Units = Annotated[Literal["mm", "cm", "m"] | None, unset("{mm,cm,m}")]
Names = Annotated[tuple[str, ...], unset("NAME [NAME ...]")]


@dataclass(frozen=True, kw_only=True)
class WithRig:
    """Commands that begin with a calibration, and options for what its file does not say."""

    rig: Annotated[Positional[Path], arg(metavar="RIG")]
    """Calibration file (formats: docs/formats.md)."""
    units: Units = None
    """Unit of the calibration's lengths, where its format does not tell."""
    up: Up = None
    """World axis that points up, where the format does not tell."""
    image_size: Annotated[tuple[int, int] | None, unset("HEIGHT WIDTH")] = None
    """Size of the calibrated pictures in pixels, where the format does not tell."""
    subject: Annotated[str | None, unset("NAME")] = None
    """Whose cameras to take, for a calibration of several subjects (Human3.6M)."""

    def load_rig(self) -> Rig:
        from trivox.files.calibrations import load_rig

        return load_rig(self.rig, units=self.units, up=self.up, image_size=self.image_size, subject=self.subject)
