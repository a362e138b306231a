"""The fast cut is an exact area average: against sums over a fine grid, and OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivox.data.area import cut_by_area
from trivox.data.crops import cropped

RNG = np.random.default_rng(7)
PICTURE = RNG.integers(0, 256, (40, 56, 3), dtype=np.uint8)


def cut(picture: np.ndarray, box: tuple[float, ...], size_hw: tuple[int, int]) -> np.ndarray:
    """(h, w, 3) in grey levels, not rounded."""
    out = np.full((3, *size_hw), np.nan, np.float32)
    cut_by_area(picture, (box[0], box[1], box[2], box[3]), out)
    return out.transpose(1, 2, 0) * 255


def slow_cut(picture: np.ndarray, box: tuple[int, int, int, int], size_hw: tuple[int, int]) -> np.ndarray:
    """Every pixel repeated so often that new pixels cover whole ones, which are then averaged."""
    h, w = size_hw
    part = cropped(picture, np.array(box)).astype(np.float64).repeat(h, axis=0).repeat(w, axis=1)
    rows, columns = part.shape[0] // h, part.shape[1] // w
    return part.reshape(h, rows, w, columns, 3).mean((1, 3))


edges = st.integers(-30, 70)


@given(edges, edges, st.integers(1, 45), st.integers(1, 45), st.integers(1, 24), st.integers(1, 24))
def test_every_new_pixel_is_the_mean_of_what_it_covers(x: int, y: int, w: int, h: int, rows: int, columns: int) -> None:
    box = (x, y, x + w, y + h)
    ours = cut(PICTURE, box, (rows, columns))
    np.testing.assert_allclose(ours, slow_cut(PICTURE, box, (rows, columns)), atol=2e-3)


# Where one side shrinks and the other grows, OpenCV averages neither.
BOXES = [(5, 4, 45, 34), (-9, -3, 31, 47), (20, 10, 50, 40)]
SIZES_HW = [(20, 20), (20, 31), (7, 5), (30, 30), (33, 47), (80, 90), (30, 61)]
PAIRS = [(b, hw) for b in BOXES for hw in SIZES_HW if (b[3] - b[1] >= hw[0]) == (b[2] - b[0] >= hw[1])]


@pytest.mark.parametrize(("box", "size_hw"), PAIRS)
def test_it_is_within_a_grey_level_of_opencv(box: tuple[int, int, int, int], size_hw: tuple[int, int]) -> None:
    theirs = cv2.resize(cropped(PICTURE, np.array(box)), size_hw[::-1], interpolation=cv2.INTER_AREA)
    # It rounds to whole levels, and where it enlarges also its weights, to 1/2048.
    assert np.abs(cut(PICTURE, box, size_hw) - theirs).max() <= 1.2


def test_a_fractional_box_moves_what_it_covers() -> None:
    """Half a pixel to the right averages neighbours."""
    row = PICTURE[3:4, 10:21].astype(np.float64)
    ours = cut(PICTURE, (10.5, 3.0, 20.5, 4.0), (1, 10))
    np.testing.assert_allclose(ours, (row[:, :-1] + row[:, 1:]) / 2, atol=1e-3)


def test_a_half_pixel_at_the_edge_counts_half() -> None:
    """A picture of odd width at half size: its last column is half outside."""
    ours = np.empty((3, 1, 1), np.float32)
    cut_by_area(PICTURE[:1, :2], (1.0, 0.0, 2.0, 1.0), ours, visible_hw=(1.0, 1.5))
    np.testing.assert_allclose(ours[:, 0, 0] * 255, PICTURE[0, 1] / 2, atol=1e-3)
