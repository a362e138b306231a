"""What a point says about its observations: reprojection error, trust, covariance. Differentiable.

The functions take a `Task`, so observations are (B, V, J) and there are C rigs, C being 1 or B.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trivox.geometry.cameras import Cameras
from trivox.geometry.triangulated import Triangulated
from trivox.geometry.triangulation.engine import Task
from trivox.geometry.triangulation.limits import LARGEST_PX, LARGEST_WEIGHT, SMALLEST_WEIGHT


def usable_views(task: Task) -> Bool[Tensor, "B V J"]:
    """Observations with finite coordinates and a positive finite weight; a broken camera has weight 0."""
    weighted = (task.weights >= SMALLEST_WEIGHT) & (task.weights <= LARGEST_WEIGHT)
    seen = (task.points_px.abs() <= LARGEST_PX).all(-1)
    return seen & weighted


def residuals_px(
    points_mm: Float[Tensor, "B J 3"], task: Task, seen: Bool[Tensor, "B V J"]
) -> Float[Tensor, "B V J 2"]:
    """Projection minus observation in pixels of the picture; 0 where not seen."""
    return torch.where(seen[..., None], task.cameras.project(points_mm[:, None]) - task.points_px, 0.0)


def projection_slope(
    points_mm: Float[Tensor, "B J 3"], task: Task, seen: Bool[Tensor, "B V J"]
) -> Float[Tensor, "B V J 2 3"]:
    """Derivative of the picture's pixels with respect to the point, per mm; 0 where not seen."""
    return torch.where(seen[..., None, None], task.cameras.project_with_slope(points_mm[:, None])[1], 0.0)


def measured(
    points_mm: Float[Tensor, "B J 3"],
    valid: Bool[Tensor, "B J"],
    task: Task,
    seen: Bool[Tensor, "B V J"],
    used: Bool[Tensor, "B V J"],
    noise_px: float,
) -> Triangulated:
    """Everything else about points found from the `used` among the `seen` views."""
    seen, used = seen & valid[:, None], used & valid[:, None]
    points_mm = torch.where(valid[..., None], points_mm, 0.0)
    weights = torch.where(used, task.weights, 0.0)
    return Triangulated(
        points_mm,
        valid,
        weights.sum(1) / used.sum(1).clamp_min(1),
        used,
        length(residuals_px(points_mm, task, seen)),
        noise_px**2 * covariance_mm2(projection_slope(points_mm, task, used), weights, valid),
    )


def length(vectors: Float[Tensor, "*b 2"]) -> Float[Tensor, "*b"]:
    """Euclidean length whose gradient at zero is zero."""
    squared = (vectors * vectors).sum(-1)
    positive = squared > 0
    return torch.where(positive, torch.where(positive, squared, 1.0).sqrt(), 0.0)


def covariance_mm2(
    slope: Float[Tensor, "B V J 2 3"], weights: Float[Tensor, "B V J"], valid: Bool[Tensor, "B J"]
) -> Float[Tensor, "B J 3 3"]:
    """Inverse of sum w^2 J^T J: what a noise of 1/w pixel in each view does to the point."""
    weighted = slope * weights[..., None, None]
    information = torch.einsum("bvjki,bvjkn->bjin", weighted, weighted)
    identity = torch.eye(3, dtype=slope.dtype, device=slope.device)
    information = torch.where(valid[..., None, None], information, identity)
    return torch.where(valid[..., None, None], inverse_3x3(information), 0.0)


def covariance_of_noise_mm2(
    points_mm: Float[Tensor, "*b J 3"],
    cameras: Cameras,
    weights: Float[Tensor, "*b V J"],
    noise_px: Float[Tensor, "*b V _ 2"],
) -> Float[Tensor, "*b J 3 3"]:
    """What a noise of `noise_px` in x and y does to points found with these weights, 0 for a view not used; to first
    order. Zeros where fewer than two views are used.

    Where views are judged otherwise than by their noise, as by the person's size in them, the answer is not the
    inverse H of sum w^2 J^T J but H (sum w^4 noise^2 J^T J) H (Huber's sandwich).
    """
    _, slope = cameras.project_with_slope(points_mm)
    slope = torch.where((weights > 0)[..., None, None], slope, 0.0) * weights[..., None, None]
    shaken = slope * (weights[..., None] * noise_px)[..., None]
    information, shaking = (torch.einsum("...vjki,...vjkn->...jin", rows, rows) for rows in (slope, shaken))
    enough = ((weights > 0).sum(-2) >= 2)[..., None, None]
    identity = torch.eye(3, dtype=slope.dtype, device=slope.device)
    inverse = inverse_3x3(torch.where(enough, information, identity))
    return torch.where(enough, inverse @ shaking @ inverse, 0.0)


def inverse_3x3(m: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 3 3"]:
    """Closed-form inverse by cross products of the rows; zeros for a singular matrix."""
    a, b, c = m.unbind(-2)
    cofactors = torch.stack([b.cross(c, dim=-1), c.cross(a, dim=-1), a.cross(b, dim=-1)], dim=-1)
    determinant = (a * cofactors[..., 0]).sum(-1)[..., None, None]
    return cofactors / torch.where(determinant == 0, torch.inf, determinant)
