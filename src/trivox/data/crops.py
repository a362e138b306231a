"""Cut a person out of a picture and resize it.

`cut_for_model` makes the pictures that models are trained, evaluated and run on: the same pixels each time. `cut` and
`letterboxed` serve the bundled networks, in bytes.

Boxes are whole pixels (x0, y0, x1, y1), square, and may leave the picture, where the crop is black. No camera changes
here: a camera that should see the crop is `cameras.cropped(boxes).resized(size_hw)`, since cropping subtracts from the
principal point and resizing scales `K[:2]`.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, UInt8
from torch import Tensor

from trivox.data.area import cut_by_area


def square_boxes(points_px: Float[Tensor, "*b J 2"], seen: Bool[Tensor, "*b J"], margin: float) -> Int[Tensor, "*b 4"]:
    """Square boxes around the seen points, `margin` times their longer side; empty (all 0) where none is seen."""
    mask = seen[..., None]
    high = torch.where(mask, points_px, -torch.inf).amax(-2)
    low = torch.where(mask, points_px, torch.inf).amin(-2)
    any_seen = seen.any(-1)[..., None]
    side = ((high - low).amax(-1, keepdim=True) * margin).clamp_min(8.0)
    corner = ((high + low - side) / 2).round()
    box = torch.cat([corner, corner + side.round()], dim=-1)
    return torch.where(any_seen, box, 0.0).long()


def cropped(picture: UInt8[np.ndarray, "H W 3"], box: Int[np.ndarray, "4"]) -> UInt8[np.ndarray, "h w 3"]:
    """The box of the picture, black outside. Where nothing has to be filled up it is a view."""
    x0, y0, x1, y1 = (int(v) for v in box)
    height, width = picture.shape[:2]
    inside = picture[max(y0, 0) : max(min(y1, height), 0), max(x0, 0) : max(min(x1, width), 0)]
    if inside.size == 0:
        return np.zeros((y1 - y0, x1 - x0, 3), np.uint8)
    if inside.shape[:2] == (y1 - y0, x1 - x0):
        return inside
    top, left = max(-y0, 0), max(-x0, 0)
    bottom, right = (y1 - y0) - top - inside.shape[0], (x1 - x0) - left - inside.shape[1]
    return cv2.copyMakeBorder(inside, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(0, 0, 0))


def cut(
    picture: UInt8[np.ndarray, "H W 3"], box: Int[np.ndarray, "4"], size_hw: tuple[int, int]
) -> UInt8[np.ndarray, "h w 3"]:
    """The box of the picture, black outside, resized to `size_hw` (area average when shrinking, else linear)."""
    x0, y0, x1, y1 = (int(v) for v in box)
    height, width = picture.shape[:2]
    if min(x1, width) <= max(x0, 0) or min(y1, height) <= max(y0, 0):
        return np.zeros((*size_hw, 3), np.uint8)
    shrinks = (y1 - y0) >= size_hw[0] and (x1 - x0) >= size_hw[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(cropped(picture, box), (size_hw[1], size_hw[0]), interpolation=interpolation)


def cut_for_model(
    picture: UInt8[np.ndarray, "H W 3"],
    box: tuple[int, int, int, int],
    out: Float32[np.ndarray, "3 h w"],
    resampling: Literal["area", "opencv"],
) -> None:
    """Fill `out` with the box of the picture, in 0..1 and black outside.

    "area": every new pixel is the exact average of what it covers. "opencv": the bytes that the published system sees.
    """
    if resampling == "area":
        cut_by_area(picture, box, out)
        return
    part = cropped(picture, np.array(box))
    if part.shape[:2] != out.shape[1:]:
        part = cv2.resize(part, (out.shape[2], out.shape[1]), interpolation=cv2.INTER_AREA)
    out[:] = part.transpose(2, 0, 1) / np.float32(255)


def letterboxed(
    picture: UInt8[np.ndarray, "H W 3"], size_hw: tuple[int, int]
) -> tuple[UInt8[np.ndarray, "h w 3"], float]:
    """The whole picture shrunk into the top-left of a black `size_hw`, and pixels of the picture per pixel of it."""
    scale = max(picture.shape[0] / size_hw[0], picture.shape[1] / size_hw[1])
    height, width = (max(1, round(n / scale)) for n in picture.shape[:2])
    framed = np.zeros((*size_hw, 3), np.uint8)
    framed[:height, :width] = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return framed, scale


def to_images(pictures: UInt8[np.ndarray, "B h w 3"], device: torch.device) -> Float[Tensor, "B 3 h w"]:
    """Pictures as networks take them: RGB float32 in 0..1, channels first."""
    return torch.from_numpy(pictures).to(device).movedim(-1, 1).float() / 255
