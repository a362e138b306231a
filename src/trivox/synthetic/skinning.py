"""Linear blend skinning: a dressed mesh follows its bones, and its normals with it."""

from __future__ import annotations

import numpy as np

from trivox.geometry.triangulation.compiled import compiled
from trivox.synthetic.bodies import Body


def bone_heads_mm(body: Body, turns: np.ndarray, root_mm: np.ndarray) -> np.ndarray:
    """Where each bone begins (..., B, 3) when bone b is turned by `turns[..., b]` (world, from rest)."""
    parents, rest = body.template.parents, body.bone_heads_mm
    heads = np.empty((*turns.shape[:-2], 3))
    heads[..., 0, :] = root_mm
    for bone in range(1, len(parents)):
        parent = parents[bone]
        offset = turns[..., parent, :, :] @ (rest[bone] - rest[parent])
        heads[..., bone, :] = heads[..., parent, :] + offset
    return heads


@compiled
def skin(vertices, normals, bone_index, bone_weight, turns, rest_heads, heads, out, out_normals):
    """Posed vertices and unit normals: v' = sum_b w_b (turn_b (v - rest_head_b) + head_b)."""
    for n in range(vertices.shape[0]):
        x = y = z = nx = ny = nz = 0.0
        for k in range(bone_index.shape[1]):
            w = bone_weight[n, k]
            if w <= 0.0:
                break
            b = bone_index[n, k]
            dx = vertices[n, 0] - rest_heads[b, 0]
            dy = vertices[n, 1] - rest_heads[b, 1]
            dz = vertices[n, 2] - rest_heads[b, 2]
            x += w * (turns[b, 0, 0] * dx + turns[b, 0, 1] * dy + turns[b, 0, 2] * dz + heads[b, 0])
            y += w * (turns[b, 1, 0] * dx + turns[b, 1, 1] * dy + turns[b, 1, 2] * dz + heads[b, 1])
            z += w * (turns[b, 2, 0] * dx + turns[b, 2, 1] * dy + turns[b, 2, 2] * dz + heads[b, 2])
            mx, my, mz = normals[n, 0], normals[n, 1], normals[n, 2]
            nx += w * (turns[b, 0, 0] * mx + turns[b, 0, 1] * my + turns[b, 0, 2] * mz)
            ny += w * (turns[b, 1, 0] * mx + turns[b, 1, 1] * my + turns[b, 1, 2] * mz)
            nz += w * (turns[b, 2, 0] * mx + turns[b, 2, 1] * my + turns[b, 2, 2] * mz)
        out[n, 0], out[n, 1], out[n, 2] = x, y, z
        length = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-12
        out_normals[n, 0], out_normals[n, 1], out_normals[n, 2] = nx / length, ny / length, nz / length


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals (N, 3): the area-weighted mean of the adjacent triangles'."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    total = np.zeros_like(vertices)
    for k in range(3):
        for axis in range(3):
            total[:, axis] += np.bincount(faces[:, k], normal[:, axis], len(vertices))
    return total / (np.linalg.norm(total, axis=1, keepdims=True) + 1e-12)
