"""What is cut from a picture lies where the cropped and resized camera says."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rigs import ring

from trivox.data.crops import cut, letterboxed, square_boxes, to_images

CAMERA = ring(3, distortion=(-0.1, 0.02, 1e-3, -5e-4, 0.0))[0]
SIZE_HW = (256, 256)


def picture_of_blob(x: float, y: float, radius: float, image_hw: tuple[int, int] = (720, 1280)) -> np.ndarray:
    """Black, with a soft white blob whose centre is at (x, y), counted from the picture's corner."""
    rows, columns = np.mgrid[: image_hw[0], : image_hw[1]] + 0.5
    brightness = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * radius**2))
    return np.repeat(brightness[..., None], 3, axis=2).round().astype(np.uint8)


def centroid(picture: np.ndarray) -> tuple[float, float]:
    """(x, y) of the light in the picture, counted from its corner."""
    light = picture[..., 0].astype(float)
    rows, columns = np.mgrid[: light.shape[0], : light.shape[1]] + 0.5
    return float((light * columns).sum() / light.sum()), float((light * rows).sum() / light.sum())


BOXES = {
    "shrinks": (400, 100, 912, 612),
    "shrinks by an odd factor": (390, 60, 1001, 671),
    "as it is": (500, 200, 756, 456),
    "enlarges": (590, 290, 690, 390),
    "leaves at the top left": (-300, -500, 800, 600),
    "leaves at the bottom right": (500, 250, 1500, 1250),
    "holds the whole picture": (-200, -480, 1480, 1200),
}


@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES.keys())
def test_a_point_lies_where_the_cropped_camera_projects_it(box):
    point_mm = torch.tensor([[120.0, -40.0, 1030.0]]).double()
    x, y = CAMERA.project(point_mm)[0].tolist()
    scale = SIZE_HW[0] / (box[2] - box[0])
    crop = cut(picture_of_blob(x, y, max(6.0, 3 / scale)), np.array(box), SIZE_HW)
    assert crop.shape == (*SIZE_HW, 3) and crop.dtype == np.uint8
    cropped = CAMERA.cropped(torch.tensor(box).double())
    resized, scaled = cropped.resized(SIZE_HW), cropped.scaled(torch.tensor([scale, scale]).double())
    for camera in (resized, scaled):
        assert camera.image_hw is not None and camera.image_hw.tolist() == list(SIZE_HW)
        np.testing.assert_allclose(centroid(crop), camera.project(point_mm)[0].numpy(), atol=0.06)


def test_a_crop_that_is_not_square_scales_each_axis():
    crop = cut(picture_of_blob(700.0, 300.0, 12.0), np.array([500, 200, 900, 400]), (100, 100))
    np.testing.assert_allclose(centroid(crop), (50.0, 50.0), atol=0.06)


@given(st.integers(-40, 60), st.integers(-40, 60), st.integers(1, 80))
def test_a_cut_of_the_same_size_copies_pixels_and_is_black_outside(x0, y0, side):
    picture = np.random.default_rng(0).integers(1, 256, (30, 50, 3)).astype(np.uint8)
    crop = cut(picture, np.array([x0, y0, x0 + side, y0 + side]), (side, side))
    for row, column in np.ndindex(side, side):
        y, x = y0 + row, x0 + column
        inside = 0 <= y < 30 and 0 <= x < 50
        assert (crop[row, column] == (picture[y, x] if inside else 0)).all()


@pytest.mark.parametrize("box", [(2000, 0, 2100, 100), (0, -200, 100, -100), (1280, 720, 1380, 820)])
def test_a_box_beside_the_picture_is_black(box):
    assert not cut(np.full((720, 1280, 3), 255, np.uint8), np.array(box), SIZE_HW).any()


# ------------------------------------------------------------------------------------------- square_boxes

# Of pictures up to 16384 pixels, and a picture's width beyond them on each side.
coordinates = st.floats(-16384, 32768)
points = st.lists(st.tuples(coordinates, coordinates, st.booleans()), min_size=1, max_size=8)


