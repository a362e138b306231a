"""The z-buffer for moving meshes: which triangle does each sample of each pixel see?

A pixel has S samples on a rotated grid. Each sample looks at its own instant within the exposure, so that one pass
gives smooth edges and motion blur together. Depth is kept as 1 / z in the camera (larger is nearer), which is linear on
the picture plane. The lens is exact at every vertex; triangles are a few pixels large at most.
"""

from __future__ import annotations

import numpy as np

from trivox.geometry.triangulation.compiled import compiled, inlined
from trivox.geometry.triangulation.lens_kernel import distorted

# Four samples on a rotated grid: every row and column of a quarter pixel is hit once.
SAMPLES = np.array([[0.375, 0.125], [0.875, 0.375], [0.125, 0.625], [0.625, 0.875]], np.float32)
# Nearer than this a triangle would reach behind the camera.
NEAREST_MM = 80.0


@compiled
def project(points_mm, R, t_mm, K, lens, out):
    """x, y in pixels (corner origin) and 1 / depth of each point; 0 where it is not in front of the camera."""
    for n in range(points_mm.shape[0]):
        X, Y, Z = points_mm[n, 0], points_mm[n, 1], points_mm[n, 2]
        z = R[2, 0] * X + R[2, 1] * Y + R[2, 2] * Z + t_mm[2]
        if z < NEAREST_MM:
            out[n, 2] = 0.0
            continue
        x = (R[0, 0] * X + R[0, 1] * Y + R[0, 2] * Z + t_mm[0]) / z
        y = (R[1, 0] * X + R[1, 1] * Y + R[1, 2] * Z + t_mm[1]) / z
        u, v, _, _, _, _ = distorted(x, y, lens)
        out[n, 0] = K[0, 0] * u + K[0, 1] * v + K[0, 2]
        out[n, 1] = K[1, 1] * v + K[1, 2]
        out[n, 2] = 1.0 / z


@inlined
def corners(points, faces, f, ox, oy):
    """x, y of a triangle's corners seen from a sample's place in the pixel, and twice its area.

    The area is negative where the front is seen, and 0 where a corner is behind the camera.
    """
    i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
    x0, y0 = points[i, 0] - ox, points[i, 1] - oy
    x1, y1 = points[j, 0] - ox, points[j, 1] - oy
    x2, y2 = points[k, 0] - ox, points[k, 1] - oy
    area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
    in_front = points[i, 2] > 0.0 and points[j, 2] > 0.0 and points[k, 2] > 0.0
    return x0, y0, x1, y1, x2, y2, area if in_front else 0.0


@inlined
def span(a, b, c, size):
    """First and last whole number between the least and the most of three that is a row or column of the picture."""
    return max(0, int(np.ceil(min(a, b, c)))), min(size - 1, int(np.floor(max(a, b, c))))


@inlined
def shares(x, y, x0, y0, x1, y1, x2, y2, inverse):
    """Barycentric shares of the first two corners at a pixel; `inverse` of twice the area."""
    a = ((x1 - x) * (y2 - y) - (x2 - x) * (y1 - y)) * inverse
    b = ((x2 - x) * (y0 - y) - (x0 - x) * (y2 - y)) * inverse
    return a, b


@compiled
def rasterise(points, faces, two_sided, offset, first_id, depth, ids):
    """Draw triangles (points: x, y, 1/z) into `depth` and `ids` (h, w), sampled at pixel + offset.

    Backs are drawn of triangles that are `two_sided` only.
    """
    h, w = depth.shape
    for f in range(faces.shape[0]):
        x0, y0, x1, y1, x2, y2, area = corners(points, faces, f, offset[0], offset[1])
        if area == 0.0 or (area > 0.0 and not two_sided[f]):
            continue
        left, right = span(x0, x1, x2, w)
        if left > right:
            continue
        top, bottom = span(y0, y1, y2, h)
        qi, qj, qk = points[faces[f, 0], 2], points[faces[f, 1], 2], points[faces[f, 2], 2]
        inverse = 1.0 / area
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                a, b = shares(x, y, x0, y0, x1, y1, x2, y2, inverse)
                c = 1.0 - a - b
                if a < 0.0 or b < 0.0 or c < 0.0:
                    continue
                q = a * qi + b * qj + c * qk
                if q > depth[y, x]:
                    depth[y, x] = q
                    ids[y, x] = first_id + f
