"""Lines, dots and words over pictures: what every picture of trivox is drawn with.

Points are pixels from the corner of the picture's top-left pixel, with fractions. OpenCV counts from the middle of
that pixel: half a pixel less, in sixteenths.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from trivox.geometry.cameras import Cameras

Colour = tuple[int, int, int]
Point = Float[np.ndarray, "2"]
WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)

_FRACTION_BITS = 4
# Far outside the picture nothing is drawn; OpenCV counts in 32 bits.
_FARTHEST_PX = 1e5


class Projected(NamedTuple):
    """Points in a picture, and which of them can be drawn: valid, in front of the camera, not absurdly far outside."""

    pixels: Float[np.ndarray, "*b J 2"]
    shown: Bool[np.ndarray, "*b J"]


def projected(points_mm: Float[Tensor, "*b J 3"], valid: Bool[Tensor, "*b J"], camera: Cameras) -> Projected:
    """Where one camera (batch `()`) sees these points, through its lens."""
    flat = points_mm.reshape(-1, 3).double()
    pixels = camera.project(flat).reshape(*valid.shape, 2).numpy()
    in_front = (camera.depth_mm(flat) > 0).reshape(valid.shape)
    return Projected(pixels, (valid & in_front).numpy() & drawable(pixels))


def drawable(pixels: Float[np.ndarray, "*b 2"]) -> Bool[np.ndarray, "*b"]:
    """Whether OpenCV can be told of these points."""
    return np.asarray((np.abs(np.nan_to_num(pixels, nan=np.inf)) < _FARTHEST_PX).all(-1))


def draw_line(picture: UInt8[np.ndarray, "h w 3"], start: Point, end: Point, colour: Colour, thickness: int) -> None:
    cv2.line(picture, _place(start), _place(end), colour, thickness, cv2.LINE_AA, _FRACTION_BITS)


def draw_dot(
    picture: UInt8[np.ndarray, "h w 3"], at: Point, radius: float, colour: Colour, thickness: int = -1
) -> None:
    """A disc, or with a `thickness` a ring."""
    radius_fixed = round(radius * 2**_FRACTION_BITS)
    cv2.circle(picture, _place(at), radius_fixed, colour, thickness, cv2.LINE_AA, _FRACTION_BITS)


def draw_bones(
    picture: UInt8[np.ndarray, "h w 3"],
    points_px: Float[np.ndarray, "J 2"],
    shown: Bool[np.ndarray, "J"],
    bones: Sequence[tuple[int, int]],
    colours: Sequence[Colour],
    thickness: int,
) -> None:
    """Bones both of whose ends are shown."""
    for (parent, child), colour in zip(bones, colours, strict=True):
        if shown[parent] and shown[child]:
            draw_line(picture, points_px[parent], points_px[child], colour, thickness)


def draw_words(picture: UInt8[np.ndarray, "h w 3"], words: str, at: tuple[int, int], size: float) -> None:
    """White words with a dark edge, readable over anything; `at` is the left end of the line they stand on."""
    for colour, thickness in ((BLACK, round(5 * size) + 1), (WHITE, max(1, round(1.6 * size)))):
        cv2.putText(picture, words, at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, thickness, cv2.LINE_AA)


def draw_name(picture: UInt8[np.ndarray, "h w 3"], name: str, corner: tuple[int, int], size: float) -> None:
    """A view's name on a dark plate, readable over the brightest ceiling; `corner` is the plate's upper left."""
    (width, height), _ = cv2.getTextSize(name, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    edge = round(18 * size)
    left, top = corner
    plate = picture[top : top + height + 2 * edge, left : left + width + 2 * edge]
    plate[:] = (plate * 0.35).astype(np.uint8)
    draw_words(picture, name, (left + edge, top + edge + height), size)


def resized(picture: UInt8[np.ndarray, "_ _ 3"], size_hw: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"]:
    """The picture at another size: averaged where it shrinks."""
    shrinks = size_hw[0] <= picture.shape[0] and size_hw[1] <= picture.shape[1]
    return cv2.resize(picture, size_hw[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def grid_of(tiles: Sequence[UInt8[np.ndarray, "h w 3"]], columns: int) -> UInt8[np.ndarray, "_ _ 3"]:
    """Tiles of one size, row by row; black where the last row is not full."""
    full = [*tiles, *[np.zeros_like(tiles[0])] * (-len(tiles) % columns)]
    return np.concatenate([np.concatenate(full[i : i + columns], 1) for i in range(0, len(full), columns)], 0)


def _place(point: Point) -> tuple[int, int]:
    x, y = (round((float(value) - 0.5) * 2**_FRACTION_BITS) for value in point)
    return x, y
