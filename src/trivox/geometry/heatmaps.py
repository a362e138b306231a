"""Heatmaps: peaks, soft-argmax, and targets to train them; with any leading batch axes, differentiable.

A heatmap of `stride` s has one cell per s x s pixels of its picture. Cells are named by the index of their
middle: cell coordinate i is pixel (i + 0.5) * s with the pixel origin at the picture's corner, so that sizes
and strides cancel.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from trivox.geometry.tensors import TensorDataclass


@dataclass(frozen=True)
class Peaks(TensorDataclass):
    """The best cell (x, y) of each heatmap and its value."""

    cells: Float[Tensor, "*b 2"]
    values: Float[Tensor, "*b"]


def pixel_from_cell(cells: Float[Tensor, "*b 2"], stride: float | int) -> Float[Tensor, "*b 2"]:
    """Pixels of cell coordinates: the middle of cell 0 lies half a stride inside the picture."""
    return (cells + 0.5) * stride


def cell_from_pixel(points_px: Float[Tensor, "*b 2"], stride: float | int) -> Float[Tensor, "*b 2"]:
    """Cell coordinates of pixels; the inverse of `pixel_from_cell`."""
    return points_px / stride - 0.5


def peaks(heatmaps: Float[Tensor, "*b h w"]) -> Peaks:
    """The largest value of each heatmap and its cell; the first in reading order among equals."""
    values, index = heatmaps.flatten(-2).max(dim=-1)
    width = heatmaps.shape[-1]
    return Peaks(torch.stack([index % width, index // width], dim=-1).to(heatmaps.dtype), values)


def soft_argmax(logits: Float[Tensor, "*b h w"], sharpness: float | int = 1.0) -> Float[Tensor, "*b 2"]:
    """The mean cell (x, y) under softmax(sharpness * logits); towards the peak as `sharpness` grows."""
    weights = torch.softmax(sharpness * logits.flatten(-2), dim=-1).unflatten(-1, logits.shape[-2:])
    # The mean along an axis needs only that axis' marginal.
    x = torch.arange(logits.shape[-1], dtype=logits.dtype, device=logits.device)
    y = torch.arange(logits.shape[-2], dtype=logits.dtype, device=logits.device)
    return torch.stack([weights.sum(dim=-2) @ x, weights.sum(dim=-1) @ y], dim=-1)


def gaussian_targets(
    cells: Float[Tensor, "*b 2"], hw: tuple[int, int], sigma_cells: float | int
) -> Float[Tensor, "*b h w"]:
    """Heatmaps of size `hw` with a Gaussian of height 1 around each of `cells`, which may lie anywhere."""
    y, x = (torch.arange(side, dtype=cells.dtype, device=cells.device) for side in hw)
    along_x = torch.exp(-((x - cells[..., :1]) ** 2) / (2 * sigma_cells**2))
    along_y = torch.exp(-((y - cells[..., 1:]) ** 2) / (2 * sigma_cells**2))
    return along_y[..., :, None] * along_x[..., None, :]