@given(points, st.floats(1.0, 3.0))
def test_boxes_are_square_centred_and_hold_the_seen_points(drawn, margin):
    points_px, seen = torch.tensor([p[:2] for p in drawn]).double(), torch.tensor([p[2] for p in drawn])
    x0, y0, x1, y1 = square_boxes(points_px, seen, margin).tolist()
    if not seen.any():
        assert (x0, y0, x1, y1) == (0, 0, 0, 0)
        return
    low, high = points_px[seen].amin(0), points_px[seen].amax(0)
    wanted = max(float((high - low).amax()) * margin, 8.0)
    assert x1 - x0 == y1 - y0 and abs((x1 - x0) - wanted) <= 0.5 + 1e-6
    centre = torch.tensor([(x0 + x1) / 2, (y0 + y1) / 2])
    assert (centre - (low + high) / 2).abs().amax() <= 1.0
    assert x0 - 1 <= low[0] and high[0] <= x1 + 1 and y0 - 1 <= low[1] and high[1] <= y1 + 1


@given(points, st.integers(-500, 500), st.integers(-500, 500))
def test_boxes_move_with_the_points(drawn, x, y):
    points_px, seen = torch.tensor([p[:2] for p in drawn]).double(), torch.tensor([p[2] for p in drawn])
    shift = torch.tensor([x, y])
    moved = square_boxes(points_px + shift, seen, 1.25)
    expected = square_boxes(points_px, seen, 1.25) + torch.cat([shift, shift]) * seen.any()
    assert (moved - expected).abs().amax() <= 1  # where rounding goes the other way


def test_boxes_of_a_batch_are_those_of_each():
    torch.manual_seed(0)
    points_px, seen = torch.rand(3, 4, 17, 2) * 900, torch.rand(3, 4, 17) < 0.2
    seen[1, 2] = False
    together = square_boxes(points_px, seen, 1.25)
    for p, v in np.ndindex(3, 4):
        assert torch.equal(together[p, v], square_boxes(points_px[p, v], seen[p, v], 1.25))
    assert (together[1, 2] == 0).all()


def test_what_is_not_seen_may_be_anywhere():
    points_px = torch.tensor([[10.0, 20.0], [110.0, 60.0], [float("inf"), float("nan")], [1e300, -1e300]]).double()
    seen = torch.tensor([True, True, False, False])
    assert square_boxes(points_px, seen, 1.0).tolist() == [10, -10, 110, 90]


# -------------------------------------------------------------------------------------------- letterboxed


@pytest.mark.parametrize(
    ("image_hw", "size_hw"),
    [((720, 1280), (288, 512)), ((1080, 1920), (288, 512)), ((1000, 500), (512, 256)), ((100, 180), (288, 512))],
)
def test_a_letterboxed_picture_is_scaled_as_told(image_hw, size_hw):
    x, y = 0.8 * image_hw[1], 0.7 * image_hw[0]
    framed, scale = letterboxed(picture_of_blob(x, y, image_hw[0] / 40, image_hw), size_hw)
    assert framed.shape == (*size_hw, 3)
    np.testing.assert_allclose(np.array(centroid(framed)) * scale, (x, y), atol=scale)
    assert scale == max(image_hw[0] / size_hw[0], image_hw[1] / size_hw[1])


@given(st.integers(1, 300), st.integers(1, 300))
def test_the_whole_picture_is_in_the_top_left_and_fills_one_side(height, width):
    framed, scale = letterboxed(np.full((height, width, 3), 255, np.uint8), (64, 96))
    lit = framed[..., 0] > 0
    h, w = int(lit.any(1).sum()), int(lit.any(0).sum())
    assert lit[:h, :w].all() and lit.sum() == h * w
    assert h == 64 or w == 96
    assert abs(h - height / scale) <= 1 and abs(w - width / scale) <= 1


def test_images_are_rgb_planes_from_0_to_1():
    pictures = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3)).astype(np.uint8)
    images = to_images(pictures, torch.device("cpu"))
    assert images.shape == (2, 3, 4, 6) and images.dtype == torch.float32
    np.testing.assert_array_equal(images.permute(0, 2, 3, 1).numpy(), pictures.astype(np.float32) / np.float32(255))


def test_cutting_agrees_with_opencv_where_nothing_is_outside():
    picture = np.random.default_rng(0).integers(0, 256, (90, 120, 3)).astype(np.uint8)
    for side, interpolation in ((80, cv2.INTER_AREA), (20, cv2.INTER_LINEAR)):
        expected = cv2.resize(picture[5 : 5 + side, 7 : 7 + side], (40, 40), interpolation=interpolation)
        np.testing.assert_array_equal(cut(picture, np.array([7, 5, 7 + side, 5 + side]), (40, 40)), expected)
