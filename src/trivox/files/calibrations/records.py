"""What a calibration file says, between its text and a `Rig`.

A reader fills a `FileRig` with the file's own numbers: translations in the file's unit, principal points with
the file's pixel origin. `conversion.py` turns it into a `Rig` and back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trivox.files.calibrations.documents import Document
from trivox.files.calibrations.lenses import FileLens
from trivox.geometry.distortion import DistortionModel
from trivox.geometry.rig import camera_name

Units = Literal["mm", "cm", "m"]
UpAxis = Literal["x", "-x", "y", "-y", "z", "-z"]

MM_PER_UNIT: dict[str, float] = {"mm": 1.0, "cm": 10.0, "m": 1000.0}
AXES: dict[str, tuple[float, float, float]] = {
    "x": (1.0, 0.0, 0.0),
    "-x": (-1.0, 0.0, 0.0),
    "y": (0.0, 1.0, 0.0),
    "-y": (0.0, -1.0, 0.0),
    "z": (0.0, 0.0, 1.0),
    "-z": (0.0, 0.0, -1.0),
}


@dataclass(frozen=True)
class FileCamera:
    """One camera as in its file: `x_cam = R x_world + t`, t in the file's unit."""

    name: str
    K: NDArray[np.float64]
    R: NDArray[np.float64]
    t: NDArray[np.float64]
    lens: FileLens
    image_hw: tuple[int, int] | None = None
    quarter_turns: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", camera_name(self.name))


NO_POSE = "has intrinsics only, no pose"
NO_LENS = "has no intrinsics"
ZERO_ROTATION = "has a rotation of zeros only, which is no pose"


@dataclass(frozen=True)
class Uncalibrated:
    """A camera that its file names without saying all that a camera needs; `lacks` continues "camera NAME ..."."""

    name: str
    lacks: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", camera_name(self.name))


@dataclass(frozen=True)
class FileRig:
    """All cameras of a file and what the file, or the habit of its format, says about them.

    units          of t; None where neither file nor format says.
    units_written  the file itself states them, so that a caller may not overrule them.
    up             unit vector, None where neither file nor format says.
    habit          whose habit units and up are, where neither the file nor the definition of its format says.
    first_pixel    coordinate of the centre of the top-left pixel: 0 in most formats, 0.5 in ours.
    uncalibrated   further cameras of the file, which cannot be used.
    at_zero        a camera that stands in the middle of the world and is not the first, which would define it.
    """

    cameras: tuple[FileCamera, ...]
    units: Units | None
    units_written: bool = False
    up: tuple[float, float, float] | None = None
    first_pixel: float = 0.0
    habit: str | None = None
    uncalibrated: tuple[Uncalibrated, ...] = ()
    at_zero: str | None = None

    @classmethod
    def of(
        cls,
        found: Iterable[FileCamera | Uncalibrated],
        units: Units | None,
        *,
        units_written: bool = False,
        up: tuple[float, float, float] | None = None,
        habit: str | None = None,
        unposed_R: NDArray[np.float64] | None = None,
    ) -> FileRig:
        """The rig of all that a file names. Programs that know no pose yet write zeros for it: one camera may define
        the world, but where several have no rotation and no translation, none of these was placed. `unposed_R` is the
        rotation that this makes, where it is not the identity."""
        found = tuple(_with_rotation(camera) for camera in found)
        cameras = [camera for camera in found if isinstance(camera, FileCamera)]
        none = np.eye(3) if unposed_R is None else unposed_R
        at_zero = [camera for camera in cameras if np.array_equal(camera.R, none) and not camera.t.any()]
        unplaced = [Uncalibrated(camera.name, NO_POSE) for camera in at_zero] if len(at_zero) > 1 else []
        return cls(
            tuple(camera for camera in cameras if not unplaced or all(camera is not other for other in at_zero)),
            units,
            units_written,
            up,
            habit=habit,
            uncalibrated=(*(camera for camera in found if isinstance(camera, Uncalibrated)), *unplaced),
            at_zero=at_zero[0].name if len(at_zero) == 1 and at_zero[0] is not cameras[0] else None,
        )


def _with_rotation(camera: FileCamera | Uncalibrated) -> FileCamera | Uncalibrated:
    without = isinstance(camera, FileCamera) and not camera.R.any()
    return Uncalibrated(camera.name, ZERO_ROTATION) if without else camera


@dataclass(frozen=True)
class Format:
    """A file format: how to know, read and write it, and what its files can say (see `refuse_unsayable`).

    lens_models are those that its files can name, and most_terms how many terms of OpenCV's (or Human3.6M's) lens they
    hold. units is what its files are written in unless told otherwise (`other_units`: may be told). up is the axis
    its files imply; None means they imply none.
    """

    name: str
    title: str
    recognises: Callable[[Document], bool]
    read: Callable[[Document], FileRig]
    write: Callable[[FileRig, Path], dict[Path, str]]
    units: Units
    other_units: bool = False
    up: tuple[float, float, float] | None = None
    needs_size: bool = False
    keeps_turns: bool = False
    keeps_skew: bool = True
    lens_models: tuple[DistortionModel, ...] = ("opencv",)
    most_terms: int = 14
    first_pixel: float = 0.0
