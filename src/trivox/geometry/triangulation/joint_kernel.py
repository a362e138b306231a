"""Triangulation of one joint after another, as machine code: load, search, solve, refine, measure.

Everything that runs without gradient on the CPU runs here, in float64. The differentiable versions of the
same formulas are in `linear.py`, `residuals.py` and `refinement.py`; the tests hold both against a plain
loop.
"""

from __future__ import annotations

from trivox.geometry.triangulation.algebra_kernel import smallest_eigenvector, solve_positive
from trivox.geometry.triangulation.arrays import clear, copy, count
from trivox.geometry.triangulation.camera_kernel import project, undistorted_pixel
from trivox.geometry.triangulation.compiled import compiled, inlined
from trivox.geometry.triangulation.limits import LARGEST_PX, LARGEST_WEIGHT, SMALLEST_WEIGHT
from trivox.geometry.triangulation.linear_kernel import least_squares_point, rays_meet, sum_system
from trivox.geometry.triangulation.refine_kernel import refine_point
from trivox.geometry.triangulation.search_kernel import search_pairs


@inlined
def _load(points_px, weights, cameras, b, c, j, s):
    """Read one joint: which views can be used, their rays as undistorted pixels, and their rows squared."""
    for v in range(len(s.usable)):
        x, y, w = points_px[b, v, j, 0], points_px[b, v, j, 1], weights[b, v, j]
        # Written so that NaN is refused.
        s.usable[v] = abs(x) <= LARGEST_PX and abs(y) <= LARGEST_PX and SMALLEST_WEIGHT <= w <= LARGEST_WEIGHT
        if not s.usable[v]:
            continue
        s.observed[v, 0], s.observed[v, 1], s.weight[v] = x, y, w
        if cameras.has_lens:
            x, y = undistorted_pixel(x, y, cameras, c, v)
        _square_rows(x, y, cameras.P[c, v], s.normal[v])


@inlined
def _square_rows(x, y, P, normal):
    """a a^T + b b^T of the rows a = x P[2] - P[0], b = y P[2] - P[1]: upper triangle."""
    a0, a1 = x * P[2, 0] - P[0, 0], x * P[2, 1] - P[0, 1]
    a2, a3 = x * P[2, 2] - P[0, 2], x * P[2, 3] - P[0, 3]
    b0, b1 = y * P[2, 0] - P[1, 0], y * P[2, 1] - P[1, 1]
    b2, b3 = y * P[2, 2] - P[1, 2], y * P[2, 3] - P[1, 3]
    normal[0], normal[1] = a0 * a0 + b0 * b0, a0 * a1 + b0 * b1
    normal[2], normal[3] = a0 * a2 + b0 * b2, a0 * a3 + b0 * b3
    normal[4], normal[5], normal[6] = a1 * a1 + b1 * b1, a1 * a2 + b1 * b2, a1 * a3 + b1 * b3
    normal[7], normal[8], normal[9] = a2 * a2 + b2 * b2, a2 * a3 + b2 * b3, a3 * a3 + b3 * b3


@inlined
def _measure(x, y, z, cameras, b, c, j, noise2, s, out):
    """Fill in a valid joint: residuals of all usable views, trust and covariance from the used ones."""
    total = s.sums
    clear(total)
    weight, number = 0.0, 0
    for v in range(len(s.usable)):
        out.inliers[b, v, j] = s.used[v]
        if not s.usable[v]:
            continue
        px, py, _ = project(x, y, z, cameras, c, v, s.slope)
        rx, ry = px - s.observed[v, 0], py - s.observed[v, 1]
        out.reprojection_px[b, v, j] = (rx * rx + ry * ry) ** 0.5
        if s.used[v]:
            weight += s.weight[v]
            number += 1
            place = 0
            for i in range(3):
                for k in range(i, 3):
                    square = s.slope[0, i] * s.slope[0, k] + s.slope[1, i] * s.slope[1, k]
                    total[place] += s.weight[v] ** 2 * square
                    place += 1
    out.points_mm[b, j, 0], out.points_mm[b, j, 1], out.points_mm[b, j, 2] = x, y, z
    out.valid[b, j] = True
    out.confidence[b, j] = weight / number
    for i in range(3):
        right = (1.0 * (i == 0), 1.0 * (i == 1), 1.0 * (i == 2))
        column = solve_positive(total[0], total[1], total[2], total[3], total[4], total[5], *right)
        for k in range(3):
            out.covariance_mm2[b, j, k, i] = noise2 * column[k] if column[3] > 0.0 else 0.0


@inlined
def _take(b, j, s, out):
    """The given point with its inliers, taken out of the results."""
    for v in range(len(s.used)):
        s.used[v] = s.usable[v] and out.inliers[b, v, j]
        out.inliers[b, v, j] = False
    fine, x, y, z = out.valid[b, j], out.points_mm[b, j, 0], out.points_mm[b, j, 1], out.points_mm[b, j, 2]
    out.valid[b, j] = False
    for i in range(3):
        out.points_mm[b, j, i] = 0.0
    return fine, x, y, z


@compiled
def triangulate_joints(points_px, weights, cameras, start, end, settings, s, out):
    """Joints `start` to `end` of the B J joints of `points_px` (B, V, J, 2), into `out`, full of zeros.

    `settings` are those of arrays.py.
    """
    search, refine, given, homogeneous = settings.search, settings.refine, settings.given, settings.homogeneous
    threshold2, huber_px = settings.threshold_px * settings.threshold_px, settings.huber_px
    noise2 = settings.noise_px * settings.noise_px
    joints = points_px.shape[2]
    for n in range(start, end):
        b, j = n // joints, n % joints
        c = b if len(cameras.P) > 1 else 0
        _load(points_px, weights, cameras, b, c, j, s)
        fine, x, y, z = True, 0.0, 0.0, 0.0
        if given:
            fine, x, y, z = _take(b, j, s, out)
        elif search:
            search_pairs(cameras, c, threshold2, s)
        else:
            copy(s.usable, s.used)
        fine = fine and count(s.used) >= 2
        if fine and not given:
            sum_system(s)
            if homogeneous and not refine:
                fine, x, y, z = smallest_eigenvector(s.system)
            else:
                fine, x, y, z = least_squares_point(s.system)
        if fine and refine:
            x, y, z = refine_point(x, y, z, cameras, c, huber_px, s)
        if fine and rays_meet(x, y, z, cameras, c, s.used):
            _measure(x, y, z, cameras, b, c, j, noise2, s, out)
