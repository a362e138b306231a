"""Gradients of unprojection: exact in torch, the same from the kernel, and small in memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from test_unprojection import AGGREGATIONS, KERNEL, LENS, TORCH, scene
from torch import Tensor

from trivox.geometry.volumes import Cube

MASK = torch.tensor([[True, False, True], [True, True, True]])
BOTH = pytest.mark.parametrize("dtype", [KERNEL, TORCH], ids=["kernel", "torch"])
EACH = pytest.mark.parametrize("aggregation", AGGREGATIONS)


def gradients(dtype: torch.dtype, aggregation: str, slope: Tensor, **scene_options: Any) -> list[Tensor]:
    """Of the sum of slope times volume, with respect to maps and confidences."""
    given = scene(torch.float32, **scene_options)
    maps, confidences = (t.to(dtype).requires_grad_() for t in (given.maps, given.confidences))
    volume = given._replace(maps=maps, confidences=confidences).volume(aggregation, view_mask=MASK)
    wanted = [maps, confidences] if aggregation.startswith("conf") else [maps]
    return list(torch.autograd.grad((volume * slope.to(dtype)).sum(), wanted))


@EACH
@pytest.mark.parametrize("lens", [LENS, (0.0,) * 5], ids=["lens", "no lens"])
@pytest.mark.parametrize("channels", [3, 16, 35])
def test_the_kernel_has_the_gradients_of_torch(aggregation: str, lens: Any, channels: int) -> None:
    slope = torch.randn(2, channels, 5, 6, 7, generator=torch.Generator().manual_seed(1))
    ours = gradients(KERNEL, aggregation, slope, channels=channels, lens=lens)
    exact = gradients(TORCH, aggregation, slope, channels=channels, lens=lens)
    for a, b in zip(ours, exact, strict=True):
        assert (b != 0).any()
        torch.testing.assert_close(a.double(), b, atol=5e-4, rtol=1e-4)


@EACH
def test_gradients_are_exact(aggregation: str) -> None:
    given = scene(TORCH, channels=2, hw=(4, 6))
    grid_mm = given.grid_mm[:, ::2, ::3, ::3]

    def volume(maps: Tensor, confidences: Tensor) -> Tensor:
        changed = given._replace(maps=maps, confidences=confidences, grid_mm=grid_mm)
        return changed.volume(aggregation, view_mask=MASK)

    inputs = given.maps.requires_grad_(), given.confidences.requires_grad_()
    assert torch.autograd.gradcheck(volume, inputs, fast_mode=True)


@BOTH
@EACH
def test_masked_views_and_saturated_maps_leave_no_trace(dtype: torch.dtype, aggregation: str) -> None:
    given = scene(dtype)
    maps, confidences = given.maps * 1e15, given.confidences * 1
    maps[0, 1], confidences[0, 1] = torch.nan, torch.nan
    maps, confidences = maps.requires_grad_(), confidences.requires_grad_()
    volume = given._replace(maps=maps, confidences=confidences).volume(aggregation, view_mask=MASK)
    wanted = [maps, confidences] if aggregation.startswith("conf") else [maps]
    for gradient in torch.autograd.grad(volume.sum(), wanted):
        assert gradient.isfinite().all()
        assert (gradient[0, 1] == 0).all()


@BOTH
def test_only_maps_and_confidences_have_gradients(dtype: torch.dtype) -> None:
    given = scene(dtype)
    grid_mm = given.grid_mm.requires_grad_()
    assert not given._replace(grid_mm=grid_mm).volume("sum").requires_grad
    volume = given._replace(grid_mm=grid_mm, maps=given.maps.requires_grad_()).volume("sum")
    volume.sum().backward()
    assert grid_mm.grad is None


@BOTH
@EACH
def test_less_than_one_volume_is_kept_for_the_gradient(dtype: torch.dtype, aggregation: str) -> None:
    given = scene(dtype, views=6, channels=8)
    grid_mm = Cube(2500.0, 20).voxel_centres(given.grid_mm.mean((1, 2, 3)))
    given = given._replace(grid_mm=grid_mm, maps=given.maps.requires_grad_())
    kept: dict[int, int] = {}

    def note(t: Tensor) -> Tensor:
        kept[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        volume = given.volume(aggregation)
    assert sum(kept.values()) > 0 or dtype == TORCH
    assert sum(kept.values()) < volume.numel() * volume.element_size()
