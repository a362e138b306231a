"""Cubes touch their faces, lie around their centre, and turn about the vertical alone."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trivox.errors import InputError
from trivox.geometry.volumes import Cube, rotation_about

DOUBLE = torch.float64
BATCHES = [(), (1,), (3, 1, 2)]
coordinate = st.floats(-2, 2)
vectors = st.tuples(coordinate, coordinate, coordinate).filter(lambda v: math.hypot(*v) > 1e-2)
angles = st.floats(-7, 7)


@given(vectors, angles, angles)
def test_rotations_keep_their_axis_and_add_up(axis: tuple[float, ...], first: float, second: float) -> None:
    about = torch.tensor(axis, dtype=DOUBLE)
    a, b, both = (rotation_about(about, torch.tensor(x, dtype=DOUBLE)) for x in (first, second, first + second))
    torch.testing.assert_close(a @ b, both)
    torch.testing.assert_close(a @ about, about)
    torch.testing.assert_close(a @ a.T, torch.eye(3, dtype=DOUBLE))


@given(vectors, angles)
def test_rotation_is_the_exponential_of_the_cross_product(axis: tuple[float, ...], angle: float) -> None:
    about = torch.tensor(axis, dtype=DOUBLE)
    x, y, z = (about / about.norm() * angle).tolist()
    cross = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=DOUBLE)
    torch.testing.assert_close(
        rotation_about(about, torch.tensor(angle, dtype=DOUBLE)), torch.linalg.matrix_exp(cross), atol=1e-9, rtol=0
    )


def test_a_quarter_turn_is_counter_clockwise_from_the_tip() -> None:
    quarter = rotation_about(torch.tensor([0.0, 0.0, 2.0]), torch.tensor(math.pi / 2))
    torch.testing.assert_close(quarter @ torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]))


@pytest.mark.parametrize("batch", BATCHES)
def test_rotations_have_gradients_and_batches(batch: tuple[int, ...]) -> None:
    axis = torch.randn(*batch, 3, dtype=DOUBLE, requires_grad=True)
    angle = torch.randn(batch, dtype=DOUBLE, requires_grad=True)
    assert rotation_about(axis, angle).shape == (*batch, 3, 3)
    assert torch.autograd.gradcheck(rotation_about, (axis, angle))


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("size", [2, 5, (2, 3, 4)])
def test_grid_equals_its_formula(batch: tuple[int, ...], size: int | tuple[int, int, int]) -> None:
    centre_mm = torch.randn(*batch, 3, dtype=DOUBLE) * 1000
    cube = Cube(700.0, size)
    grid_mm = cube.voxel_centres(centre_mm)
    assert grid_mm.shape == (*batch, *cube.xyz, 3)
    for index in torch.cartesian_prod(*(torch.arange(n) for n in cube.xyz)):
        share = index.double() / (torch.tensor(cube.xyz) - 1)
        expected = centre_mm - 350 + 700 * share
        torch.testing.assert_close(grid_mm[(..., *index.tolist(), slice(None))], expected)


@pytest.mark.parametrize("up", ["x", "y", "z", "-x", "-y", "-z"])
@pytest.mark.parametrize("exchanged", [False, True])
def test_turning_keeps_centre_height_and_distances(up: str, exchanged: bool) -> None:
    centre_mm = torch.randn(3, 3, dtype=DOUBLE) * 1000
    cube = Cube(900.0, (3, 4, 5), up, exchanged)  # type: ignore[arg-type]
    straight, turned = cube.voxel_centres(centre_mm), cube.voxel_centres(centre_mm, torch.tensor([0.3, 2.0, -9.0]))
    axis = "xyz".index(up[-1])
    torch.testing.assert_close(turned[..., axis], straight[..., axis])
    torch.testing.assert_close(turned.mean((1, 2, 3)), centre_mm)
    middle = centre_mm[:, None, None, None]
    torch.testing.assert_close((turned - middle).norm(dim=-1), (straight - middle).norm(dim=-1))
    assert not torch.allclose(turned, straight)


def test_an_axis_that_points_down_turns_the_other_way() -> None:
    centre_mm, angle = torch.zeros(3, dtype=DOUBLE), torch.tensor(0.4, dtype=DOUBLE)
    down = Cube(size=3, up="-y").voxel_centres(centre_mm, angle)
    torch.testing.assert_close(down, Cube(size=3, up="y").voxel_centres(centre_mm, -angle))


@pytest.mark.parametrize("size", [3, 6])
def test_exchanged_axes_show_the_same_points_in_another_order(size: int) -> None:
    centre_mm, angle = torch.randn(2, 3, dtype=DOUBLE), torch.randn(2, dtype=DOUBLE)
    plain = Cube(1000.0, size, "y").voxel_centres(centre_mm, angle)
    exchanged = Cube(1000.0, size, "y", exchanged=True).voxel_centres(centre_mm, angle)
    for j in range(size):
        for k in range(size):
            torch.testing.assert_close(exchanged[:, :, j, k], plain[:, :, k, size - 1 - j])


def test_gradients_reach_the_centre_and_the_angle() -> None:
    centre_mm = torch.randn(2, 3, dtype=DOUBLE, requires_grad=True)
    angle = torch.randn(2, dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(Cube(10.0, 2).voxel_centres, (centre_mm, angle))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"side_mm": 0.0}, "above 0"),
        ({"side_mm": math.nan}, "above 0"),
        ({"side_mm": math.inf}, "above 0"),
        ({"side_mm": 1e308}, "at most"),
        ({"size": 1}, "at least 2"),
        ({"size": (4, 1, 4)}, "at least 2"),
    ],
)
def test_a_cube_that_cannot_be_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Cube(**wrong)  # type: ignore[arg-type]


def test_a_wrong_axis_is_refused_also_where_types_are_not_checked() -> None:
    cube = Cube()
    object.__setattr__(cube, "up", "w")
    with pytest.raises(InputError, match="up axis 'w'"):
        cube.__post_init__()
