"""The smallest robust reprojection error of one joint, as machine code (the cost is in refinement.py)."""

from __future__ import annotations

import numpy as np

from trivox.geometry.triangulation.algebra_kernel import solve_positive
from trivox.geometry.triangulation.arrays import clear, copy
from trivox.geometry.triangulation.camera_kernel import project
from trivox.geometry.triangulation.compiled import inlined

# Nearly all points need less than ten; where residuals sit on the edge of Huber's core, steps are taken back often.
_STEPS = 1000
_CONVERGED_MM = 1e-8
_LARGEST_DAMPING = 1e12
# Near the minimum the cost changes by less than it is rounded; the step still knows the way.
_ROUNDING = 1.0 + 1e-14


@inlined
def _sum_cost(x, y, z, cameras, c, huber_px, first, s):
    """Robust cost at a point into `sums`; infinite across a camera's plane, where projection turns over.

    The Huber cost of a residual r beyond the threshold h is 2 h |r| - h^2. Its own second derivative is
    (h/|r|) (1 - r r^T/|r|^2): Newton's matrix. Without the second term it is the bound used as damping.
    """
    total = s.sums
    clear(total)
    slope = s.slope
    for v in range(len(s.used)):
        if not s.used[v]:
            continue
        px, py, depth = project(x, y, z, cameras, c, v, slope)
        if first:
            s.side[v] = depth
        elif s.side[v] * depth <= 0.0:
            total[0] = np.inf
            return
        rx, ry = px - s.observed[v, 0], py - s.observed[v, 1]
        distance = (rx * rx + ry * ry) ** 0.5
        share = s.weight[v] ** 2
        along = 0.0
        if distance <= huber_px:
            total[0] += share * distance * distance
        else:
            total[0] += share * huber_px * (2.0 * distance - huber_px)
            share *= huber_px / distance
            along = share / (distance * distance)
        place = 4
        for i in range(3):
            gi = rx * slope[0, i] + ry * slope[1, i]
            total[1 + i] += share * gi
            for k in range(i, 3):
                square = share * (slope[0, i] * slope[0, k] + slope[1, i] * slope[1, k])
                total[place] += square - along * gi * (rx * slope[0, k] + ry * slope[1, k])
                total[place + 6] += square
                place += 1


@inlined
def refine_point(x, y, z, cameras, c, huber_px, s):
    """Newton steps damped by the positive bound; a step that raises the cost is taken back."""
    _sum_cost(x, y, z, cameras, c, huber_px, True, s)
    damping = 1e-2
    q, m = s.best_sums, s.system
    copy(s.sums, q)
    for _ in range(_STEPS):
        for i in range(6):
            m[i] = q[4 + i] + damping * q[10 + i]
        dx, dy, dz, pivot = solve_positive(m[0], m[1], m[2], m[3], m[4], m[5], -q[1], -q[2], -q[3])
        if not pivot > 0.0:
            break
        _sum_cost(x + dx, y + dy, z + dz, cameras, c, huber_px, False, s)
        if s.sums[0] <= q[0] * _ROUNDING:
            x, y, z = x + dx, y + dy, z + dz
            damping *= 0.01
            copy(s.sums, q)
        else:
            damping = max(10.0 * damping, 1e-6)
        if dx * dx + dy * dy + dz * dz <= _CONVERGED_MM * _CONVERGED_MM or damping > _LARGEST_DAMPING:
            break
    return x, y, z
