"""The part of a picture inside a box, brought to another size: every new pixel is the exact average of what it covers.

Shrinking or enlarging, this is what OpenCV's INTER_AREA computes (but where one side shrinks and the other grows, which
OpenCV samples linearly), without its rounding to whole grey levels and several times faster: first rows are joined,
which machine code does for many columns at once, then columns, three at a time.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from trivox.geometry.triangulation.compiled import compiled

Box = tuple[float, float, float, float]


class _Taps(NamedTuple):
    """Which pixels along one axis each new pixel averages, and how much of each it covers."""

    first: np.ndarray  # (size)
    weights: np.ndarray  # (size, taps) float32


def cut_by_area(
    picture: UInt8[np.ndarray, "H W 3"],
    box: Box,
    out: Float32[np.ndarray, "3 h w"],
    visible_hw: tuple[float, float] | None = None,
) -> None:
    """Fill `out` with the box (x0, y0, x1, y1) of the picture, in 0..1 and black outside. The box may be fractional.

    `visible_hw` is the size in pixels where the last row or column is only partly part of the picture: half of an odd
    number, in a picture decoded at half its size.
    """
    height, width = visible_hw or picture.shape[:2]
    rows = _taps(box[1], box[3], out.shape[1], height)
    columns = _taps(box[0], box[2], out.shape[2], width)
    low = int(columns.first.min())
    high = min(math.ceil(width), int(columns.first.max()) + columns.weights.shape[1])
    # Weights are 0 where taps reach beyond what is averaged; the cells must be there all the same.
    line = np.zeros(3 * (high - low + columns.weights.shape[1] + 3), np.float32)
    flat = np.ascontiguousarray(picture).reshape(picture.shape[0], -1)
    part = (3 * low, 3 * (high - low))
    _cut(flat, *part, rows.first, rows.weights, 3 * (columns.first - low), columns.weights, line, out)


def load_machine_code() -> None:
    """Do once, before processes are started, what each would have to do for its first picture."""
    cut_by_area(np.zeros((2, 2, 3), np.uint8), (0.0, 0.0, 2.0, 2.0), np.empty((3, 1, 1), np.float32))


def _taps(start: float, stop: float, size: int, limit: float) -> _Taps:
    """New pixel i covers [start + i s, start + (i + 1) s), of which only [0, limit) is picture."""
    step = (stop - start) / size
    edges = np.clip(start + np.arange(size + 1) * step, 0, limit)
    low, high = edges[:-1], edges[1:]
    most = math.ceil(limit)
    first = np.minimum(np.floor(low).astype(np.int64), most - 1)
    taps = max(1, int((np.ceil(high) - first).max()))
    cells = first[:, None] + np.arange(-(-taps // 3) * 3)
    cover = np.minimum(cells + 1, high[:, None]) - np.maximum(cells, low[:, None])
    return _Taps(first, (np.clip(cover, 0, None) / step).astype(np.float32))


@compiled
def _cut(flat, low, width, row_first, row_weights, column_first, column_weights, line, out):  # type: ignore[no-untyped-def]
    """`flat` has three numbers a pixel; those needed begin at `low` in every row, from where `column_first` counts."""
    for i in range(row_first.shape[0]):
        for x in range(width):
            line[x] = np.float32(0)
        for tap in range(row_weights.shape[1]):
            weight = row_weights[i, tap] * np.float32(1 / 255)
            if weight > 0:
                row = flat[row_first[i] + tap, low : low + width]
                for x in range(width):
                    line[x] += weight * np.float32(row[x])
        red, green, blue = out[0, i], out[1, i], out[2, i]
        for tap in range(0, column_weights.shape[1], 3):
            for j in range(column_first.shape[0]):
                k = column_first[j] + 3 * tap
                a, b, c = column_weights[j, tap], column_weights[j, tap + 1], column_weights[j, tap + 2]
                r = a * line[k] + b * line[k + 3] + c * line[k + 6]
                g = a * line[k + 1] + b * line[k + 4] + c * line[k + 7]
                u = a * line[k + 2] + b * line[k + 5] + c * line[k + 8]
                if tap == 0:
                    red[j], green[j], blue[j] = r, g, u
                else:
                    red[j] += r
                    green[j] += g
                    blue[j] += u
