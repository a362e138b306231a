"""Bones that keep their length: joints are drawn towards the lengths of the whole recording, as far as either is known.

Each bone's length is the median over the recording. How much it truly varies (shoulders slide, a trunk bends, hips of a
detector move with the pose) is its spread less what the joints' own uncertainty explains: a rigid shank pulls, a
supple trunk does not. Each instant is then the most likely pose under the joints' covariances and these lengths:
Gauss-Newton, all instants at once.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

_STEPS = 3
# No bone is known better than this: truth itself is not rigid.
_LEAST_SPREAD_MM = 10.0
_FEWEST = 10
# Median absolute deviation -> standard deviation of a normal distribution.
_OF_MAD = 1.4826


def steady_bones(
    points_mm: Float[np.ndarray, "F P J 3"],
    covariance_mm2: Float[np.ndarray, "F P J 3 3"],
    known: Bool[np.ndarray, "F P J"],
    bones: Int[np.ndarray, "B 2"],
) -> Float[np.ndarray, "F P J 3"]:
    """The joints with steadier bones; those that are not `known` stay, and hold no bone."""
    if len(bones) == 0 or len(points_mm) == 0:
        return points_mm
    both = known[:, :, bones[:, 0]] & known[:, :, bones[:, 1]]
    length_mm, spread_mm = lengths(points_mm, covariance_mm2, both, bones)
    pull = both / spread_mm**2
    eye = np.eye(3)
    precision = np.where(
        known[..., None, None], np.linalg.inv(np.where(known[..., None, None], covariance_mm2, eye)), eye
    )
    at = points_mm
    for _ in range(_STEPS):
        at = at + _step(at, points_mm, precision, bones, length_mm, pull)
    return np.where(known[..., None], at, points_mm)


def bone_misfit(
    points_mm: Float[np.ndarray, "F P J 3"],
    covariance_mm2: Float[np.ndarray, "F P J 3 3"],
    known: Bool[np.ndarray, "F P J"],
    bones: Int[np.ndarray, "B 2"],
) -> Float[np.ndarray, "F P J"]:
    """How far the lengths of a joint's bones are from their medians, in standard deviations; the worst of its bones."""
    worst = np.zeros(known.shape)
    if len(bones) == 0 or len(points_mm) == 0:
        return worst
    both = known[:, :, bones[:, 0]] & known[:, :, bones[:, 1]]
    length_mm, spread_mm = lengths(points_mm, covariance_mm2, both, bones)
    along, now_mm = _along(points_mm, bones)
    variance_mm2 = _explained_mm2(along, covariance_mm2, bones) + spread_mm**2
    misfit = np.where(both, np.abs(now_mm - length_mm) / np.sqrt(variance_mm2), 0)
    for end in bones.T:
        np.maximum.at(np.moveaxis(worst, 2, 0), end, np.moveaxis(misfit, 2, 0))
    return worst


def lengths(
    points_mm: np.ndarray, covariance_mm2: np.ndarray, both: np.ndarray, bones: np.ndarray
) -> tuple[Float[np.ndarray, "P B"], Float[np.ndarray, "P B"]]:
    """Length of each person's bones, and its spread beyond what the uncertainty of the joints explains.

    A bone that is seen in too few instants has an infinite spread.
    """
    along, length_mm = _along(points_mm, bones)
    explained_mm2 = _explained_mm2(along, covariance_mm2, bones)
    enough = both.sum(0) >= _FEWEST
    seen = both | ~enough  # no median of nothing
    typical_mm = _median(length_mm, seen)
    spread_mm = _OF_MAD * _median(np.abs(length_mm - typical_mm), seen)
    true_mm2 = spread_mm**2 - _median(explained_mm2, seen)
    spread_mm = np.sqrt(np.maximum(true_mm2, _LEAST_SPREAD_MM**2))
    return typical_mm, np.where(enough, spread_mm, np.inf)


def _median(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    return np.nanmedian(np.where(seen, values, np.nan), axis=0)


def _along(points_mm: np.ndarray, bones: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Direction (F, P, B, 3) from parent to child and length (F, P, B)."""
    vector = points_mm[:, :, bones[:, 1]] - points_mm[:, :, bones[:, 0]]
    length = np.linalg.norm(vector, axis=-1)
    return vector / np.maximum(length, 1e-9)[..., None], length


def _explained_mm2(along: np.ndarray, covariance_mm2: np.ndarray, bones: np.ndarray) -> np.ndarray:
    """Variance (F, P, B) of the lengths that comes from the uncertainty of the joints."""
    doubt = covariance_mm2[:, :, bones[:, 0]] + covariance_mm2[:, :, bones[:, 1]]
    return np.einsum("fpbi,fpbij,fpbj->fpb", along, doubt, along)


def _step(
    at: np.ndarray,
    smooth_mm: np.ndarray,
    precision: np.ndarray,
    bones: np.ndarray,
    length_mm: np.ndarray,
    pull: np.ndarray,
) -> np.ndarray:
    """Gauss-Newton: joints stay where smoothing has them, bones get their lengths."""
    frames, people, joints, _ = at.shape
    along, now_mm = _along(at, bones)
    ends = np.zeros((len(bones), joints))
    ends[np.arange(len(bones)), bones[:, 1]] = 1
    ends[np.arange(len(bones)), bones[:, 0]] = -1
    slope = (ends[:, :, None] * along[..., None, :]).reshape(frames, people, len(bones), joints * 3)
    normal = np.einsum("fpbi,fpb,fpbj->fpij", slope, pull, slope, optimize=True)
    blocks, own = normal.reshape(frames, people, joints, 3, joints, 3), np.arange(joints)
    blocks[:, :, own, :, own] += np.moveaxis(precision, 2, 0)
    normal = blocks.reshape(normal.shape)
    right = -np.einsum("fpbi,fpb,fpb->fpi", slope, pull, now_mm - length_mm, optimize=True)
    right += (precision @ (smooth_mm - at)[..., None])[..., 0].reshape(frames, people, joints * 3)
    return np.linalg.solve(normal, right[..., None])[..., 0].reshape(at.shape)
