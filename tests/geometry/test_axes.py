"""Worlds turned upright: a rotation, up goes where it should, and whatever is estimated turns with the world."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rigs import ring, standing_people
from torch import Tensor

from trivox.geometry.axes import (
    angle_deg,
    estimated_up,
    turned_upright,
    up_of_cameras,
    up_of_people,
    upright_from_world,
    y_up_from_world,
)
from trivox.geometry.cameras import Cameras
from trivox.geometry.poses import Poses
from trivox.geometry.skeletons import COCO_17, H36M_17, converted
from trivox.geometry.volumes import Cube, rotation_about

ups = st.lists(st.floats(-1, 1), min_size=3, max_size=3).filter(lambda v: sum(x * x for x in v) > 0.1)


@given(ups)
def test_it_is_a_rotation_that_brings_up_to_y(up: list[float]) -> None:
    unit = torch.tensor(up, dtype=torch.float64)
    unit = unit / unit.norm()
    turn = y_up_from_world(unit)
    torch.testing.assert_close(turn @ turn.mT, torch.eye(3, dtype=torch.float64))
    assert torch.linalg.det(turn).item() == pytest.approx(1)
    torch.testing.assert_close(turn @ unit, torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64))


@pytest.mark.parametrize(
    ("up", "expected"),
    [
        ((0, 0, 1), (2.0, 3.0, 1.0)),  # Pose2Sim: x, y, z of the file are Y, Z, X of the world
        ((0, 1, 0), (1.0, 2.0, 3.0)),
        ((0, -1, 0), (1.0, -2.0, -3.0)),  # CMU Panoptic
        ((1, 0, 0), (3.0, 1.0, 2.0)),
    ],
)
def test_axes_are_exchanged_exactly(up: tuple[int, ...], expected: tuple[float, ...]) -> None:
    turned = y_up_from_world(torch.tensor(up, dtype=torch.float32)) @ torch.tensor([1.0, 2.0, 3.0]).double()
    assert turned.tolist() == list(expected)


@given(ups, ups)
def test_turning_there_and_back(one: list[float], other: list[float]) -> None:
    first, second = (torch.tensor(v, dtype=torch.float64) for v in (one, other))
    first, second = first / first.norm(), second / second.norm()
    covariance = torch.diag(torch.tensor([1.0, 2.0, 3.0])).double().expand(2, 1, 17, 3, 3)
    poses = Poses(
        torch.randn(2, 1, 17, 3, dtype=torch.float64),
        torch.ones(2, 1, 17, dtype=torch.bool),
        torch.ones(2, 1, 17, dtype=torch.float64),
        *(torch.arange(2), COCO_17, 25.0, first, covariance),
    )
    there = turned_upright(poses, second)
    back = turned_upright(there, first)
    torch.testing.assert_close(back.points_mm, poses.points_mm)
    torch.testing.assert_close(back.covariance_mm2, covariance)
    heights = [(p.points_mm @ p.up) for p in (poses, there) if p.up is not None]
    torch.testing.assert_close(*heights)


Z = torch.tensor([0.0, 0.0, 1.0]).double()
worlds = st.tuples(ups, st.floats(-math.pi, math.pi), st.lists(st.floats(-9e4, 9e4), min_size=3, max_size=3))


def transform(axis: list[float], angle: float, shift_mm: list[float]) -> Tensor:
    world_from_new = torch.eye(4, dtype=torch.float64)
    world_from_new[:3, :3] = rotation_about(torch.tensor(axis).double(), torch.tensor(angle).double())
    world_from_new[:3, 3] = torch.tensor(shift_mm).double()
    return world_from_new


def everybody(people: list[tuple[float, float]]) -> tuple[Tensor, Tensor]:
    points_mm = standing_people(people)
    return points_mm, torch.ones(points_mm.shape[:-1], dtype=torch.bool)


def lying(points_mm: Tensor) -> Tensor:
    """On their sides."""
    return points_mm @ rotation_about(torch.tensor([1.0, 0.3, 0.0]).double(), torch.tensor(1.5).double()).mT


def looking_down(views: int, pitch: float) -> Cameras:
    """All from one side, and from above: the mean of their own ups leans with them."""
    cameras = ring(views)
    tip = rotation_about(torch.tensor([1.0, 0.0, 0.0]).double(), torch.tensor(pitch).double())
    side = cameras[: views // 3]
    return Cameras(side.K, tip @ side.R, side.t_mm, side.distortion, image_hw=side.image_hw)


@settings(max_examples=10)
@given(worlds)
def test_the_estimate_turns_with_the_world(world: tuple[list[float], float, list[float]]) -> None:
    move, cameras = transform(*world), ring(4)
    points_mm, valid = everybody([(0, 0), (900, -700)])
    for people_mm in (points_mm, lying(points_mm)):
        here = estimated_up(people_mm, valid, COCO_17, cameras)
        there = estimated_up((people_mm - move[:3, 3]) @ move[:3, :3], valid, COCO_17, cameras.moved(move))
        assert there.source == here.source
        torch.testing.assert_close(move[:3, :3] @ there.up, here.up, atol=1e-9, rtol=0)
        assert angle_deg(here.up, Z) < 3


def test_people_who_lie_do_not_say_what_is_up_but_cameras_do() -> None:
    points_mm, valid = everybody([(0, 0), (900, -700), (-800, 300)])
    assert estimated_up(points_mm, valid, COCO_17, ring(4)).source == "people"
    assert estimated_up(lying(points_mm), valid, COCO_17, ring(4)).source == "cameras"
    assert estimated_up(points_mm, torch.zeros_like(valid), COCO_17, ring(4)).source == "cameras"
    turns = rotation_about(torch.eye(3).double(), torch.tensor(2.1).double())
    every_way = points_mm @ turns.mT
    assert up_of_people(every_way, valid, COCO_17) is None


def test_the_few_who_lie_have_no_say() -> None:
    points_mm, valid = everybody([(300 * i, -200 * i) for i in range(5)])
    mixed = torch.cat([points_mm[:3], lying(points_mm[3:])])
    up = up_of_people(mixed, valid, COCO_17)
    assert up is not None and angle_deg(up, Z) < 5


def test_it_takes_any_skeleton_that_has_legs_or_a_trunk() -> None:
    points_mm, valid = everybody([(0, 0)])
    other = converted(points_mm, valid, COCO_17, H36M_17)
    of_other, of_coco = up_of_people(other.points, other.valid, H36M_17), up_of_people(points_mm, valid, COCO_17)
    assert of_other is not None and of_coco is not None
    torch.testing.assert_close(of_other, of_coco)
    ankles = torch.tensor(["ankle" in name for name in COCO_17.names])
    assert up_of_people(points_mm, valid & ~ankles, COCO_17) is not None


@pytest.mark.parametrize("pitch", [-0.8, 0.0, 0.6])
def test_level_cameras_say_what_is_up_however_far_they_look_down(pitch: float) -> None:
    assert angle_deg(up_of_cameras(looking_down(12, pitch)), Z) < 1


@settings(max_examples=15)
@given(worlds, ups, st.sampled_from(["x", "y", "z", "-x", "-y", "-z"]))
def test_the_upright_world_is_the_same_from_everywhere(
    world: tuple[list[float], float, list[float]], up: list[float], axis: str
) -> None:
    move, cameras, up_axis = transform(*world), ring(4), Cube(up=axis).up_axis  # pyright: ignore[reportArgumentType]
    unit = torch.tensor(up, dtype=torch.float64) / torch.tensor(up, dtype=torch.float64).norm()
    here = upright_from_world(unit, cameras, up_axis)
    there = upright_from_world(move[:3, :3].mT @ unit, cameras.moved(move), up_axis)
    torch.testing.assert_close(here[:3, :3] @ here[:3, :3].mT, torch.eye(3).double())
    assert torch.linalg.det(here).item() == pytest.approx(1)
    torch.testing.assert_close(here[:3, :3] @ unit, up_axis)
    torch.testing.assert_close(there, here @ move, atol=1e-6, rtol=1e-9)
    new = cameras.moved(torch.linalg.inv(here))
    torch.testing.assert_close(new.position_mm.mean(0), torch.zeros(3).double(), atol=1e-6, rtol=0)
