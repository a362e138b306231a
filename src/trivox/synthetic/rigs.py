"""Where cameras stand: around a room, in its corners, along one side, under the ceiling, on tripods, or anyhow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import torch

from trivox.geometry.distortion import DistortionModel, lens_rows
from trivox.synthetic.rotations import about, unit

RigKind = Literal["ring", "corner", "one-sided", "ceiling", "tripod", "any"]
RIG_KINDS: tuple[RigKind, ...] = get_args(RigKind)


@dataclass(frozen=True)
class View:
    """One exact camera: `x_cam = R x_world + t_mm`, corner pixel origin, any lens of distortion.py, all float64."""

    K: np.ndarray
    R: np.ndarray
    t_mm: np.ndarray
    distortion: np.ndarray
    image_hw: tuple[int, int]
    distortion_model: DistortionModel = "opencv"

    @cached_property
    def lens(self) -> np.ndarray:
        """The lens as the kernels read it (`lens_rows`)."""
        return lens_rows(torch.from_numpy(self.distortion), self.distortion_model).numpy()

    @property
    def position_mm(self) -> np.ndarray:
        return -self.R.T @ self.t_mm


def draw_rig(
    rng: np.random.Generator,
    kind: RigKind,
    count: int,
    room_half_mm: np.ndarray,
    image_hw: tuple[int, int],
    middle_mm: np.ndarray,
) -> list[View]:
    """Cameras that look at people around `middle_mm`, from inside of the room (half sizes x, y and full height)."""
    return [_aimed(rng, eye, image_hw, middle_mm) for eye in _places(rng, kind, count, room_half_mm)]


def _places(rng: np.random.Generator, kind: RigKind, count: int, room: np.ndarray) -> np.ndarray:
    """Camera centres (count, 3)."""
    start, ceiling = rng.uniform(0, 2 * np.pi), room[2]
    around = start + 2 * np.pi * (np.arange(count) + rng.uniform(-0.25, 0.25, count)) / count
    height = np.full(count, rng.uniform(1100, min(2400, ceiling - 200))) + rng.uniform(-250, 250, count)
    match kind:
        case "corner":
            around = np.pi / 4 + np.pi / 2 * (np.arange(count) % 4) + rng.normal(size=count) * 0.08
            height = rng.uniform(1500, ceiling - 150, count)
        case "one-sided":
            around = start + np.radians(rng.uniform(70, 130)) * (np.arange(count) / max(count - 1, 1) - 0.5)
        case "ceiling":
            height = ceiling - rng.uniform(80, 350, count)
        case "tripod":
            rng.random()  # nothing needs this number any more; those after it keep their places
            around = start + 2 * np.pi * (np.arange(count) + rng.uniform(0, 0.8, count)) / count
            height = rng.uniform(750, 1650, count)
        case "any":
            around = rng.uniform(0, 2 * np.pi, count)
            height = rng.uniform(400, ceiling - 120, count)
        case _:
            pass
    direction = np.stack([np.cos(around), np.sin(around)], 1)
    to_wall = np.min((room[:2] - 180) / np.maximum(np.abs(direction), 1e-9), axis=1)
    nearest = 1900.0
    distance = np.minimum(to_wall, 5500.0)
    if kind != "corner":
        distance = nearest + (distance - nearest) * rng.uniform(0.55, 1.0, count)
    return np.concatenate([direction * distance[:, None], height[:, None]], 1)


def _aimed(rng: np.random.Generator, eye: np.ndarray, image_hw: tuple[int, int], middle_mm: np.ndarray) -> View:
    """A camera that sees people of ordinary size filling a third to four fifths of its picture."""
    h, w = image_hw
    target = np.array([*middle_mm[:2], 900.0]) + rng.normal(size=3) * [160, 160, 110]
    forward = unit(target - eye)
    right = unit(np.cross(forward, [0.0, 0.0, 1.0] if abs(forward[2]) < 0.98 else [0.0, 1.0, 0.0]))
    R = about("z", rng.normal() * np.radians(2.5)) @ np.stack([right, np.cross(forward, right), forward])
    distance = np.linalg.norm(target - eye)
    focal = rng.uniform(0.36, 0.8) * min(h, 1.2 * w) * distance / 1800.0
    focal = float(np.clip(focal, 0.5 * max(h, w), 4.0 * max(h, w)))
    ratio = 1 + rng.normal() * 0.002
    shift = rng.normal(size=2) * 0.012 * np.array([w, h])
    K = np.array([[focal, 0, w / 2 + shift[0]], [0, focal * ratio, h / 2 + shift[1]], [0, 0, 1.0]])
    return View(K, R, -R @ eye, _lens(rng, focal, np.hypot(h, w) / 2), image_hw)


def _lens(rng: np.random.Generator, focal: float, corner_px: float) -> np.ndarray:
    """Lens terms whose polynomial grows far beyond the corner of the picture."""
    k1 = rng.choice([rng.normal() * 0.02, rng.uniform(-0.22, -0.03), rng.uniform(0.0, 0.06)], p=[0.4, 0.5, 0.1])
    k2 = rng.uniform(0.0, 0.5) * k1 * k1 + rng.normal() * 0.004
    reach = 1.35 * corner_px / focal
    lens = np.array([k1, k2, rng.normal() * 4e-4, rng.normal() * 4e-4, 0.0])
    r2 = np.linspace(0, reach, 50) ** 2
    while (1 + 3 * lens[0] * r2 + 5 * lens[1] * r2**2).min() < 0.35:
        lens = lens * 0.8
    return lens


def disturbed(rng: np.random.Generator, view: View, amount: float) -> View:
    """The camera as a calibration with errors tells it: 1 is a hasty one (0.2 degrees, 6 mm, 0.4 % of the focal)."""
    a, b, c = rng.normal(size=3) * amount * np.radians(0.2)
    R = about("x", a) @ about("y", b) @ about("z", c) @ view.R
    position = view.position_mm + rng.normal(size=3) * amount * 6.0
    K = view.K.copy()
    K[[0, 1], [0, 1]] *= 1 + rng.normal() * amount * 0.004
    K[:2, 2] += rng.normal(size=2) * amount * 0.002 * max(view.image_hw)
    distortion = view.distortion.copy()
    distortion[0] += rng.normal() * amount * 0.004
    return replace(view, K=K, R=R, t_mm=-R @ position, distortion=distortion)
