"""Huber refinement: the point of least robust reprojection error in pixels of the (distorted) pictures.

The cost of a joint is the sum over its inliers of w^2 rho(r), with rho(r) = r^2 up to `huber_px` and 2
huber_px r - huber_px^2 beyond. The search (damped Newton, one joint at a time, in joint_kernel.py) runs
without gradient on the CPU; one more Newton step with a constant Hessian carries the derivative of the
minimum with respect to observations, weights and cameras (implicit function theorem).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Real
from torch import Tensor

from trivox.errors import InputError
from trivox.geometry.cameras import Cameras
from trivox.geometry.rig import Rig
from trivox.geometry.triangulated import Triangulated
from trivox.geometry.triangulation import engine
from trivox.geometry.triangulation.arrays import Settings
from trivox.geometry.triangulation.engine import Task
from trivox.geometry.triangulation.residuals import inverse_3x3, measured, residuals_px, usable_views

# The published method measures half distances with a unit scale.
HUBER_PX = 2.0


def refine(
    triangulated: Triangulated | Any,
    points_px: Real[Tensor, "*b V J 2"] | Any,
    cameras: Cameras | Rig | Any,
    weights: Float[Tensor, "*b V J"] | Any = None,
    *,
    huber_px: float = HUBER_PX,
    noise_px: float = 1.0,
) -> Triangulated:
    """Move valid points to the least robust reprojection error over their inliers; the cost never grows.

    Arguments as for `triangulate`; a point that lies behind one of its cameras becomes invalid.
    Raises InputError where the shapes do not fit together.
    """
    checked_positive("huber_px", huber_px)
    checked_positive("noise_px", noise_px)
    task = engine.prepared(points_px, cameras, weights)
    if not isinstance(triangulated, Triangulated):
        raise InputError(
            f"the triangulated are of type {type(triangulated).__name__}, expected what trivox.triangulate returns"
        )
    _check_shapes(triangulated, torch.Size((*task.batch_shape, *task.points_px.shape[1:])))
    axes = len(task.batch_shape)
    start = triangulated.map(lambda t: t.reshape(len(task.weights), *t.shape[axes:]))
    found = engine.run(task, Settings(refine=True, huber_px=huber_px, noise_px=noise_px), start)
    return task.restored(found if task.in_kernel else refined(found, task, huber_px, noise_px))


def _check_shapes(triangulated: Triangulated, shape: torch.Size) -> None:
    *batch, views, joints, _ = shape
    expected = {"points_mm": (*batch, joints, 3), "valid": (*batch, joints), "inliers": (*batch, views, joints)}
    for name, wanted in expected.items():
        given = tuple(getattr(triangulated, name).shape)
        if given != wanted:
            raise InputError(
                f"the triangulated {name} have shape {given}, expected {wanted} for points_px of shape "
                f"{tuple(shape)}; give the result of triangulating these points_px"
            )


def refined(found: Triangulated, task: Task, huber_px: float, noise_px: float) -> Triangulated:
    """The minima `found` by the kernel, with gradient."""
    if not task.wants_gradient:
        return found
    return measured(
        _implicit_step(found, task, huber_px), found.valid, task, usable_views(task), found.inliers, noise_px
    )


def checked_positive(name: str, value: Any) -> None:
    """Refuse a threshold that is no positive number of pixels."""
    if not isinstance(value, int | float | np.number) or not 0 < value < float("inf"):
        raise InputError(f"{name} is {value}, expected a positive number of pixels; give for example {name}=20")


def _implicit_step(found: Triangulated, task: Task, huber_px: float) -> Tensor:
    at = found.points_mm.detach().clone().requires_grad_()
    gradient = _cost_gradient(at, found, task, huber_px)
    rows = [torch.autograd.grad(gradient[..., i].sum(), at, retain_graph=True)[0] for i in range(3)]
    hessian = torch.stack(rows, dim=-2)
    identity = torch.eye(3, dtype=at.dtype, device=at.device)
    inverse = inverse_3x3(torch.where(found.valid[..., None, None], hessian, identity))
    return at.detach() - (inverse @ gradient[..., None])[..., 0]


def _cost_gradient(at: Tensor, found: Triangulated, task: Task, huber_px: float) -> Tensor:
    """Derivative of the total cost, itself differentiable in the point and in every input."""
    residuals = residuals_px(at, task, found.inliers)
    squared = (residuals * residuals).sum(-1)
    beyond = squared > huber_px**2
    distance = torch.where(beyond, squared, 1.0).sqrt()
    rho = torch.where(beyond, huber_px * (2 * distance - huber_px), squared)
    cost = (torch.where(found.inliers, task.weights, 0.0) ** 2 * rho).sum()
    return torch.autograd.grad(cost, at, create_graph=True)[0]
