"""Rigs and people for tests: cameras on a ring that look at the middle, and upright stick figures."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from trivox.geometry.cameras import Cameras

# COCO-17 joints of a standing adult, millimetres, z up, facing +x.
STANDING_MM = torch.tensor(
    [
        [100, 0, 1600], [80, 35, 1640], [80, -35, 1640], [20, 75, 1620], [20, -75, 1620],
        [0, 190, 1420], [0, -190, 1420], [20, 240, 1130], [20, -240, 1130], [60, 250, 880], [60, -250, 880],
        [0, 100, 930], [0, -100, 930], [20, 110, 500], [20, -110, 500], [-20, 110, 90], [-20, -110, 90],
    ],
    dtype=torch.float64,
)  # fmt: skip


def ring(views: int, radius_mm: float = 4000.0, distortion: tuple[float, ...] = (0.0,) * 5) -> Cameras:
    """`views` cameras of 1280x720 pixels, evenly on a circle 1.6 m high, looking at a point 1 m high in the middle."""
    angles = torch.arange(views, dtype=torch.float64) * (2 * math.pi / views) + 0.3
    centres = torch.stack([angles.cos() * radius_mm, angles.sin() * radius_mm, torch.full_like(angles, 1600)], -1)
    forward = torch.nn.functional.normalize(torch.tensor([0.0, 0.0, 1000.0]).double() - centres, dim=-1)
    down = torch.tensor([0.0, 0.0, -1.0]).double().expand_as(forward)
    right = torch.nn.functional.normalize(torch.linalg.cross(down, forward), dim=-1)
    R = torch.stack([right, torch.linalg.cross(forward, right), forward], dim=-2)
    K = torch.tensor([[700.0, 0, 640], [0, 700, 360], [0, 0, 1]]).double().expand(views, 3, 3)
    t_mm = -(R @ centres[..., None])[..., 0]
    size = torch.tensor([720, 1280]).expand(views, 2)
    return Cameras(K, R, t_mm, torch.tensor(distortion).double().expand(views, 5), image_hw=size)


def standing_people(places_mm: list[tuple[float, float]]) -> Tensor:
    """People (P, 17, 3) at these places on the floor, each turned and sized differently."""
    people = []
    for i, (x, y) in enumerate(places_mm):
        turn = torch.tensor(0.7 * i).double()
        c, s = float(turn.cos()), float(turn.sin())
        rotation = torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1]]).double()
        people.append(STANDING_MM @ rotation.T * (1 - 0.05 * i) + torch.tensor([x, y, 0]).double())
    return torch.stack(people)
