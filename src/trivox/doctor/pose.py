"""Where a camera stands, from points in space and where it sees them."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_FEWEST = 30
_ROUNDS = 12
# Distance on the plane at depth 1 beyond which a point is not believed.
_SCALE = 0.01


def turned_by(
    R: Float[Tensor, "3 3"], t_mm: Float[Tensor, "3"], numbers: Float[Tensor, "6"]
) -> tuple[Float[Tensor, "3 3"], Float[Tensor, "3"]]:
    """The pose after a turn (radians, about the camera's axes) and a shift of the camera (mm, along them)."""
    turn = torch.linalg.matrix_exp(_cross(numbers[:3]))
    return turn @ R, turn @ t_mm + numbers[3:]


def _cross(v: Tensor) -> Tensor:
    zero = torch.zeros_like(v[0])
    return torch.stack([zero, -v[2], v[1], v[2], zero, -v[0], -v[1], v[0], zero]).reshape(3, 3)


def pose_from_points(
    points_mm: Float[Tensor, "M 3"], directions: Float[Tensor, "M 2"], usable: Bool[Tensor, " M"]
) -> tuple[Float[Tensor, "3 3"], Float[Tensor, "3"]] | None:
    """Direct linear transform (Hartley and Zisserman, section 7.1) with weights that forget outliers.

    None where there are too few points, or they do not span space.
    """
    X, u = points_mm[usable], directions[usable]
    if len(X) < _FEWEST:
        return None
    middle, spread = X.mean(0), X.std()
    homogeneous = torch.cat([(X - middle) / spread, torch.ones_like(X[:, :1])], -1)
    zero = torch.zeros_like(homogeneous)
    rows = torch.stack(
        [
            torch.cat([homogeneous, zero, -u[:, :1] * homogeneous], -1),
            torch.cat([zero, homogeneous, -u[:, 1:] * homogeneous], -1),
        ],
        1,
    )  # M 2 12
    weights = torch.ones(len(X), dtype=X.dtype)
    scale, P = 10.0, torch.zeros(3, 4, dtype=X.dtype)
    for _ in range(_ROUNDS):
        weighted = rows * weights[:, None, None]
        _, vectors = torch.linalg.eigh(torch.einsum("mij,mik->jk", weighted, weighted))
        P = vectors[:, 0].reshape(3, 4)
        P = P * torch.sign(torch.linalg.det(P[:, :3]))
        seen = homogeneous @ P.T
        depth = torch.where(seen[:, 2:].abs() < 1e-9, 1e-9, seen[:, 2:])
        error = (seen[:, :2] / depth - u).norm(dim=-1)
        scale = max(_SCALE, min(scale, 2 * float(error.median())))
        weights = 1 / (depth[:, 0].abs().clamp_min(1e-6) * (1 + (error / scale) ** 2).sqrt())
    U, sizes, Vh = torch.linalg.svd(P[:, :3])
    if float(sizes[-1]) < 1e-6 * float(sizes[0]):
        return None
    R = U @ Vh
    R = R * torch.sign(torch.linalg.det(R))
    t = P[:, 3] * spread / sizes.mean() - R @ middle
    if float((R @ middle + t)[2]) < 0:
        return None
    return R, t
