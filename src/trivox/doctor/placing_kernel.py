"""Points placed by the views that see them, as machine code: the doctor places every point hundreds of times.

For each point: of the points midway between the rays of two views the one of least loss, then reweighted Gauss-Newton
steps on Cauchy's loss (`misfit.py` says why), as long as they lower it.
"""

from __future__ import annotations

import numpy as np

from trivox.geometry.triangulation.algebra_kernel import solve_positive
from trivox.geometry.triangulation.compiled import compiled, inlined
from trivox.geometry.triangulation.lens_kernel import distorted, undistorted

# The detector's own error: half of its limb joints are nearer, in pixels of a crop.
SCALE_PX = 4.0
GROSSEST_PX = 128.0
NEAREST_MM = 0.01
_STEPS = 30
# A step that lowers a point's loss by less is the last.
_ENOUGH = 1e-6


@inlined
def _error_px(x, y, z, m, v, rays, gain, R, t):
    """Distance in crop pixels between a point and where view v saw it; the grossest behind the camera."""
    depth = R[v, 2, 0] * x + R[v, 2, 1] * y + R[v, 2, 2] * z + t[v, 2]
    if not depth > NEAREST_MM:
        return GROSSEST_PX
    a = (R[v, 0, 0] * x + R[v, 0, 1] * y + R[v, 0, 2] * z + t[v, 0]) / depth - rays[m, v, 0]
    b = (R[v, 1, 0] * x + R[v, 1, 1] * y + R[v, 1, 2] * z + t[v, 1]) / depth - rays[m, v, 1]
    error = np.sqrt(a * a + b * b) * gain[m, v]
    return error if error < GROSSEST_PX else GROSSEST_PX


@inlined
def _loss_of(x, y, z, m, rays, gain, seen, R, t, most):
    """Sum over the views; anything from `most` on where it is more than that."""
    loss = 0.0
    for v in range(seen.shape[1]):
        if seen[m, v]:
            share = _error_px(x, y, z, m, v, rays, gain, R, t) / SCALE_PX
            loss += np.log1p(share * share)
            if loss >= most:
                break
    return loss


@inlined
def _best_pair(m, rays, gain, seen, R, t, centres, along, first, second):
    """Middle of the shortest line between two rays, of the pair whose middle has the least loss over all views."""
    best, bx, by, bz = np.inf, 0.0, 0.0, 0.0
    for p in range(first.shape[0]):
        i, k = first[p], second[p]
        if not (seen[m, i] and seen[m, k]):
            continue
        ax, ay, az = along[m, i, 0], along[m, i, 1], along[m, i, 2]
        cx, cy, cz = along[m, k, 0], along[m, k, 1], along[m, k, 2]
        dx, dy, dz = centres[k, 0] - centres[i, 0], centres[k, 1] - centres[i, 1], centres[k, 2] - centres[i, 2]
        aa, cc, ac = ax * ax + ay * ay + az * az, cx * cx + cy * cy + cz * cz, ax * cx + ay * cy + az * cz
        ad, cd = ax * dx + ay * dy + az * dz, cx * dx + cy * dy + cz * dz
        determinant = max(aa * cc - ac * ac, 1e-9)
        s, u = (cc * ad - ac * cd) / determinant, (ac * ad - aa * cd) / determinant
        x = 0.5 * (centres[i, 0] + s * ax + centres[k, 0] + u * cx)
        y = 0.5 * (centres[i, 1] + s * ay + centres[k, 1] + u * cy)
        z = 0.5 * (centres[i, 2] + s * az + centres[k, 2] + u * cz)
        loss = _loss_of(x, y, z, m, rays, gain, seen, R, t, best)
        if loss < best:
            best, bx, by, bz = loss, x, y, z
    return best, bx, by, bz


