"""Numbers of a correction, refined together with the points: a small bundle adjustment.

Points are eliminated from the normal equations (Schur complement; Triggs et al., Bundle Adjustment - A Modern
Synthesis, 2000), so a step costs little however many points there are. What a number does to the residuals is found
by differences, which serves lenses, poses and time offsets alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from trivox.doctor.case import Case
from trivox.doctor.misfit import Rays, fit, linearised, of_views, residuals
from trivox.geometry.cameras import Cameras

Change = Callable[[Case, Tensor], Case]
_ROUNDS = 10
_ENOUGH = 3e-4


def refined(
    case: Case,
    change: Change,
    start: Float[Tensor, " P"],
    steps: Float[Tensor, " P"],
    views: Sequence[int],
) -> Float[Tensor, " P"]:
    """Numbers near `start` for which `change(case, numbers)` contradicts itself least.

    `steps` are small changes of them; `views` are those that they change.
    """
    numbers, damping = start.clone(), 1e-3
    rays, cameras = _seen(change(case, numbers))
    found = fit(rays, cameras)
    X, loss = found.points_mm, found.loss
    for _ in range(_ROUNDS):
        step = _step(case, change, numbers, steps, list(views), X, rays, cameras, damping)
        tried = numbers - step
        new_rays, new_cameras = _seen(change(case, tried))
        new = fit(new_rays, new_cameras, X)
        if new.loss < loss:
            gained, numbers, rays, cameras, X, loss = (
                loss - new.loss,
                tried,
                new_rays,
                new_cameras,
                new.points_mm,
                new.loss,
            )
            damping = max(damping / 10, 1e-6)
            if gained < _ENOUGH:
                break
        else:
            damping *= 10
            if damping > 1e3:
                break
    return numbers


def _seen(case: Case) -> tuple[Rays, Cameras]:
    return case.rays, case.cameras


def _step(
    case: Case,
    change: Change,
    numbers: Tensor,
    steps: Tensor,
    views: list[int],
    X: Tensor,
    rays: Rays,
    cameras: Cameras,
    damping: float,
) -> Float[Tensor, " P"]:
    seen = rays.seen
    residual, slope, weights = linearised(X, rays, cameras, seen)
    # Views count alike in the loss, whatever the number of their points.
    weights = weights / seen.sum(0).clamp_min(1)
    by_number = torch.zeros(*residual.shape, len(numbers), dtype=X.dtype)  # M V 2 P
    for p in range(len(numbers)):
        there = numbers.clone()
        there[p] += steps[p]
        new_rays, new_cameras = of_views(*_seen(change(case, there)), views)
        both = seen[:, views] & (new_rays.weights > 0)
        moved = residuals(X, new_rays, new_cameras) - residual[:, views]
        by_number[:, views, :, p] = torch.where(both[..., None], moved / steps[p], 0.0)
    A = torch.einsum("mv,mvip,mviq->pq", weights, by_number, by_number)
    B = torch.einsum("mv,mvip,mvij->mpj", weights, by_number, slope)
    C = torch.einsum("mv,mvij,mvik->mjk", weights, slope, slope)
    size = C.diagonal(dim1=-2, dim2=-1).sum(-1)[:, None, None]
    C = C + (1e-6 * size + 1e-18) * torch.eye(3, dtype=X.dtype)
    g = torch.einsum("mv,mvip,mvi->p", weights, by_number, residual)
    h = torch.einsum("mv,mvij,mvi->mj", weights, slope, residual)
    across = torch.linalg.solve(C, B.mT)  # M 3 P
    normal = A - (B @ across).sum(0)
    gradient = g - torch.einsum("mjp,mj->p", across, h)
    scale = normal.diagonal().abs().clamp_min(1e-18)
    return torch.linalg.solve(normal + damping * torch.diag(scale + 1e-9 * scale.max()), gradient)
