"""What a skeleton is drawn with: a ball, and a stick along y from 0 to 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

_AROUND, _UP = 12, 8


@dataclass(frozen=True)
class Shape:
    """A closed mesh; triangles run anticlockwise seen from outside."""

    points: Float[np.ndarray, "N 3"]
    normals: Float[np.ndarray, "N 3"]
    triangles: Int[np.ndarray, "T 3"]


def ball(radius: float) -> Shape:
    """A sphere around the origin."""
    heights = np.linspace(-np.pi / 2, np.pi / 2, _UP + 1)
    normals = _rings(np.cos(heights), np.sin(heights))
    return Shape(radius * normals, normals, _skin(_UP))


def stick(radius: float) -> Shape:
    """A cylinder of length 1 that narrows towards its end, so that one sees which joint carries it."""
    narrow = 0.5 * radius
    points = _rings(np.array([0, radius, narrow, 0]), np.array([0.0, 0.0, 1.0, 1.0]))
    normals = _rings(np.array([0.7, 1.0, 1.0, 0.7]), np.array([-0.7, 0.0, 0.0, 0.7]))
    return Shape(points, normals / np.linalg.norm(normals, axis=-1, keepdims=True), _skin(3))


def _rings(radii: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Circles about y, closed by a last point on the first: (rings * (around + 1), 3)."""
    angles = np.linspace(0, 2 * np.pi, _AROUND + 1)
    x, z = np.outer(radii, np.sin(angles)), np.outer(radii, np.cos(angles))
    return np.stack([x, np.repeat(heights[:, None], _AROUND + 1, 1), z], -1).reshape(-1, 3)


def _skin(bands: int) -> np.ndarray:
    """Triangles between rings."""
    ring, place = (index.ravel() for index in np.indices((bands, _AROUND)))
    corner = ring * (_AROUND + 1) + place
    right, above = corner + 1, corner + _AROUND + 1
    return np.concatenate([np.stack([corner, right, above], -1), np.stack([right, above + 1, above], -1)])
