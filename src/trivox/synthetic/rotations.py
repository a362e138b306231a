"""Rotation matrices over leading axes: about an axis, between two, from a direction and a side."""

from __future__ import annotations

import numpy as np


def about(axis: str, angle: np.ndarray | float) -> np.ndarray:
    """Turn (..., 3, 3) about "x", "y" or "z" by angles in radians."""
    angle = np.asarray(angle, np.float64)
    i = "xyz".index(axis)
    j, k = (i + 1) % 3, (i + 2) % 3
    turn = np.zeros((*angle.shape, 3, 3))
    turn[..., i, i] = 1.0
    turn[..., j, j] = turn[..., k, k] = np.cos(angle)
    turn[..., k, j] = np.sin(angle)
    turn[..., j, k] = -turn[..., k, j]
    return turn


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def frame(along: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Columns x, y, z: z along the first direction, x as near to the second as can be."""
    z = unit(along)
    x = unit(side - z * (side * z).sum(-1, keepdims=True))
    return np.stack([x, np.cross(z, x), z], -1)


def blended(first: np.ndarray, second: np.ndarray, share: np.ndarray | float) -> np.ndarray:
    """The turn a share of the way from one rotation to another, the short way (slerp)."""
    between = np.swapaxes(first, -1, -2) @ second
    cosine = np.clip((np.trace(between, axis1=-2, axis2=-1) - 1) / 2, -1, 1)
    angle = np.arccos(cosine)
    skew = (between - np.swapaxes(between, -1, -2)) / np.maximum(2 * np.sin(angle), 1e-9)[..., None, None]
    angle = (angle * share)[..., None, None]
    return first @ (np.eye(3) + np.sin(angle) * skew + (1 - np.cos(angle)) * skew @ skew)


def shortest(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The smallest rotation that takes one unit vector to the other."""
    axis = np.cross(source, target)
    cosine = (source * target).sum(-1)[..., None, None]
    zero = np.zeros_like(axis[..., 0])
    x, y, z = axis[..., 0], axis[..., 1], axis[..., 2]
    skew = np.stack([np.stack([zero, -z, y], -1), np.stack([z, zero, -x], -1), np.stack([-y, x, zero], -1)], -2)
    return np.eye(3) + skew + skew @ skew / np.maximum(1 + cosine, 1e-6)
