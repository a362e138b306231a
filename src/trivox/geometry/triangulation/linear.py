"""Weighted linear triangulation (Hartley and Zisserman, Multiple View Geometry, section 12.2).

Each view gives two rows, u P[2] - P[0] and v P[2] - P[1], times its weight; the answer X in millimetres makes their
products with (X, 1) least in squares. These are the pixels missed times the depth, whatever the world's axes: the
answer moves with the world. The published system takes the right singular vector of the smallest singular value
instead, which divides by |(X, 1)| and so prefers points far from the origin; its weights were trained with that.
Both are found through the 4x4 normal matrix (see algebra_kernel.py), several times faster than a batched SVD and
differentiable wherever the answer stands alone.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float, Real
from torch import Tensor

from trivox.geometry.cameras import SMALLEST_DEPTH_MM, Cameras
from trivox.geometry.rig import Rig
from trivox.geometry.triangulated import Triangulated
from trivox.geometry.triangulation import engine
from trivox.geometry.triangulation.algebra_kernel import PIVOT_FLOOR
from trivox.geometry.triangulation.arrays import Settings
from trivox.geometry.triangulation.engine import Task
from trivox.geometry.triangulation.limits import NEAREST_MM, PARALLAX_SIN2, SINGULAR
from trivox.geometry.triangulation.refinement import HUBER_PX, checked_positive, refined
from trivox.geometry.triangulation.residuals import inverse_3x3, measured, usable_views

_STEPS = 100


def triangulate(
    points_px: Real[Tensor, "*b V J 2"] | Any,
    cameras: Cameras | Rig | Any,
    weights: Float[Tensor, "*b V J"] | Any = None,
    *,
    refine: bool = False,
    huber_px: float = HUBER_PX,
    noise_px: float = 1.0,
    homogeneous: bool = False,
) -> Triangulated:
    """Joints in mm from pixels of the (distorted) pictures, corner origin, with cameras `(V,)` or `(*b, V)`, or a rig.

    Numbers are tensors, NumPy arrays or nested lists; what comes back are tensors, never below float32. A weight of
    zero, or a number that is not finite, takes a view out; fewer than two views, or rays that do not meet in one point
    in front of all their cameras, give an invalid joint. `refine` gives the least robust reprojection error instead.
    Pixels in whole numbers give results in float64. `covariance_mm2` is for a noise of `noise_px` pixels of these
    pictures (standard deviation of x and of y) in a view of weight 1.

    `homogeneous` gives the linear answer of the published system, the singular vector: it depends a little on where
    the world's origin is, and with pixels of noise fails for a point within centimetres of it. No matter with `refine`.
    Raises InputError for what are no numbers or no cameras, where the shapes do not fit together, or where huber_px
    or noise_px is not positive.
    """
    checked_positive("huber_px", huber_px)
    checked_positive("noise_px", noise_px)
    task = engine.prepared(points_px, cameras, weights)
    settings = Settings(refine=refine, homogeneous=homogeneous, huber_px=huber_px, noise_px=noise_px)
    if task.in_kernel:
        return task.restored(engine.run(task, settings))
    if refine:
        return task.restored(refined(engine.run(task, settings), task, huber_px, noise_px))
    seen = usable_views(task)
    return task.restored(solved(task, seen, seen, settings))


def solved(task: Task, seen: Bool[Tensor, "B V J"], used: Bool[Tensor, "B V J"], settings: Settings) -> Triangulated:
    """Linear triangulation from the `used` views, differentiable, on any device."""
    rows = equations(task, used)
    points_mm, solvable = linear_points(rows, homogeneous=settings.homogeneous)
    enough = used.sum(1) >= 2
    valid = enough & solvable & rays_meet(points_mm.detach(), task.cameras.map(Tensor.detach), used)
    return measured(points_mm, valid, task, seen, used, settings.noise_px)


def equations(task: Task, used: Bool[Tensor, "B V J"]) -> Float[Tensor, "B J R 4"]:
    """The R = 2 V weighted rows of each joint; zeros for a view that is not used."""
    clean = torch.where(used[..., None], task.points_px, 0.0)
    undistorted = task.cameras.undistorted_points(clean)
    P = task.cameras.pixel_from_world[..., None, :, :]
    rows = undistorted[..., None] * P[..., 2:, :] - P[..., :2, :]
    weights = torch.where(used, task.weights, 0.0)
    # Only the ratio of weights matters: dividing by the largest keeps the squares in range.
    largest = weights.detach().amax(1, keepdim=True)
    weights = weights / torch.where(largest > 0, largest, 1.0)
    return (rows * weights[..., None, None]).movedim(1, 2).flatten(2, 3)


def linear_points(
    rows: Float[Tensor, "*b R 4"], *, homogeneous: bool
) -> tuple[Float[Tensor, "*b 3"], Bool[Tensor, "*b"]]:
    """The points X with the least |rows (X, 1)|, or, if `homogeneous`, |rows (X, 1)| / |(X, 1)|; and success.

    The search runs without gradient. One last Newton step on the equation that the answer fulfils, with the inverse
    held constant, carries the exact first derivative: it knows only the smallest eigenvalue, so equal larger
    singular values do no harm. It starts from the rows themselves, which also wins back the digits lost by
    squaring them.
    """
    with torch.no_grad():
        normal = rows.mT @ rows
        points, shift, solvable = (_smallest_eigenvectors if homogeneous else _least_squares)(normal)
        identity = torch.eye(3, dtype=rows.dtype, device=rows.device)
        shifted = normal[..., :3, :3] - shift[..., None, None] * identity
        inverse = inverse_3x3(torch.where(solvable[..., None, None], shifted, identity))
    rows = torch.where(solvable[..., None, None], rows, 0.0)
    extended = torch.cat([points, torch.ones_like(points[..., :1])], dim=-1)
    missed = (rows @ extended[..., None])[..., 0]
    slope = (rows[..., :3].mT @ missed[..., None])[..., 0]
    if homogeneous:
        quotient = (missed * missed).sum(-1) / (extended * extended).sum(-1)
        slope = slope - quotient[..., None] * points
    return points - (inverse @ slope[..., None])[..., 0], solvable


def _least_squares(m: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`least_squares_point` of linear_kernel.py for a batch: points, no shift, success."""
    points, pivot = _solve_positive(m[..., :3, :3], -m[..., :3, 3])
    floor = SINGULAR * m[..., :3, :3].diagonal(dim1=-2, dim2=-1).sum(-1)
    return points, torch.zeros_like(pivot), pivot > floor


