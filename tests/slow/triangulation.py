"""Triangulation of one joint as plainly as possible: numpy's SVD, a loop over pairs, SciPy's minimiser.

The slow twin of trivox.geometry.triangulation, and the plain loop that benchmarks/triangulation.py times.
`observed` are pixels of the picture, `pixels` the same without the lens.
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import least_squares

from trivox.geometry.cameras import Cameras
from trivox.geometry.distortion import turning_radius_squared


class Lenses(NamedTuple):
    """V cameras in numpy."""

    K: np.ndarray
    R: np.ndarray
    t_mm: np.ndarray
    distortion: np.ndarray
    tangential: float
    turning: np.ndarray


def plain(cameras: Cameras) -> Lenses:
    """The same cameras without torch."""
    turning = np.full(len(cameras.K), np.inf)
    if cameras.has_distortion:
        turning = turning_radius_squared(cameras.distortion, cameras.distortion_model).numpy()
    tangential = {"opencv": 2.0, "human36m": 1.0}[str(cameras.distortion_model)]
    K, R, t_mm = cameras.K.numpy(), cameras.R.numpy(), cameras.t_mm.numpy()
    return Lenses(K, R, t_mm, cameras.distortion.numpy(), tangential, turning)


def project(point: np.ndarray, lenses: Lenses) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (V, 2) of one point, lens included, and its depths (V)."""
    x, y, depth = (lenses.R @ point + lenses.t_mm).T
    x, y = x / depth, y / depth
    k1, k2, p1, p2, k3 = lenses.distortion.T
    r2 = x * x + y * y
    s = np.minimum(r2, lenses.turning)
    gain = 1 + k1 * s + k2 * s**2 + k3 * s**3 + lenses.tangential * (p2 * x + p1 * y)
    bent = np.stack([x * gain + r2 * p2, y * gain + r2 * p1, np.ones_like(x)], axis=-1)
    return (lenses.K @ bent[:, :, None])[:, :2, 0], depth


def rows_of(pixels: np.ndarray, P: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Two equations per view, times its weight: (2 V, 4)."""
    first = pixels[:, :1] * P[:, 2] - P[:, 0]
    second = pixels[:, 1:] * P[:, 2] - P[:, 1]
    return np.concatenate([first * weights[:, None], second * weights[:, None]])


def linear_point(pixels: np.ndarray, P: np.ndarray, weights: np.ndarray, *, homogeneous: bool = False) -> np.ndarray:
    """The point of the least squares; or the right singular vector of the smallest singular value, as a point."""
    if not homogeneous:
        rows = rows_of(pixels, P, weights)
        return np.linalg.lstsq(rows[:, :3], -rows[:, 3], rcond=None)[0]
    vector = np.linalg.svd(rows_of(pixels, P, weights))[2][-1]
    return vector[:3] / vector[3]


def search_pairs(
    observed: np.ndarray, pixels: np.ndarray, cameras: Cameras, weights: np.ndarray, threshold_px: float
) -> np.ndarray:
    """Which views agree with the point of the best pair (V): all pairs, rules as in ransac.py."""
    P, lenses = cameras.pixel_from_world.numpy(), plain(cameras)
    best, best_key = np.zeros(len(P), dtype=bool), (False, 0.0, -np.inf)
    for pair in map(list, combinations(np.flatnonzero(weights > 0), 2)):
        point = linear_point(pixels[pair], P[pair], np.ones(2))
        projected, depth = project(point, lenses)
        miss = np.linalg.norm(projected - observed, axis=-1)
        miss[(weights <= 0) | (depth <= 0)] = np.inf
        agree = miss < threshold_px
        if not agree[pair].all():
            continue
        close = bool((miss[pair] < threshold_px / 2).all())
        key = (close, float(weights[agree].sum()), -float(((weights[agree] * miss[agree]) ** 2).sum()))
        if key > best_key:
            best, best_key = agree, key
    return best


def roots_of_cost(
    point: np.ndarray, observed: np.ndarray, lenses: Lenses, weights: np.ndarray, huber_px: float
) -> np.ndarray:
    """One number per view whose squares add up to the robust cost, through lens and all."""
    distance = np.linalg.norm(project(point, lenses)[0] - observed, axis=-1)
    beyond = 2 * huber_px * distance - huber_px**2
    return weights * np.sqrt(np.where(distance <= huber_px, distance**2, beyond))


def refined_point(
    start: np.ndarray, observed: np.ndarray, cameras: Cameras, weights: np.ndarray, huber_px: float
) -> np.ndarray:
    """Least robust reprojection error over the views with weight, from `start`."""
    given = (observed, plain(cameras), weights, huber_px)
    return least_squares(roots_of_cost, start, args=given, xtol=1e-12, ftol=1e-12, gtol=1e-12, x_scale=100.0).x


def triangulate_joint(
    observed: np.ndarray,
    cameras: Cameras,
    weights: np.ndarray,
    *,
    threshold_px: float | None = None,
    huber_px: float | None = None,
    homogeneous: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """One joint seen by V cameras: its point and the views used. No outlier search without a threshold, no
    refinement without a Huber scale. NaN where fewer than two views are left.
    """
    usable = np.isfinite(observed).all(-1) & (weights > 0)
    observed, weights = np.where(usable[:, None], observed, 0.0), np.where(usable, weights, 0.0)
    pixels = cameras.undistorted_points(torch.from_numpy(observed)[:, None])[:, 0].numpy()
    P = cameras.pixel_from_world.numpy()
    used = usable
    if threshold_px is not None:
        used = search_pairs(observed, pixels, cameras, weights, threshold_px)
    if used.sum() < 2:
        return np.full(3, np.nan), used
    kept = np.where(used, weights, 0.0)
    point = linear_point(pixels, P, kept, homogeneous=homogeneous)
    if huber_px is not None:
        point = refined_point(point, observed, cameras, kept, huber_px)
    return point, used
