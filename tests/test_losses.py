"""Losses against loops, their gradients, and what invalid joints and extreme volumes do to them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from trivox.losses import l2, mae, mse, mse_smooth, nearest_voxels, volumetric_cross_entropy

LOSSES = {"mse": mse, "mse_smooth": mse_smooth, "mae": mae, "l2": l2}


def smooth(squared: float) -> float:
    return squared if squared <= 400 else squared**0.1 * 400**0.9


PER_COORDINATE = {"mse": lambda d: d * d, "mse_smooth": lambda d: smooth(d * d), "mae": abs}


def joints(*batch: int, noise_mm: float = 25.0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(len(batch))
    truth = 1000 * torch.randn(*batch, 7, 3, generator=generator, dtype=torch.float64)
    points = truth + noise_mm * torch.randn(*batch, 7, 3, generator=generator, dtype=torch.float64)
    return points, truth, torch.rand(*batch, 7, generator=generator) < 0.7


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("batch", [(), (1,), (3, 2)])
def test_against_a_loop(name: str, batch: tuple[int, ...]) -> None:
    points, truth, valid = joints(*batch)
    total, count = 0.0, 0
    for p, t, v in zip(points.reshape(-1, 3), truth.reshape(-1, 3), valid.flatten(), strict=True):
        if v:
            count += 1
            differences = [float(a - b) for a, b in zip(p, t, strict=True)]
            total += math.hypot(*differences) * 3 if name == "l2" else sum(map(PER_COORDINATE[name], differences))
    assert LOSSES[name](points, truth, valid).item() == pytest.approx(total / (3 * count), rel=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_the_derivatives(name: str) -> None:
    points, truth, valid = joints(2)
    points.requires_grad_()
    assert torch.autograd.gradcheck(lambda p: LOSSES[name](p, truth, valid), (points,))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("nobody", [False, True])
def test_invalid_joints_hold_anything(name: str, nobody: bool) -> None:
    points, truth, valid = joints(2)
    valid = valid & (not nobody)
    assert not valid.all()
    expected = LOSSES[name](points, truth, valid)
    truth[~valid] = math.nan
    points.requires_grad_()
    found = LOSSES[name](points, truth, valid)
    found.backward()
    assert torch.equal(found, expected) and (found == 0) == nobody
    assert points.grad is not None and not points.grad[~valid].any() and points.grad.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
def test_the_truth_costs_nothing_and_has_no_slope(name: str) -> None:
    _, truth, valid = joints(2)
    points = truth.clone().requires_grad_()
    loss = LOSSES[name](points, truth, valid)
    loss.backward()
    assert loss == 0 and points.grad is not None and not points.grad.any()


def test_outliers_pull_less_when_smooth() -> None:
    truth, valid = torch.zeros(1, 3), torch.ones(1, dtype=torch.bool)
    values = {x: mse_smooth(torch.full((1, 3), x), truth, valid).item() for x in (10.0, 20.0, 20.001, 2000.0)}
    assert values[10.0] == pytest.approx(100) and values[20.0] == pytest.approx(400)
    assert values[20.001] == pytest.approx(400, rel=1e-4)
    assert values[2000.0] == pytest.approx(400 * 10**0.4)  # (100 times as far)^0.2
    assert mse_smooth(truth + 2, truth, valid, threshold=1.0).item() == pytest.approx(4**0.1)


def cube(batch: int, size: tuple[int, int, int]) -> Tensor:
    """Turned cubes of voxels 100 mm apart."""
    axes = [100.0 * (torch.arange(n, dtype=torch.float64) - (n - 1) / 2) for n in size]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    generator = torch.Generator().manual_seed(1)
    turns = torch.linalg.qr(torch.randn(batch, 3, 3, generator=generator, dtype=torch.float64)).Q
    return torch.einsum("bij,xyzj->bxyzi", turns, grid)


def test_nearest_voxels_against_a_search() -> None:
    grid = cube(2, (4, 5, 6))
    points = 200 * torch.randn(2, 9, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    points[0, 0] = 1e5  # far outside
    for b, found in enumerate(nearest_voxels(grid, points)):
        for point, index in zip(points[b], found, strict=True):
            distances = (grid[b].reshape(-1, 3) - point).norm(dim=-1)
            assert distances[index] == distances.min()


def test_cross_entropy_is_minus_the_log_of_the_probability_there() -> None:
    grid = cube(2, (4, 4, 4))
    logits = torch.randn(2, 3, 4, 4, 4, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    volumes = logits.flatten(2).softmax(-1).view_as(logits)
    valid = torch.tensor([[True, False, True], [True, True, True]])
    voxel = {(0, 0): (0, 1, 2), (0, 2): (3, 3, 3), (1, 0): (2, 2, 0), (1, 1): (0, 0, 0), (1, 2): (1, 3, 2)}
    truth, expected = torch.full((2, 3, 3), math.nan, dtype=torch.float64), 0.0
    for (b, j), place in voxel.items():
        truth[b, j] = grid[b][place] + 20  # less than half a voxel away
        expected -= math.log(float(volumes[b, j][place]) + 1e-6) / 6  # the invalid joint counts
    assert volumetric_cross_entropy(volumes, grid, truth, valid).item() == pytest.approx(expected, rel=1e-12)


def test_cross_entropy_gradients() -> None:
    grid, valid = cube(1, (3, 3, 3)), torch.tensor([[True, False]])
    volumes = torch.rand(1, 2, 3, 3, 3, dtype=torch.float64).requires_grad_()
    truth = torch.zeros(1, 2, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda v: volumetric_cross_entropy(v, grid, truth, valid), (volumes,))


@pytest.mark.parametrize(("believed", "cost"), [((0, 0, 0), -math.log(1e-6)), ((1, 1, 1), 0.0)])
def test_cross_entropy_of_saturated_volumes_is_finite(believed: tuple[int, int, int], cost: float) -> None:
    volumes = torch.zeros(1, 1, 3, 3, 3)
    volumes[0, 0][believed] = 1
    volumes.requires_grad_()
    valid = torch.ones(1, 1, dtype=torch.bool)
    loss = volumetric_cross_entropy(volumes, cube(1, (3, 3, 3)).float(), torch.zeros(1, 1, 3), valid)
    loss.backward()
    assert loss.item() == pytest.approx(cost, abs=1e-5)
    assert volumes.grad is not None and volumes.grad.isfinite().all()