def _smallest_eigenvectors(m: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`smallest_eigenvector` of algebra_kernel.py for a batch: points, eigenvalues, success."""
    A, b, corner = m[..., :3, :3], m[..., :3, 3], m[..., 3, 3]
    floor = PIVOT_FLOOR * A.diagonal(dim1=-2, dim2=-1).sum(-1)
    shift = torch.zeros_like(corner)
    low, high = shift, torch.full_like(shift, torch.inf)
    solvable = torch.zeros_like(corner, dtype=torch.bool)
    running = ~solvable
    result, value = torch.zeros_like(b), shift
    identity = torch.eye(3, dtype=m.dtype, device=m.device)
    for _ in range(_STEPS):
        points, pivot = _solve_positive(A - shift[..., None, None] * identity, -b)
        positive = pivot > floor
        norm2 = 1 + (points * points).sum(-1)
        change = (corner + (b * points).sum(-1) - shift) / norm2
        done = running & positive & (change.abs() <= 1e-12 * pivot + 1e-15 * corner / norm2)
        result, value = torch.where(done[..., None], points, result), torch.where(done, shift, value)
        solvable = solvable | done
        running = running & ~done & (positive | (shift != 0))
        if not bool(running.any()):
            break
        rising = positive & (change > 0)
        low = torch.where(rising, torch.maximum(low, shift), low)
        high = torch.where(rising, high, torch.minimum(high, shift))
        moved = shift + change
        newton = positive & ((moved < high) | (change < 0))
        shift = torch.where(running, torch.where(newton, moved, (low + high) / 2), 0.0)
    return result, value, solvable


def _solve_positive(m: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """LDL^T of symmetric 3x3 matrices: solution and smallest pivot; zeros where not positive definite."""
    a00, a01, a02, a11, a12, a22 = (m[..., i, k] for i, k in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)))
    b0, b1, b2 = right.unbind(-1)
    l10, l20 = a01 / a00, a02 / a00
    d1 = a11 - l10 * a01
    rest = a12 - l10 * a02
    l21 = rest / d1
    d2 = a22 - l20 * a02 - l21 * rest
    y1 = b1 - l10 * b0
    x2 = (b2 - l20 * b0 - l21 * y1) / d2
    x1 = y1 / d1 - l21 * x2
    x0 = b0 / a00 - l10 * x1 - l20 * x2
    pivot = torch.stack([a00, d1, d2]).amin(0).nan_to_num(nan=-1.0)
    solution = torch.stack([x0, x1, x2], dim=-1)
    return torch.where((pivot > 0)[..., None], solution, 0.0), pivot


def rays_meet(points_mm: Float[Tensor, "B J 3"], cameras: Cameras, used: Bool[Tensor, "B V J"]) -> Bool[Tensor, "B J"]:
    """Whether the used rays meet in front of their cameras and at an angle, as in linear_kernel.py."""
    rays = points_mm[:, None] - cameras.position_mm[:, :, None]
    depth = (rays @ cameras.R[:, :, 2, :, None])[..., 0]
    in_front = ((depth > SMALLEST_DEPTH_MM) | ~used).all(1)
    length2 = (rays * rays).sum(-1)
    apart = ((length2 > NEAREST_MM**2) | ~used).all(1)
    rays = rays * torch.where(used, length2.clamp_min(NEAREST_MM**2).rsqrt(), 0.0)[..., None]
    total = torch.einsum("bvji,bvjk->bjik", rays, rays)
    trace = total.diagonal(dim1=-2, dim2=-1).sum(-1)
    minors = (trace * trace - (total * total).sum((-2, -1))) / 2
    return in_front & apart & (minors > PARALLAX_SIN2)
