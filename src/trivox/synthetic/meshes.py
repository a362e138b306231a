"""The mesh that is drawn: Anny's, with its long triangles split, so that clothes can fold."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from trivox.synthetic.bodies import PHENOTYPES, Body, shaped_body, template
from trivox.synthetic.raster import rasterise
from trivox.synthetic.rotations import frame

LONGEST_EDGE_MM = 26.0


@dataclass(frozen=True)
class FineMesh:
    """N vertices, each the mean of two of the body's own (often one twice), and M triangles."""

    first: np.ndarray  # (N,) int64
    second: np.ndarray  # (N,)
    faces: np.ndarray  # (M, 3) int32
    bone_index: np.ndarray  # (N, K)
    bone_weight: np.ndarray  # (N, K) float32
    main_bone: np.ndarray  # (N,)

    def vertices_of(self, body: Body) -> np.ndarray:
        """The mesh at rest (N, 3), mm."""
        return (body.vertices_mm[self.first] + body.vertices_mm[self.second]) / 2


@cache
def fine_mesh() -> FineMesh:
    """Split once for all bodies, by the edge lengths of the average one."""
    shared = template()
    rest = shaped_body(dict.fromkeys(PHENOTYPES, 0.5)).vertices_mm
    faces = shared.faces.astype(np.int64)
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), 1)
    pairs, inverse = np.unique(edges, axis=0, return_inverse=True)
    long = np.linalg.norm(rest[pairs[:, 0]] - rest[pairs[:, 1]], axis=1) > LONGEST_EDGE_MM
    count = len(rest)
    middle = np.where(long, count + np.cumsum(long) - 1, -1)[inverse.reshape(-1, 3)]
    own = np.arange(count)
    first, second = np.concatenate([own, pairs[long, 0]]), np.concatenate([own, pairs[long, 1]])
    points = (rest[first] + rest[second]) / 2
    split = _split(faces, middle)
    dense = np.zeros((count, len(shared.bones)), np.float32)
    np.put_along_axis(dense, shared.bone_index.astype(np.int64), shared.bone_weight, 1)
    mixed = (dense[first] + dense[second]) / 2
    order = np.argsort(-mixed, axis=1, kind="stable")[:, :6]
    weight = np.take_along_axis(mixed, order, 1)
    return FineMesh(
        first,
        second,
        split[_seen_from_outside(points, split)],
        order.astype(np.int32),
        weight / weight.sum(1, keepdims=True),
        order[:, 0],
    )


def _seen_from_outside(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Which triangles show from any side: the mouth's inside and the backs of the eyes need not be drawn (M,) bool."""
    seen = np.zeros(len(faces), bool)
    number = np.arange(60)
    height, around = 1 - 2 * (number + 0.5) / 60, number * 2.399963
    flat = np.sqrt(1 - height**2)
    cells = 1400
    for direction in np.stack([flat * np.cos(around), flat * np.sin(around), height], 1):
        R = frame(direction, np.array([1.0, 0.02, 0.01])).T
        turned = (points - points.mean(0)) @ R.T
        screen = np.empty((len(points), 3), np.float32)
        screen[:, :2] = turned[:, :2] * (cells / 2300.0) + cells / 2
        screen[:, 2] = 1 / (turned[:, 2] + 4000.0)
        ids, depth = np.full((cells, cells), -1, np.int32), np.zeros((cells, cells), np.float32)
        everything = np.ones(len(faces), bool)
        rasterise(screen, faces, everything, np.full(2, 0.5, np.float32), 0, depth, ids)
        seen[ids[ids >= 0]] = True
    return seen


def _split(faces: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Triangles whose edges (0-1, 1-2, 2-0) have a vertex in the middle (or -1) become 1, 2, 3 or 4."""
    # Turn every triangle so that the split edges come first, in a row.
    split = middle >= 0
    number = split.sum(1)
    turn = np.zeros(len(faces), np.int64)
    turn[(number == 1) & split[:, 1]] = 1
    turn[(number == 1) & split[:, 2]] = 2
    turn[(number == 2) & ~split[:, 0]] = 1
    turn[(number == 2) & ~split[:, 1]] = 2
    order = (np.arange(3) + turn[:, None]) % 3
    (a, b, c) = np.take_along_axis(faces, order, 1).T
    (ab, bc, ca) = np.take_along_axis(middle, order, 1).T
    none, one, two, three = (number == n for n in range(4))
    parts = [
        np.stack([a, b, c], 1)[none],
        *(np.stack(corners, 1)[one] for corners in ((a, ab, c), (ab, b, c))),
        *(np.stack(corners, 1)[two] for corners in ((a, ab, c), (ab, b, bc), (ab, bc, c))),
        *(np.stack(corners, 1)[three] for corners in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))),
    ]
    return np.concatenate(parts).astype(np.int32)
