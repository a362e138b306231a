"""Training data varied, with cameras that follow exactly: projecting after it equals varying what was projected.

Whatever is drawn depends on the seed, the epoch and the row alone, so that neither the number of processes nor an
interruption changes it. Pictures are not mirrored: a mirrored rig is no rig.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from trivox.data.samples import Sample
from trivox.geometry.cameras import Cameras
from trivox.training.config import Augmentation

# What is drawn apart, so that one setting does not change what another one draws.
_BOXES, _PICTURES, _CUBES = 1, 2, 3


def varied_boxes(
    boxes_px: Int[np.ndarray, "V 4"], options: Augmentation, seed: Sequence[int]
) -> Int[np.ndarray, "V 4"]:
    """Boxes scaled and shifted, each view on its own, as square as they were."""
    if not options.scale_box and not options.shift_box:
        return boxes_px
    rng = np.random.default_rng([_BOXES, *seed])
    low, high = boxes_px[:, :2], boxes_px[:, 2:]
    side = high - low
    factor = (1 + options.scale_box) ** rng.uniform(-1, 1, (len(boxes_px), 1))
    shift = options.shift_box * rng.uniform(-1, 1, (len(boxes_px), 2)) * side
    size = np.maximum(np.rint(side * factor), side > 0).astype(np.int64)
    corner = np.rint((low + high - size) / 2 + shift).astype(np.int64)
    return np.concatenate([corner, corner + size], -1)


def varied_pictures(sample: Sample, options: Augmentation, seed: Sequence[int]) -> Sample:
    """A single sample with its pictures turned in their planes and recoloured."""
    rng = np.random.default_rng([_PICTURES, *seed])
    views = len(sample.present)
    roll_rad = np.radians(options.roll_deg) * rng.normal(size=views)
    gains = [1 + share * rng.uniform(-1, 1, (views, n)) for share, n in _colours(options)]
    if options.roll_deg:
        sample = rolled(sample, torch.from_numpy(roll_rad))
    if any(share for share, _ in _colours(options)):
        brightness, contrast, colour = (torch.from_numpy(g).float()[..., None, None] for g in gains)
        sample = replace(sample, images=_recoloured(sample.images, brightness, contrast, colour))
    return sample


def _colours(options: Augmentation) -> tuple[tuple[float, int], ...]:
    return (options.brightness, 1), (options.contrast, 1), (options.colour, 3)


def _recoloured(images: Tensor, brightness: Tensor, contrast: Tensor, colour: Tensor) -> Tensor:
    mean = images.mean((-3, -2, -1), keepdim=True)
    return ((images - mean) * contrast + mean).mul(brightness).mul(colour).clamp(0, 1)


def rolled(sample: Sample, roll_rad: Float[Tensor, "V"]) -> Sample:
    """A single sample whose pictures are turned clockwise about their middle; what comes in from outside is black."""
    h, w = sample.images.shape[-2:]
    turns = turns_about((w / 2, h / 2), roll_rad)
    images = [_warped(image, turn) for image, turn in zip(sample.images, turns, strict=True)]
    return replace(sample, images=torch.stack(images), cameras=turned_in_plane(sample.cameras, turns))


def turns_about(middle: tuple[float, float], roll_rad: Float[Tensor, "V"]) -> Float[Tensor, "V 3 3"]:
    """`new_from_old` pixels of turns clockwise (y points down) about `middle` (x, y)."""
    sine, cosine = roll_rad.double().sin(), roll_rad.double().cos()
    x, y = middle
    zero, one = torch.zeros_like(sine), torch.ones_like(sine)
    rows = (cosine, -sine, x - cosine * x + sine * y, sine, cosine, y - sine * x - cosine * y, zero, zero, one)
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def turned_in_plane(cameras: Cameras, new_from_old: Float[Tensor, "V 3 3"]) -> Cameras:
    """Cameras of pictures that were moved by an affine map. The lens acts before K does, so it stays."""
    return replace(cameras, K=(new_from_old @ cameras.K.double()).to(cameras.K.dtype))


def _warped(image: Float[Tensor, "3 h w"], new_from_old: Float[Tensor, "3 3"]) -> Float[Tensor, "3 h w"]:
    """OpenCV counts from the centre of the first pixel, we count from its corner."""
    to_corner = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    matrix = np.linalg.inv(to_corner) @ new_from_old.numpy() @ to_corner
    h, w = image.shape[-2:]
    picture = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    warped = cv2.warpAffine(picture, matrix[:2], (w, h), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return torch.from_numpy(warped).permute(2, 0, 1)


def varied_cubes(
    centre_mm: Float[Tensor, "B 3"], rows: Int[Tensor, "B"], options: Augmentation, seed: Sequence[int]
) -> tuple[Float[Tensor, "B 3"], Float[Tensor, "B"]]:
    """Shifted centres, and the angle of each cube about the vertical in radians."""
    drawn = [np.random.default_rng([_CUBES, *seed, row]).random(7) for row in rows.tolist()]
    numbers = torch.from_numpy(np.stack(drawn)).to(centre_mm)
    # Box and Muller: normal numbers of uniform ones.
    normal = (-2 * (1 - numbers[:, :3]).log()).sqrt() * (2 * torch.pi * numbers[:, 3:6]).cos()
    angle = numbers[:, 6] * 2 * torch.pi * options.turn_cubes
    return centre_mm + options.shift_cubes_mm * normal, angle