@inlined
def _step(x, y, z, m, rays, gain, seen, R, t):
    """The reweighted Gauss-Newton step of one point."""
    n00 = n01 = n02 = n11 = n12 = n22 = 1e-12
    n01 = n02 = n12 = g0 = g1 = g2 = 0.0
    for v in range(seen.shape[1]):
        if not seen[m, v]:
            continue
        depth = R[v, 2, 0] * x + R[v, 2, 1] * y + R[v, 2, 2] * z + t[v, 2]
        if not depth > NEAREST_MM:
            continue
        u = (R[v, 0, 0] * x + R[v, 0, 1] * y + R[v, 0, 2] * z + t[v, 0]) / depth
        w = (R[v, 1, 0] * x + R[v, 1, 1] * y + R[v, 1, 2] * z + t[v, 1]) / depth
        size = gain[m, v]
        a, b = (u - rays[m, v, 0]) * size, (w - rays[m, v, 1]) * size
        weight = 1.0 / (1.0 + (a * a + b * b) / (SCALE_PX * SCALE_PX))
        size /= depth
        a0, a1, a2 = (
            (R[v, 0, 0] - u * R[v, 2, 0]) * size,
            (R[v, 0, 1] - u * R[v, 2, 1]) * size,
            (R[v, 0, 2] - u * R[v, 2, 2]) * size,
        )
        b0, b1, b2 = (
            (R[v, 1, 0] - w * R[v, 2, 0]) * size,
            (R[v, 1, 1] - w * R[v, 2, 1]) * size,
            (R[v, 1, 2] - w * R[v, 2, 2]) * size,
        )
        n00 += weight * (a0 * a0 + b0 * b0)
        n01 += weight * (a0 * a1 + b0 * b1)
        n02 += weight * (a0 * a2 + b0 * b2)
        n11 += weight * (a1 * a1 + b1 * b1)
        n12 += weight * (a1 * a2 + b1 * b2)
        n22 += weight * (a2 * a2 + b2 * b2)
        g0 += weight * (a * a0 + b * b0)
        g1 += weight * (a * a1 + b * b1)
        g2 += weight * (a * a2 + b * b2)
    damping = 1e-6 * (n00 + n11 + n22)
    return solve_positive(n00 + damping, n01, n02, n11 + damping, n12, n22 + damping, -g0, -g1, -g2)


@compiled
def undo_lenses(points, lenses, gain):  # type: ignore[no-untyped-def]
    """Undistort normalised points (V, M, 2) where they are; a lens is one of `Cameras.lens_rows`.

    `gain` (V, M) is multiplied by how much the lens enlarges there.
    """
    for v in range(points.shape[0]):
        for m in range(points.shape[1]):
            x, y = undistorted(points[v, m, 0], points[v, m, 1], lenses[v])
            _, _, j00, j01, j10, j11 = distorted(x, y, lenses[v])
            points[v, m, 0], points[v, m, 1] = x, y
            gain[v, m] *= np.sqrt(abs(j00 * j11 - j01 * j10))


@compiled
def place(rays, gain, seen, R, t, centres, along, first, second, from_pairs, points, errors):  # type: ignore[no-untyped-def]
    """Fill `points` (M, 3), which holds the start unless `from_pairs`, and `errors` (M, V) in crop pixels."""
    for m in range(seen.shape[0]):
        if from_pairs:
            loss, x, y, z = _best_pair(m, rays, gain, seen, R, t, centres, along, first, second)
        else:
            x, y, z = points[m, 0], points[m, 1], points[m, 2]
            loss = _loss_of(x, y, z, m, rays, gain, seen, R, t, np.inf)
        for _ in range(_STEPS):
            dx, dy, dz, pivot = _step(x, y, z, m, rays, gain, seen, R, t)
            if not pivot > 0.0:
                break
            after = _loss_of(x + dx, y + dy, z + dz, m, rays, gain, seen, R, t, loss)
            if not after < loss:
                break
            gained, loss = loss - after, after
            x, y, z = x + dx, y + dy, z + dz
            if gained < _ENOUGH:
                break
        points[m, 0], points[m, 1], points[m, 2] = x, y, z
        for v in range(seen.shape[1]):
            errors[m, v] = _error_px(x, y, z, m, v, rays, gain, R, t)
