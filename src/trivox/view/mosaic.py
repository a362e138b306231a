"""All views of an instant side by side, with the names of the cameras, a title and a legend.

The number of columns is chosen so that the whole comes near a screen's 16:9. All tiles have one size, so that a film
can be made of them; a picture of another shape sits in the middle of its tile.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8

from trivox.drawing import WHITE, Colour, draw_dot, draw_line, draw_name, draw_words, grid_of
from trivox.view.colours import LEFT, MIDDLE, RIGHT
from trivox.view.instants import Instant
from trivox.view.overlays import OFF, TRUTH, Layer, drawn_view
from trivox.view.sight import Sight, with_sight

DEFAULT_WIDTH = 1920
_SCREEN = 16 / 9
_TALLEST = 3 / 4  # of the width: more would not fit a screen
_BACKGROUND: Colour = (24, 26, 30)
_STRIP_HEIGHT = 44
_WORDS = 0.62
# A picture is not made larger than this: its pixels would only grow.
_LARGEST_SCALE = 2.0


@dataclass(frozen=True)
class Layout:
    """Tiles of `tile_hw` in `columns`; the mosaic has even sides, as videos need them."""

    tile_hw: tuple[int, int]
    columns: int

    @classmethod
    def of(cls, sizes_hw: Sequence[tuple[int, int]], views: int, width: int) -> Layout:
        """For `views` tiles, pictures of `sizes_hw`, in a mosaic at most `width` wide."""
        aspect = max((w / h for h, w in sizes_hw), default=_SCREEN)
        widest = max((w for _, w in sizes_hw), default=width)
        columns = min(range(1, views + 1), key=lambda c: _unlike_a_screen(c, views, aspect))
        tallest = width * _TALLEST / math.ceil(views / columns)
        tile_width = min(width / columns, widest * _LARGEST_SCALE, tallest * aspect)
        return cls((_even(tile_width / aspect), _even(tile_width)), columns)


def _unlike_a_screen(columns: int, views: int, aspect: float) -> float:
    """How far such a mosaic is from a screen's shape; empty tiles count against it."""
    rows = math.ceil(views / columns)
    return abs(math.log(columns * aspect / rows / _SCREEN)) + 2.0 * (rows * columns / views - 1)


def _even(side: float) -> int:
    return max(2, 2 * round(side / 2))


def mosaic(
    instant: Instant, layout: Layout, layers: Sequence[Layer], sight: Sight | None = None
) -> UInt8[np.ndarray, "h w 3"]:
    """Every view as a tile, under a strip with the title and the legend of what is drawn."""
    tiles = [_tile(instant, view, layout, layers, sight) for view in range(len(instant.names))]
    empty = np.full((*layout.tile_hw, 3), _BACKGROUND, np.uint8)
    body = grid_of([*tiles, *[empty] * (-len(tiles) % layout.columns)], layout.columns)
    return np.concatenate([_strip(instant, layers, body.shape[1]), body], 0)


def _tile(
    instant: Instant, view: int, layout: Layout, layers: Sequence[Layer], sight: Sight | None
) -> UInt8[np.ndarray, "h w 3"]:
    height, width = layout.tile_hw
    tile = np.full((height, width, 3), _BACKGROUND, np.uint8)
    picture, name = instant.pictures[view], instant.names[view]
    if picture is not None:
        scale = min(height / picture.shape[0], width / picture.shape[1])
        seen = picture if sight is None else with_sight(picture, instant, view, sight, layers)
        drawn = drawn_view(instant, view, seen, layers, scale)
        top, left = (height - drawn.shape[0]) // 2, (width - drawn.shape[1]) // 2
        tile[top : top + drawn.shape[0], left : left + drawn.shape[1]] = drawn
    draw_name(tile, name if picture is not None else f"{name}: no picture", (0, 0), _WORDS)
    cv2.rectangle(tile, (0, 0), (width - 1, height - 1), _BACKGROUND, 1)
    return tile


def _strip(instant: Instant, layers: Sequence[Layer], width: int) -> UInt8[np.ndarray, "h w 3"]:
    """The title at the left, the legend at the right; below each other where they do not fit side by side."""
    entries = _legend(layers, has_detections=instant.detections is not None)
    size = min(_WORDS, _WORDS * (width - 24) / max(_legend_width(entries, _WORDS), 1))
    legend_width = _legend_width(entries, size)
    beside = _words_width(instant.title, _WORDS) + legend_width + 64 <= width
    strip = np.full((_STRIP_HEIGHT * (1 if beside else 2), width, 3), _BACKGROUND, np.uint8)
    draw_words(strip, instant.title, (12, _STRIP_HEIGHT - 15), _WORDS)
    x = width - 12 - legend_width
    for mark, colour, words in entries:
        _draw_mark(strip, mark, colour, x, strip.shape[0] - _STRIP_HEIGHT // 2)
        draw_words(strip, words, (round(x + 34), strip.shape[0] - 15), size)
        x += 34 + _words_width(words, size) + 22
    return strip


def _legend(layers: Sequence[Layer], has_detections: bool) -> list[tuple[str, Colour, str]]:
    """A mark, its colour and what it means, for everything that is drawn."""
    entries: list[tuple[str, Colour, str]] = []
    if {"pose", "heatmaps", "volumes", "detections"} & set(layers):
        entries += [("line", LEFT, "left"), ("line", RIGHT, "right"), ("line", MIDDLE, "middle")]
    if "truth" in layers:
        entries.append(("line", TRUTH, "truth"))
    if "detections" in layers and has_detections:
        entries.append(("ring", WHITE, "2D joint"))
    if "reprojection" in layers and has_detections:
        entries.append(("line", OFF, "2D joint to 3D joint"))
    for name in ("heatmaps", "volumes"):
        if name in layers:
            entries.append(("cloud", WHITE, name))
    return entries


def _draw_mark(strip: np.ndarray, mark: str, colour: Colour, x: float, y: float) -> None:
    start, end, middle = (np.array([x + along, y], float) for along in (0, 26, 13))
    if mark == "line":
        draw_line(strip, start, end, colour, 4)
    elif mark == "ring":
        draw_dot(strip, middle, 6, colour, 1)
    else:
        for radius, share in ((9, 0.25), (6, 0.5), (3, 1.0)):
            red, green, blue = (int(share * c) for c in colour)
            draw_dot(strip, middle, radius, (red, green, blue))


def _words_width(words: str, size: float) -> int:
    return cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, size, 1)[0][0]


def _legend_width(entries: Sequence[tuple[str, Colour, str]], size: float) -> int:
    return sum(34 + _words_width(words, size) + 22 for _, _, words in entries) - 22 if entries else 0
