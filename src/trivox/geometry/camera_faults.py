"""What makes a camera possible at all, as a sentence where it is not: for files, and for arrays of callers.

Small rounding is accepted (numbers with four or six decimals are common); a matrix that is no rotation, or a picture
without focal length, is not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_ROTATION_TOLERANCE = 1e-3
_SMALLEST_FOCAL_PX = 1e-2
_LARGEST_SIDE_PX = 10**6


def number_fault(name: str, values: NDArray[np.float64]) -> str | None:
    """Why some of these are no numbers, or None; here and below."""
    if not np.isfinite(values).all():
        return f"{name} holds a number that is infinite or none at all; calibrate again"
    return None


def matrix_fault(K: NDArray[np.float64]) -> str | None:
    """Why a 3x3 matrix is no K."""
    if not np.allclose(K[2], (0, 0, 1), atol=1e-9) or abs(K[1, 0]) > 1e-9:
        return "K is not of the form [[fx, skew, cx], [0, fy, cy], [0, 0, 1]]; calibrate again"
    if min(K[0, 0], K[1, 1]) < _SMALLEST_FOCAL_PX:
        return f"focal lengths {K[0, 0]:g} and {K[1, 1]:g} px are not positive; calibrate again"
    return None


def rotation_fault(R: NDArray[np.float64]) -> str | None:
    """Why a 3x3 matrix is no rotation."""
    error = float(np.abs(R @ R.T - np.eye(3)).max())
    if error > _ROTATION_TOLERANCE:
        return f"R is not a rotation (R R^T differs from identity by {error:.2g}); calibrate again"
    if np.linalg.det(R) < 0:
        return "R is a mirror image, not a rotation (its determinant is -1); swap an axis or calibrate again"
    return None


def size_fault(image_hw: Sequence[float]) -> str | None:
    """Why no picture has this (height, width)."""
    if not (min(image_hw) > 0 and max(image_hw) < _LARGEST_SIDE_PX):
        return f"a picture of {image_hw[1]:.0f} x {image_hw[0]:.0f} pixels is impossible; correct the image size"
    return None
