"""Boxes in whole pixels: squared and scaled. Left, top, right, bottom; the last two exclusive.

The rules are those of the published system, down to how halves are cut (`//` is floor division): a network sees people
the way its boxes were cut.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int


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
