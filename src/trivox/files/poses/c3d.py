"""C3D, the binary format of motion capture (c3d.org): markers in millimetres, Z up, all people in one file.

Points are labelled by joint, of several people `p0:left_hip`, `p1:left_hip`, as Vicon prefixes subjects. A missing
joint has residual -1 and coordinates 0, by the C3D user guide; any other has residual 0. Frames have a steady rate and
count from 1: frame f of the video is C3D's frame f + 1, in `TRIAL:ACTUAL_START_FIELD` too, which counts past the 65535
of the header. The numbers are float32. Kept are points, frames and the rate; not confidence, bones or covariance.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np

from trivox.base.atomic import atomic_write
from trivox.errors import InputError
from trivox.files.npz import to_numpy
from trivox.files.poses.timeline import steady
from trivox.geometry.axes import turned_if_known
from trivox.geometry.poses import Poses

_MOST_IN_HEADER = 65535
_MOST_FRAMES = 2**31 - 1
_BYTES_OF_A_POINT = 16


def save_c3d(poses: Poses, path: Path) -> None:
    """Write all people, turned so that `poses.up` becomes Z. Raises `InputError`, also where ezc3d is missing."""
    try:
        import ezc3d
    except ImportError as error:
        raise InputError(f"{path} is C3D, which needs ezc3d; run: pip install 'trivox[export]'") from error
    poses = steady(turned_if_known(poses, (0.0, 0.0, 1.0)), path, from_zero=True)
    start, end = int(poses.frames[0]) + 1, int(poses.frames[-1]) + 1
    if end > _MOST_FRAMES:
        raise InputError(f"{path}: frame {end} is beyond what C3D can count; choose another format")
    file = ezc3d.c3d()
    file["header"]["points"]["first_frame"] = start - 1 if end <= _MOST_IN_HEADER else 0
    file["parameters"]["POINT"]["RATE"]["value"] = [poses.fps]
    file["parameters"]["POINT"]["UNITS"]["value"] = ["mm"]
    file["parameters"]["POINT"]["LABELS"]["value"] = labels(poses)
    file.add_parameter("POINT", "X_SCREEN", ["+X"])
    file.add_parameter("POINT", "Y_SCREEN", ["+Z"])
    for name, number in (("ACTUAL_START_FIELD", start), ("ACTUAL_END_FIELD", end)):
        file.add_parameter("TRIAL", name, _words(number))
        file["parameters"]["TRIAL"][name]["type"] = ezc3d.ezc3d.INT  # it would make them floats
    valid = to_numpy(poses.valid.flatten(1).T)
    file["data"]["points"] = _homogeneous(to_numpy(poses.points_mm.flatten(1, 2).permute(2, 1, 0)), valid)
    file["data"]["meta_points"]["residuals"] = np.where(valid, 0.0, -1.0)[None]
    with atomic_write(path) as temporary:
        temporary.touch()  # the system says why a place cannot be written; ezc3d does not
        try:
            file.write(str(temporary))
        except RuntimeError as error:
            raise OSError(str(error)) from error
        _check_written(temporary, valid.size)


def labels(poses: Poses) -> list[str]:
    """Names of the points, people after each other."""
    people = poses.points_mm.shape[1]
    return [name if people == 1 else f"p{p}:{name}" for p in range(people) for name in poses.skeleton.names]


def _words(number: int) -> list[int]:
    """A number as two words of 16 bits, the low one first, as signed integers."""
    return np.array([number & 0xFFFF, number >> 16], dtype=np.uint16).astype(np.int16).tolist()


def _homogeneous(points: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Coordinates (3, N, F) as ezc3d takes them: (4, N, F), the last one 1."""
    return np.concatenate([np.where(valid, points, 0), np.ones((1, *valid.shape))])


def _check_written(temporary: Path, points: int) -> None:
    """ezc3d does not look whether its bytes reached the disk."""
    if temporary.stat().st_size < _BYTES_OF_A_POINT * points:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
