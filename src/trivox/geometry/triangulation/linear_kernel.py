"""The weighted normal matrix of one joint, its point, and whether its rays meet, as machine code."""

from __future__ import annotations

from trivox.geometry.cameras import SMALLEST_DEPTH_MM
from trivox.geometry.triangulation.algebra_kernel import solve_positive
from trivox.geometry.triangulation.arrays import clear
from trivox.geometry.triangulation.compiled import inlined
from trivox.geometry.triangulation.limits import NEAREST_MM, PARALLAX_SIN2, SINGULAR


@inlined
def sum_system(s):
    """The weighted normal matrix of the used views. Weights count relative to the largest: no overflow."""
    largest = 0.0
    for v in range(len(s.used)):
        if s.used[v]:
            largest = max(largest, s.weight[v])
    clear(s.system)
    for v in range(len(s.used)):
        if s.used[v]:
            factor = (s.weight[v] / largest) ** 2
            for i in range(10):
                s.system[i] += factor * s.normal[v, i]


@inlined
def least_squares_point(m):
    """The least squares with fourth coordinate 1: unlike the eigenvector, the same wherever the origin is."""
    x, y, z, pivot = solve_positive(m[0], m[1], m[2], m[4], m[5], m[7], -m[3], -m[6], -m[8])
    return pivot > SINGULAR * (m[0] + m[4] + m[7]), x, y, z


@inlined
def rays_meet(x, y, z, cameras, c, used):
    """Whether the used rays meet in front of their cameras and at an angle.

    The 2x2 minors of sum d d^T add up sin^2 over all pairs. Lines also meet behind cameras, where nothing is seen.
    """
    xx = xy = xz = yy = yz = zz = 0.0
    for v in range(len(used)):
        if used[v]:
            R, centre_mm = cameras.R[c, v], cameras.centre_mm[c, v]
            dx, dy, dz = x - centre_mm[0], y - centre_mm[1], z - centre_mm[2]
            if not R[2, 0] * dx + R[2, 1] * dy + R[2, 2] * dz > SMALLEST_DEPTH_MM:
                return False
            length2 = dx * dx + dy * dy + dz * dz
            if not length2 > NEAREST_MM * NEAREST_MM:
                return False
            share = 1.0 / length2
            xx += dx * dx * share
            xy += dx * dy * share
            xz += dx * dz * share
            yy += dy * dy * share
            yz += dy * dz * share
            zz += dz * dz * share
    return xx * yy - xy * xy + xx * zz - xz * xz + yy * zz - yz * yz > PARALLAX_SIN2
