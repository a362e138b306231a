"""Where a voxel falls in the map of a view, and what the map holds there, in torch.

A map is sampled bilinearly between the centres of its cells, with zeros outside. `Sampling` tells at which cell
index a pixel u of a map of S cells lies:

    "exact"      u - 0.5, since cell i covers the pixels i to i + 1.
    "reference"  u (S - 1) / S, the published system's. Its weights have absorbed the error.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from trivox.geometry.cameras import Cameras

Sampling = Literal["exact", "reference"]

# A cell that no bilinear sample reaches.
_NOWHERE = -2.0


def cell_of_pixel(map_hw: tuple[int, int], sampling: Sampling) -> tuple[tuple[float, float], tuple[float, float]]:
    """Scale and shift, each (x, y), from pixels to cells."""
    h, w = map_hw
    if sampling == "exact":
        return (1.0, 1.0), (-0.5, -0.5)
    return ((w - 1) / w, (h - 1) / h), (0.0, 0.0)


def cells_of_points(
    points_mm: Float[Tensor, "B N 3"],
    cameras: Cameras | Float[Tensor, "B V 3 4"],
    map_hw: tuple[int, int],
    sampling: Sampling,
) -> Float[Tensor, "B V N 2"]:
    """Cell coordinates (x, y) of world points; far outside for a point that is not in front of the camera."""
    pixels, depth = _project(points_mm[:, None], cameras)
    sizes = pixels.new_tensor([map_hw[1], map_hw[0]])
    scale, shift = cell_of_pixel(map_hw, sampling)
    cells = pixels * pixels.new_tensor(scale) + pixels.new_tensor(shift)
    seen = (depth > 0) & ((cells > -1) & (cells < sizes)).all(-1)
    return torch.where(seen[..., None], cells, _NOWHERE)


def _project(points_mm: Tensor, cameras: Cameras | Tensor) -> tuple[Tensor, Tensor]:
    """Pixels of the maps and depths, in the finer precision of points and cameras."""
    if isinstance(cameras, Cameras):
        dtype = torch.promote_types(points_mm.dtype, cameras.K.dtype)
        cameras, points_mm = cameras.to(dtype=dtype), points_mm.to(dtype)
        return cameras.project(points_mm), cameras.depth_mm(points_mm)
    dtype = torch.promote_types(points_mm.dtype, cameras.dtype)
    P, points_mm = cameras.to(dtype), points_mm.to(dtype)
    rows = points_mm @ P[..., :3].mT + P[..., None, :, 3]
    depth = rows[..., 2]
    return rows[..., :2] / torch.where(depth > 0, depth, 1.0)[..., None], depth


def sample(maps: Float[Tensor, "B V C h w"], cells: Float[Tensor, "B V N 2"]) -> Float[Tensor, "B V C N"]:
    """Bilinear samples of maps at cell coordinates, zero outside; differentiable in the maps."""
    sizes = cells.new_tensor([maps.shape[-1], maps.shape[-2]])
    places = ((2 * cells + 1) / sizes - 1).to(maps.dtype)
    samples = F.grid_sample(maps.flatten(0, 1), places.flatten(0, 1)[:, None], align_corners=False)
    return samples[:, :, 0].unflatten(0, maps.shape[:2])
