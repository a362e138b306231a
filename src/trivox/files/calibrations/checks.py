"""What makes a set of cameras possible at all; every calibration, whatever its format, passes here.

Small rounding is accepted and kept as it is (files with four or six decimals are common); a matrix that is no
rotation, a picture without focal length or two cameras of one name are not.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from trivox.errors import InputError
from trivox.files.calibrations.records import FileCamera, FileRig

ROTATION_TOLERANCE = 1e-3
_SMALLEST_FOCAL_PX = 1e-2
_LARGEST_SIDE_PX = 10**6


def check_cameras(rig: FileRig, where: str) -> None:
    """Raise `InputError` that names the file (`where`), the camera, and what is wrong with it."""
    if not rig.cameras:
        raise InputError(f"{where}: no cameras in it; give a calibration with at least one")
    names = Counter(camera.name for camera in (*rig.cameras, *rig.uncalibrated))
    for camera in rig.cameras:
        if names[camera.name] > 1:
            raise InputError(f"{where}: two cameras are called {camera.name[:80]!r}; rename one")
        said = _name_fault(camera.name) or _number_fault(camera)
        said = said or _matrix_fault(camera.K) or rotation_fault(camera.R) or _size_fault(camera.image_hw)
        if said:
            raise InputError(f"{where}, camera {camera.name[:80]!r}: {said}")


def _name_fault(name: str) -> str | None:
    # Names become parts of file names in result folders.
    if not name.strip() or len(name) > 200 or name in (".", ".."):
        return "this is no usable camera name; rename it"
    if any(char in '/\\:*?"<>|' or not char.isprintable() for char in name):
        return 'a camera name must not contain / \\ : * ? " < > | or unprintable characters; rename it'
    return None


def _number_fault(camera: FileCamera) -> str | None:
    numbers = {"K": camera.K, "R": camera.R, "t": camera.t, "the lens": camera.lens.terms}
    for key, values in numbers.items():
        if not np.isfinite(values).all():
            return f"{key} holds a number that is infinite or none at all; calibrate again"
    return None


def _matrix_fault(K: NDArray[np.float64]) -> str | None:
    if not np.allclose(K[2], (0, 0, 1), atol=1e-9) or abs(K[1, 0]) > 1e-9:
        return "K is not of the form [[fx, skew, cx], [0, fy, cy], [0, 0, 1]]; calibrate again"
    if min(K[0, 0], K[1, 1]) < _SMALLEST_FOCAL_PX:
        return f"focal lengths {K[0, 0]:g} and {K[1, 1]:g} px are not positive; calibrate again"
    return None


def rotation_fault(R: NDArray[np.float64]) -> str | None:
    """Why a 3x3 matrix is no rotation, or None."""
    error = float(np.abs(R @ R.T - np.eye(3)).max())
    if error > ROTATION_TOLERANCE:
        return f"R is not a rotation (R R^T differs from identity by {error:.2g}); calibrate again"
    if np.linalg.det(R) < 0:
        return "R is a mirror image, not a rotation (its determinant is -1); swap an axis or calibrate again"
    return None


def _size_fault(image_hw: tuple[int, int] | None) -> str | None:
    if image_hw is not None and not (min(image_hw) > 0 and max(image_hw) < _LARGEST_SIDE_PX):
        return f"a picture of {image_hw[1]} x {image_hw[0]} pixels is impossible; correct the image size"
    return None
