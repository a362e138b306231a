"""The mesh that is drawn: Anny's, with its long triangles split, so that clothes can fold."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from trivox.synthetic.bodies import PHENOTYPES, Body, shaped_body, template

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
    dense = np.zeros((count, len(shared.bones)), np.float32)
    np.put_along_axis(dense, shared.bone_index.astype(np.int64), shared.bone_weight, 1)
    mixed = (dense[first] + dense[second]) / 2
    order = np.argsort(-mixed, axis=1, kind="stable")[:, :6]
    weight = np.take_along_axis(mixed, order, 1)
    return FineMesh(
        first,
        second,
        _split(faces, middle),
        order.astype(np.int32),
        weight / weight.sum(1, keepdims=True),
        order[:, 0],
    )


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
