"""Cells and pixels, peaks, soft-argmax and targets agree with each other, with loops, with the reference."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trivox.geometry.heatmaps import cell_from_pixel, gaussian_targets, peaks, pixel_from_cell, soft_argmax

BATCHES = [(), (1,), (3, 1, 2)]


@given(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), st.sampled_from([1.0, 4.0, 2.5]))
def test_cells_and_pixels_are_inverse(x: float, y: float, stride: float) -> None:
    points = torch.tensor([x, y], dtype=torch.float64)
    torch.testing.assert_close(pixel_from_cell(cell_from_pixel(points, stride), stride), points)


@pytest.mark.parametrize("stride", [1, 4, 8])
def test_grid_of_cells_covers_the_picture_evenly(stride: int) -> None:
    """First and last cell lie equally far from the picture's borders, half a stride."""
    ends = pixel_from_cell(torch.tensor([[0.0, 0.0], [9.0, 5.0]]), stride)
    assert torch.equal(ends[0], torch.tensor([10.0, 6.0]) * stride - ends[1])


def test_enlarging_a_heatmap_does_not_move_its_pixel() -> None:
    """The mean of a map and of its copy with every cell doubled is one pixel, thanks to the corner origin."""
    small = torch.randn(5, 6, 7, dtype=torch.float64)
    large = small.repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2)
    torch.testing.assert_close(pixel_from_cell(soft_argmax(small), 8), pixel_from_cell(soft_argmax(large), 4))


@pytest.mark.parametrize("batch", BATCHES)
def test_peaks_equal_a_loop(batch: tuple[int, ...]) -> None:
    maps = torch.randn(*batch, 5, 7)
    found = peaks(maps)
    assert found.cells.shape == (*batch, 2)
    for index in np.ndindex(batch):
        y, x = np.unravel_index(maps[index].numpy().argmax(), (5, 7))
        assert found.cells[index].tolist() == [x, y]
        assert found.values[index] == maps[index][y, x]


@pytest.mark.parametrize("batch", BATCHES)
def test_targets_have_their_peak_and_mean_where_asked(batch: tuple[int, ...]) -> None:
    cells = torch.rand(*batch, 2, dtype=torch.float64) * 4 + 14
    maps = gaussian_targets(cells, (32, 36), sigma_cells=2.0)
    assert maps.shape == (*batch, 32, 36)
    torch.testing.assert_close(soft_argmax(maps.log()), cells, atol=1e-6, rtol=0)
    torch.testing.assert_close(peaks(maps).cells, cells.round())


def test_targets_equal_the_formula_cell_by_cell() -> None:
    maps = gaussian_targets(torch.tensor([2.25, 0.5]), (3, 4), sigma_cells=1.5)
    for y in range(3):
        for x in range(4):
            expected = np.exp(-((x - 2.25) ** 2 + (y - 0.5) ** 2) / (2 * 1.5**2))
            assert maps[y, x].item() == pytest.approx(expected, rel=1e-6)


def test_soft_argmax_moves_with_the_map_and_sharpens_to_the_peak() -> None:
    maps = torch.full((2, 20, 20), -30.0, dtype=torch.float64)
    maps[:, 4:9, 5:11] = torch.randn(2, 5, 6, dtype=torch.float64)
    moved = maps.roll((3, 2), dims=(-2, -1))
    shift = torch.tensor([2.0, 3.0], dtype=torch.float64).expand(2, 2)
    torch.testing.assert_close(soft_argmax(moved) - soft_argmax(maps), shift)
    torch.testing.assert_close(soft_argmax(maps, sharpness=1e4), peaks(maps).cells)


def test_gradients_are_exact() -> None:
    maps = torch.randn(2, 4, 5, dtype=torch.float64, requires_grad=True)
    cells = torch.rand(3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda m: soft_argmax(m, 3.0), maps)
    assert torch.autograd.gradcheck(lambda c: gaussian_targets(c, (4, 5), 1.3), cells)
