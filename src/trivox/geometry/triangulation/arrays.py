"""What the kernels read and write: plain arrays with names."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from trivox.geometry.triangulation.compiled import inlined

Array = np.ndarray[Any, Any]


class CameraArrays(NamedTuple):
    """C rigs of V cameras as plain float64 arrays."""

    P: Array  # (C, V, 3, 4) undistorted homogeneous pixels of world points
    K: Array  # (C, V, 2, 3) pixels of normalised points
    K_inverse: Array  # (C, V, 2, 2) of the left part of K
    R: Array  # (C, V, 3, 3)
    t_mm: Array  # (C, V, 3)
    lens: Array  # (C, V, 24) see distortion.lens_rows
    centre_mm: Array  # (C, V, 3)
    spread: Array  # (C, V) place of each camera in farthest-point order
    has_lens: bool


class Settings(NamedTuple):
    """How joints are triangulated; thresholds and noise in pixels of the given pictures."""

    search: bool = False  # keep only the views of the best pair's consensus
    refine: bool = False  # minimise the reprojection error
    given: bool = False  # refine the points and inliers that the results hold already, instead of triangulating anew
    homogeneous: bool = False  # the eigenvector in place of the least squares, where nothing is refined
    threshold_px: float = 0.0
    huber_px: float = 0.0
    noise_px: float = 1.0


class Results(NamedTuple):
    """The fields of `Triangulated` for B frames of J joints, filled in place."""

    points_mm: Array  # (B, J, 3)
    valid: Array  # (B, J)
    confidence: Array  # (B, J)
    inliers: Array  # (B, V, J)
    reprojection_px: Array  # (B, V, J)
    covariance_mm2: Array  # (B, J, 3, 3)


class Scratch(NamedTuple):
    """What is known of the joint at hand, per view."""

    usable: Array  # (V)
    used: Array  # (V)
    trial: Array  # (V)
    chosen: Array  # (V) indices of the views whose pairs are tried
    observed: Array  # (V, 2) pixel of the picture
    weight: Array  # (V)
    normal: Array  # (V, 10) the view's two rows, squared: upper triangle of 4x4
    side: Array  # (V) sign of the depth
    slope: Array  # (2, 3) picture pixels per mm
    sums: Array  # (16) cost, gradient (3), Newton's matrix (6), its positive bound (6)
    best_sums: Array  # (16) the same at the best point so far
    system: Array  # (10)


def scratch(views: int) -> Scratch:
    """Room for one thread's joint at hand."""
    flags = np.zeros((3, views), np.bool_)
    return Scratch(
        *flags,
        chosen=np.zeros(views, np.int64),
        observed=np.zeros((views, 2)),
        weight=np.zeros(views),
        normal=np.zeros((views, 10)),
        side=np.zeros(views),
        slope=np.zeros((2, 3)),
        sums=np.zeros(16),
        best_sums=np.zeros(16),
        system=np.zeros(10),
    )


@inlined
def copy(source, target):
    for i in range(len(source)):
        target[i] = source[i]


@inlined
def clear(target):
    for i in range(len(target)):
        target[i] = 0


@inlined
def count(flags):
    number = 0
    for flag in flags:
        number += flag
    return number
