"""Which way is up: told or estimated, and worlds turned so that their up axis becomes another one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trivox.geometry.cameras import Cameras
from trivox.geometry.poses import Poses
from trivox.geometry.skeletons import COCO_17, Skeleton, converted

# Directions of bodies this far from the estimate speak against it; where most do, people lie or bend.
_UPRIGHT_DEG = 45.0
# How much less looking level counts than a level horizon: cameras look down on people, but are seldom rolled.
_LEVEL_LOOK = 0.01
_MEDIAN_STEPS = 60
_NEAR = 1e-3  # of a unit vector: where the median's weights stop growing


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


@dataclass(frozen=True)
class EstimatedUp:
    """A unit vector in world axes, and what it was estimated from. As text it is a sentence for the user."""

    up: Float[Tensor, "3"]
    source: Literal["people", "cameras"]

    def __str__(self) -> str:
        how = "people stand" if self.source == "people" else "cameras are held"
        x, y, z = (f"{value:z.2f}" for value in self.up.tolist())
        return f"which way is up is not said (--up): from how {how}, it is ({x}, {y}, {z}) in the calibration's axes"


def estimated_up(
    points_mm: Float[Tensor, "N J 3"], valid: Bool[Tensor, "N J"], skeleton: Skeleton, cameras: Cameras
) -> EstimatedUp:
    """Which way is up in a world that does not say, from N poses in it and its `cameras` (V,) of upright pictures.

    People mostly stand: up is the median direction of their legs and trunks. Where there is none, where most of these
    lie beside it, or where people lie in pictures of level cameras, it is how the cameras are held. Turns with the
    world.
    """
    of_cameras = up_of_cameras(cameras)
    of_people = up_of_people(points_mm, valid, skeleton)
    if of_people is None or angle_deg(of_people, of_cameras) > _UPRIGHT_DEG:
        return EstimatedUp(of_cameras, "cameras")
    return EstimatedUp(of_people, "people")


def up_of_people(
    points_mm: Float[Tensor, "N J 3"], valid: Bool[Tensor, "N J"], skeleton: Skeleton
) -> Float[Tensor, "3"] | None:  # noqa: UP037
    """The spatial median of the directions from ankles to hips and from hips to shoulders.

    None where these are not seen, or most of them are far from it (Weiszfeld's iteration, on the unit sphere).
    """
    joints = converted(points_mm.double(), valid, skeleton, COCO_17)
    ankles, hips, shoulders = (
        list(COCO_17.indices((f"left_{part}", f"right_{part}"))) for part in ("ankle", "hip", "shoulder")
    )
    directions = []
    for low, high in ((ankles, hips), (hips, shoulders)):
        along = joints.points[:, high].mean(1) - joints.points[:, low].mean(1)
        length = along.norm(dim=-1, keepdim=True)
        seen = joints.valid[:, low + high].all(-1) & (length[:, 0] > 0)
        directions.append((along / length)[seen])
    units = torch.cat(directions)
    if not len(units) or units.sum(0).norm() == 0:
        return None
    median = _unit(units.sum(0))
    for _ in range(_MEDIAN_STEPS):
        median = _unit((units / (units - median).norm(dim=-1, keepdim=True).clamp_min(_NEAR)).sum(0))
    stands = units @ median > torch.tensor(_UPRIGHT_DEG).deg2rad().cos()
    return median if stands.double().mean() > 0.5 else None


def up_of_cameras(cameras: Cameras) -> Float[Tensor, "3"]:  # noqa: UP037
    """Up as cameras (V,) of upright pictures are held: square to their horizons and, less so, to where they look."""
    right, _, forward = cameras.R.double().cpu().unbind(-2)
    against = right.mT @ right + _LEVEL_LOOK * forward.mT @ forward
    up = torch.linalg.eigh(against).eigenvectors[:, 0]
    above = -cameras.R[..., 1, :].double().cpu().sum(0)
    return up if above @ up >= 0 else -up


def upright_from_world(
    up: Float[Tensor, "3"],  # noqa: UP037
    cameras: Cameras,
    axis: Float[Tensor, "3"],  # noqa: UP037
) -> Float[Tensor, "4 4"]:
    """The rigid transform into a world where the unit vector `axis` points up, `up` being that of the present world.

    What `up` leaves open, the cameras (V,) settle: the origin is between them, and the first one's picture runs from
    left to right along the axis after `axis`. The new world is thus the same, whatever the present one is called.
    """
    up, axis = _unit(up.detach().double().cpu()), axis.detach().double().cpu()
    right, _, forward = cameras.R[0].double().cpu()
    ahead = _level(right, up) if abs(float(right @ up)) < abs(float(forward @ up)) else _level(forward, up)
    here = torch.stack([up, ahead, torch.linalg.cross(up, ahead)], 1)
    after = axis.roll(1).abs()
    there = torch.stack([axis, after, torch.linalg.cross(axis, after)], 1)
    turn = there @ here.mT
    transform = torch.eye(4, dtype=torch.float64)
    transform[:3, :3] = turn
    transform[:3, 3] = -turn @ cameras.position_mm.double().cpu().mean(0)
    return transform


def moved_points(points_mm: Float[Tensor, "*b 3"], new_from_old: Float[Tensor, "4 4"]) -> Float[Tensor, "*b 3"]:
    """The same points in another world."""
    return points_mm @ new_from_old[:3, :3].mT + new_from_old[:3, 3]


def angle_deg(one: Float[Tensor, "3"], other: Float[Tensor, "3"]) -> float:  # noqa: UP037
    """Between two unit vectors."""
    cross, dot = torch.linalg.cross(one, other).norm(), one @ other
    return float(torch.atan2(cross, dot).rad2deg())


def _level(direction: Tensor, up: Tensor) -> Tensor:
    return _unit(direction - (direction @ up) * up)


def _unit(vector: Tensor) -> Tensor:
    return vector / vector.norm()
