"""Worlds turned upright: a rotation, up goes to Y, and Z-up worlds go where Pose2Sim puts them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trivox.geometry.axes import turned_upright, y_up_from_world
from trivox.geometry.poses import Poses
from trivox.geometry.skeletons import COCO_17

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
