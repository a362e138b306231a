"""Cameras and observations for the tests of triangulation."""

from __future__ import annotations

from dataclasses import fields

import torch
from rigs import ring
from torch import Tensor

from trivox.geometry.cameras import Cameras
from trivox.geometry.triangulated import Triangulated

LENS = (-0.21, 0.19, 0.0011, -0.0017, -0.03)
BATCH_SHAPES = [(), (1,), (3, 1, 2)]


def random_generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def points_in_room(*shape: int, seed: int = 0) -> Tensor:
    """Points (*shape, 3) within a metre or so of the middle of a ring of cameras."""
    points_mm = torch.randn(*shape, 3, generator=random_generator(seed), dtype=torch.float64) * 400
    return points_mm + torch.tensor([0.0, 0.0, 1000.0])


def observed(points_mm: Tensor, cameras: Cameras, noise_px: float = 0.0, seed: int = 1) -> Tensor:
    """Pixels (*b, V, J, 2) of points (*b, J, 3) in cameras (V,), lens and noise included."""
    *batch, joints, _ = points_mm.shape
    (views,) = cameras.batch_shape
    pixels = cameras.project(points_mm.reshape(1, -1, 3).expand(views, -1, 3))
    pixels = pixels.reshape(views, -1, joints, 2).movedim(0, 1).reshape(*batch, views, joints, 2)
    noise = torch.randn(pixels.shape, generator=random_generator(seed), dtype=torch.float64)
    return pixels + noise_px * noise


def random_weights(*shape: int, seed: int = 2) -> Tensor:
    return torch.rand(*shape, generator=random_generator(seed), dtype=torch.float64) * 0.9 + 0.1


def tensors_of(result: Triangulated) -> dict[str, Tensor]:
    """Every field by name, without those that only networks fill."""
    named = {field.name: getattr(result, field.name) for field in fields(result)}
    return {name: value for name, value in named.items() if value is not None}


def ring_with(views: int, lens: bool) -> Cameras:
    return ring(views, distortion=LENS if lens else (0.0,) * 5)
