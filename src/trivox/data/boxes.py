"""Boxes in whole pixels: around joints, squared, scaled. Left, top, right, bottom; the last two exclusive.

The rules are those of the published system, down to how halves are cut (`//` is floor division): a network sees people
the way its boxes were cut.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from trivox.geometry.cameras import Cameras

# A body is as much larger than its joints.
_MARGIN = 0.1
_FEWEST_JOINTS = 3


def boxes_around_joints(
    camera: Cameras, points_mm: Float[np.ndarray, "N J 3"], valid: Bool[np.ndarray, "N J"]
) -> Int[np.ndarray, "N 4"]:
    """Boxes around the projected joints, a tenth of the longer side wider on each side, as far as they lie in the
    picture of `camera` (batch shape `()`, its size known).

    A person with fewer than three joints in the picture (or all, of skeletons of fewer) is missing there: all 0.
    """
    points = torch.from_numpy(points_mm).double().flatten(0, 1)
    pixels = camera.project(points).numpy().reshape(*valid.shape, 2)
    in_front = camera.depth_mm(points).numpy().reshape(valid.shape) > 0
    assert camera.image_hw is not None, "the size of the picture is known"
    size = camera.image_hw.flip(-1).numpy()
    seen = valid & in_front
    inside = seen & ((pixels >= 0) & (pixels < size)).all(-1)
    low = np.where(seen[..., None], pixels, np.inf).min(1, initial=np.inf)
    high = np.where(seen[..., None], pixels, -np.inf).max(1, initial=-np.inf)
    enough = (inside.sum(-1) >= min(_FEWEST_JOINTS, valid.shape[1]))[:, None]
    low, high = np.where(enough, low, 0.0), np.where(enough, high, 0.0)
    margin = _MARGIN * (high - low).max(-1, keepdims=True)
    low, high = np.maximum(np.floor(low - margin), 0), np.minimum(np.ceil(high + margin), size)
    boxes = np.concatenate([low, high], -1)
    return np.where(enough, boxes, 0).astype(np.int64)


def squared(boxes: Int[np.ndarray, "*b 4"]) -> Int[np.ndarray, "*b 4"]:
    """The shorter side made as long as the longer, about the middle."""
    left, top, right, bottom = np.moveaxis(boxes.astype(np.int64), -1, 0)
    width, height = right - left, bottom - top
    is_wide = width > height
    new_top = np.where(is_wide, (top + bottom) // 2 - width // 2, top)
    new_left = np.where(is_wide, left, (left + right) // 2 - height // 2)
    side = np.maximum(width, height)
    return np.stack([new_left, new_top, new_left + side, new_top + side], -1)


def scaled(boxes: Int[np.ndarray, "*b 4"], factor: float) -> Int[np.ndarray, "*b 4"]:
    """Both sides times `factor`, cut to whole pixels, about the middle."""
    boxes = boxes.astype(np.int64)
    low, high = boxes[..., :2], boxes[..., 2:]
    size = np.trunc(factor * (high - low)).astype(np.int64)
    new_low = (low + high) // 2 - size // 2
    return np.concatenate([new_low, new_low + size], -1)


def squared_about_rounded_middle(boxes: Int[np.ndarray, "*b 4"]) -> Int[np.ndarray, "*b 4"]:
    """As `squared`, but the shifted side is rounded, halves to even: how boxes of Human3.6M's masks are made."""
    left, top, right, bottom = np.moveaxis(boxes.astype(np.int64), -1, 0)
    width, height = right - left, bottom - top
    is_wide = height < width
    new_top = np.where(is_wide, np.round((top + bottom) / 2 - width / 2).astype(np.int64), top)
    new_left = np.where(is_wide, left, np.round((left + right) / 2 - height / 2).astype(np.int64))
    side = np.maximum(width, height)
    return np.stack([new_left, new_top, new_left + side, new_top + side], -1)
