"""Which way is up: turning a world so that its up axis becomes another one."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from trivox.geometry.poses import Poses


def y_up_from_world(up: Float[Tensor, "3"]) -> Float[Tensor, "3 3"]:  # noqa: UP037
    """The rotation into a world with Y up, in float64, for a world whose unit vector `up` points up.

    Signed axes are exchanged cyclically: of a world with Z up, (Y, Z, X) become (x, y, z), as Pose2Sim has
    it; a world with Y up stays. An oblique `up` is first turned the short way onto its nearest axis.
    """
    up = up.detach().double().cpu() / up.detach().double().cpu().norm()
    axis = int(up.abs().argmax())
    nearest = torch.zeros(3, dtype=torch.float64)
    nearest[axis] = torch.sign(up[axis])
    cyclic = torch.eye(3, dtype=torch.float64).roll(1 - axis, dims=0)
    # Where the axis points down, half a turn about the new x brings it up.
    half_turn = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
    return (half_turn if nearest[axis] < 0 else torch.eye(3).double()) @ cyclic @ _shortest(up, nearest)


def _shortest(a: Tensor, b: Tensor) -> Tensor:
    """The rotation of unit vector `a` onto unit vector `b`, less than half a turn away (Rodrigues)."""
    x, y, z = torch.linalg.cross(a, b).tolist()
    cross = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
    return torch.eye(3, dtype=torch.float64) + cross + cross @ cross / (1 + a @ b)


def turned_upright(poses: Poses, up: Float[Tensor, "3"]) -> Poses:  # noqa: UP037
    """The same people in a world turned about its origin so that `up` points up there. Needs `poses.up`.

    A .trc file of a world with Z up, read back and turned to `up` = Z, is in its old world again.
    """
    assert poses.up is not None, "turned_upright needs poses that know which way is up"
    turn = (y_up_from_world(up).mT @ y_up_from_world(poses.up)).to(poses.points_mm)
    covariance = poses.covariance_mm2
    if covariance is not None:
        covariance = turn @ covariance @ turn.mT
    return replace(poses, points_mm=poses.points_mm @ turn.mT, up=up, covariance_mm2=covariance)


def turned_if_known(poses: Poses, up: tuple[float, float, float]) -> Poses:
    """The same people in float64, with `up` pointing up; in the world's own axes where it is not known what is up."""
    poses = poses.to(torch.float64)
    return poses if poses.up is None else turned_upright(poses, torch.tensor(up, dtype=torch.float64))
