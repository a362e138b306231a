"""The 3D soft-argmax: a mean, exact for peaks, uniform volumes and moved grids."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from trivox.geometry.volumes import Cube, soft_argmax_3d

DOUBLE = torch.float64
BATCHES = [(), (1,), (3, 1, 2)]


def scene(batch: tuple[int, ...], dtype: torch.dtype = DOUBLE) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    centre_mm = torch.randn(*batch, 3, dtype=dtype, generator=generator) * 1000
    angle = torch.randn(batch, dtype=dtype, generator=generator)
    grid_mm = Cube(2500.0, (4, 5, 6)).voxel_centres(centre_mm, angle)
    return torch.randn(*batch, 3, 4, 5, 6, dtype=dtype, generator=generator), grid_mm


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("softmax", [True, False])
def test_equals_a_loop_over_joints_and_voxels(batch: tuple[int, ...], softmax: bool) -> None:
    volumes, grid_mm = scene(batch)
    found = soft_argmax_3d(volumes, grid_mm, 1.7, softmax=softmax)
    assert found.points_mm.shape == (*batch, 3, 3) and found.volumes.shape == volumes.shape
    for index in np.ndindex(*batch, 3):
        values = 1.7 * volumes[index].numpy()
        weights = np.exp(values) / np.exp(values).sum() if softmax else np.maximum(values, 0)
        np.testing.assert_allclose(found.volumes[index], weights, atol=1e-12)
        expected = sum(weights[v] * grid_mm[index[:-1]][v].numpy() for v in np.ndindex(weights.shape))
        np.testing.assert_allclose(found.points_mm[index], expected, rtol=1e-9, atol=1e-9)


def test_a_uniform_volume_gives_the_centre_and_a_sharp_one_its_peak() -> None:
    volumes, grid_mm = scene((2,))
    centres = grid_mm.mean((1, 2, 3))[:, None].expand(-1, 3, -1)
    torch.testing.assert_close(soft_argmax_3d(volumes * 0, grid_mm).points_mm, centres)
    peaks = volumes.flatten(-3).argmax(-1)
    places = grid_mm.flatten(1, 3).gather(1, peaks[..., None].expand(-1, -1, 3))
    torch.testing.assert_close(soft_argmax_3d(volumes, grid_mm, 1e5).points_mm, places)


def test_points_move_and_turn_with_the_grid() -> None:
    volumes, grid_mm = scene((2,))
    shift = torch.tensor([100.0, -2000.0, 30.0], dtype=DOUBLE)
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=DOUBLE)).Q
    there = soft_argmax_3d(volumes, grid_mm @ turn.T + shift).points_mm
    torch.testing.assert_close(there, soft_argmax_3d(volumes, grid_mm).points_mm @ turn.T + shift)


def test_adding_a_number_to_all_voxels_changes_nothing() -> None:
    volumes, grid_mm = scene((2,))
    here, there = soft_argmax_3d(volumes, grid_mm), soft_argmax_3d(volumes + 1e3, grid_mm)
    torch.testing.assert_close(here.points_mm, there.points_mm)
    torch.testing.assert_close(here.volumes, there.volumes)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_volumes_are_summed_in_single(dtype: torch.dtype) -> None:
    volumes, grid_mm = scene((2,), torch.float32)
    low = soft_argmax_3d(volumes.to(dtype), grid_mm)
    assert low.points_mm.dtype == low.volumes.dtype == torch.float32
    torch.testing.assert_close(low.points_mm, soft_argmax_3d(volumes.to(dtype).float(), grid_mm).points_mm)


def test_an_autocast_costs_no_precision() -> None:
    centre_mm, angle = torch.tensor([[3000.0, 2000.0, 900.0]]), torch.tensor([0.7])
    volumes = torch.randn(1, 3, 8, 8, 8)

    def points_mm() -> Tensor:
        return soft_argmax_3d(volumes, Cube(size=8).voxel_centres(centre_mm, angle)).points_mm

    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = points_mm()
    assert torch.equal(inside, points_mm())


@pytest.mark.parametrize("softmax", [True, False])
def test_gradients_are_exact(softmax: bool) -> None:
    volumes, grid_mm = scene((2,))
    volumes, grid_mm = volumes.requires_grad_(), grid_mm.requires_grad_()

    def points_and_weights(volumes: Tensor, grid_mm: Tensor) -> tuple[Tensor, Tensor]:
        found = soft_argmax_3d(volumes, grid_mm, 1.3, softmax=softmax)
        return found.points_mm, found.volumes

    assert torch.autograd.gradcheck(points_and_weights, (volumes, grid_mm), fast_mode=True)


def test_saturated_volumes_have_finite_points_and_gradients() -> None:
    volumes, grid_mm = scene((2,), torch.float32)
    volumes = (volumes * 1e30).requires_grad_()
    points_mm = soft_argmax_3d(volumes, grid_mm, 100.0).points_mm
    points_mm.sum().backward()
    assert points_mm.isfinite().all() and volumes.grad is not None and volumes.grad.isfinite().all()
