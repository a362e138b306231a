"""Projection against OpenCV, and projection commutes with everything done to picture or world."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rigs import ring
from torch import Tensor
from torch.autograd import gradcheck

from trivox.geometry.cameras import Cameras

LENS = (-0.21, 0.19, 0.0011, -0.0017, -0.03)


def _points(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    points_mm = torch.randn(*shape, 3, generator=generator, dtype=torch.float64) * 500
    return points_mm + torch.tensor([0.0, 0.0, 1000.0])


def _skewed(views: int, lens: tuple[float, ...] = LENS) -> Cameras:
    cameras = ring(views, distortion=lens)
    K = cameras.K.clone()
    K[:, 0, 1] = 3.0
    return replace(cameras, K=K)


def test_projection_equals_opencv() -> None:
    cameras, points_mm = ring(4, distortion=LENS), _points(4, 30)
    ours = cameras.project(points_mm)
    for v in range(4):
        rotation, _ = cv2.Rodrigues(cameras.R[v].numpy())
        lens, K, t = np.array(LENS), cameras.K[v].numpy(), cameras.t_mm[v].numpy()
        expected, _ = cv2.projectPoints(points_mm[v].numpy(), rotation, t, K, lens)
        np.testing.assert_allclose(ours[v].numpy(), expected[:, 0], atol=1e-8)


def test_undistorted_points_equal_opencv() -> None:
    cameras = ring(1, distortion=LENS)
    points_px = cameras.project(_points(1, 30))
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 500, 1e-14)
    K = cameras.K[0].numpy()
    source = points_px[0].numpy()[:, None]
    expected = cv2.undistortPoints(source, K, np.array(LENS), None, K, criteria=criteria)
    ours = cameras.undistorted_points(points_px)[0]
    np.testing.assert_allclose(ours.numpy(), expected[:, 0], atol=1e-5)


@pytest.mark.parametrize("model", ["opencv", "human36m"])
def test_undistorted_points_are_those_of_the_ideal_cameras(model: str) -> None:
    cameras = replace(_skewed(3), distortion_model=model)
    points_mm = _points(3, 20)
    ideal = cameras.without_distortion()
    assert cameras.has_distortion and not ideal.has_distortion
    undistorted = cameras.undistorted_points(cameras.project(points_mm))
    torch.testing.assert_close(undistorted, ideal.project(points_mm), atol=1e-8, rtol=0)
    homogeneous = torch.cat([points_mm, torch.ones(3, 20, 1).double()], -1) @ cameras.pixel_from_world.mT
    torch.testing.assert_close(undistorted, homogeneous[..., :2] / homogeneous[..., 2:], atol=1e-8, rtol=0)
    torch.testing.assert_close(homogeneous[..., 2], cameras.depth_mm(points_mm))


@pytest.mark.parametrize("batch", [(), (1,), (3, 1, 2)], ids=str)
def test_any_batch_equals_a_loop(batch: tuple[int, ...]) -> None:
    flat, points_mm = _skewed(6), _points(6, 5)
    number = math.prod(batch)
    cameras = flat[:number].map(lambda t: t.reshape(*batch, *t.shape[1:]))
    grouped = points_mm[:number].reshape(*batch, 5, 3)
    assert cameras.batch_shape == batch
    pixels = cameras.project(grouped).reshape(number, 5, 2)
    for i in range(number):
        torch.testing.assert_close(pixels[i], flat[i].project(points_mm[i]))
    torch.testing.assert_close(cameras.position_mm.reshape(number, 3), flat.position_mm[:number])


def test_position_is_where_depth_and_rays_vanish() -> None:
    cameras = ring(5)
    torch.testing.assert_close(
        cameras.depth_mm(cameras.position_mm[:, None]), torch.zeros(5, 1).double(), atol=1e-9, rtol=0
    )
    homogeneous = torch.cat([cameras.position_mm, torch.ones(5, 1).double()], -1)[..., None]
    assert (cameras.pixel_from_world @ homogeneous).abs().max() < 1e-6


@given(left=st.floats(-300, 300), top=st.floats(-300, 300), width=st.integers(1, 900), height=st.integers(1, 900))
def test_projection_commutes_with_cropping(left: float, top: float, width: int, height: int) -> None:
    cameras, points_mm = _skewed(2), _points(2, 8)
    boxes_px = torch.tensor([left, top, left + width, top + height]).double().expand(2, 4)
    cropped = cameras.cropped(boxes_px)
    expected = cameras.project(points_mm) - boxes_px[:, None, :2]
    torch.testing.assert_close(cropped.project(points_mm), expected, atol=1e-9, rtol=0)
    assert cropped.image_hw is not None and cropped.image_hw.tolist() == [[height, width]] * 2


@given(height=st.integers(1, 2000), width=st.integers(1, 2000))
def test_projection_commutes_with_resizing(height: int, width: int) -> None:
    """With the origin at the corner, resizing multiplies coordinates: the far corner stays the far corner."""
    cameras, points_mm = _skewed(2), _points(2, 8)
    resized = cameras.resized((height, width))
    factor = torch.tensor([width / 1280, height / 720]).double()
    torch.testing.assert_close(resized.project(points_mm), cameras.project(points_mm) * factor)
    assert resized.image_hw is not None and resized.image_hw.tolist() == [[height, width]] * 2
    scaled = cameras.scaled(factor.expand(2, 2))
    torch.testing.assert_close(scaled.K, resized.K)
    unknown = replace(cameras, image_hw=None).scaled(factor.expand(2, 2))
    assert unknown.image_hw is None and torch.equal(unknown.K, scaled.K)


@pytest.mark.parametrize("turns", range(-1, 5))
def test_projection_commutes_with_quarter_turns(turns: int) -> None:
    cameras, points_mm = ring(3, distortion=LENS), _points(3, 8)
    turned = cameras.turned(torch.tensor([turns, 0, turns]))
    expected, (h, w) = cameras.project(points_mm), (720, 1280)
    for _ in range(turns % 4):
        x, y = expected[[0, 2]].unbind(-1)
        expected[[0, 2]] = torch.stack([h - y, x], -1)
        h, w = w, h
    torch.testing.assert_close(turned.project(points_mm), expected, atol=1e-8, rtol=0)
    torch.testing.assert_close(turned.position_mm, cameras.position_mm)
    assert turned.image_hw is not None and turned.image_hw.tolist() == [[h, w], [720, 1280], [h, w]]
    torch.testing.assert_close(torch.linalg.det(turned.R), torch.ones(3).double())


@given(angle=st.floats(-4, 4), shift=st.tuples(*[st.floats(-9000, 9000)] * 3))
def test_moving_world_and_cameras_together_changes_no_pixel(angle: float, shift: tuple[float, float, float]) -> None:
    c, s = math.cos(angle), math.sin(angle)
    world_from_new = torch.tensor(
        [[c, 0, s, shift[0]], [0, 1, 0, shift[1]], [-s, 0, c, shift[2]], [0, 0, 0, 1]], dtype=torch.float64
    )
    cameras, new_mm = _skewed(2), _points(2, 8)
    old_mm = new_mm @ world_from_new[:3, :3].mT + world_from_new[:3, 3]
    moved = cameras.moved(world_from_new)
    torch.testing.assert_close(moved.depth_mm(new_mm), cameras.depth_mm(old_mm), atol=1e-7, rtol=1e-9)
    in_front = cameras.depth_mm(old_mm) > 100
    difference = (moved.project(new_mm) - cameras.project(old_mm)).norm(dim=-1)
    assert (difference[in_front] < 1e-5).all()


def test_a_point_in_the_plane_of_the_camera_gives_no_nan() -> None:
    cameras = ring(3)
    assert cameras.project(cameras.position_mm[:, None]).isfinite().all()


def test_gradients() -> None:
    cameras, points_mm = _skewed(2), _points(2, 3)
    inputs = (points_mm / 1000, cameras.K, cameras.R, cameras.t_mm / 1000, cameras.distortion)
    leaves = [t.clone().requires_grad_() for t in inputs]

    def round_trip(points: Tensor, K: Tensor, R: Tensor, t: Tensor, distortion: Tensor) -> tuple[Tensor, Tensor]:
        changed = replace(cameras, K=K, R=R, t_mm=t * 1000, distortion=distortion)
        pixels = changed.project(points * 1000)
        return pixels, changed.undistorted_points(pixels)

    assert gradcheck(round_trip, leaves, atol=1e-4, fast_mode=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "lens", [(0.0,) * 5, LENS, (0.3, 0.2, 1e-3, -1e-3, 0.1)], ids=["ideal", "barrel", "pincushion"]
)
@pytest.mark.parametrize("depth_mm", [0.0, -0.0, 1e-30, 1e-7, -1e-7, 1e-3, -1e-3, 2e-3])
def test_points_beside_a_camera_have_finite_pixels_and_gradients(dtype, lens, depth_mm: float) -> None:
    """In the plane through its centre, and at the centre itself."""
    across = torch.tensor([[0.0, 0.0], [1e-3, 0.0], [0.0, -300.0], [20_000.0, 20_000.0]], dtype=dtype)
    points_mm = torch.cat([across, torch.full_like(across[:, :1], depth_mm)], dim=-1).requires_grad_()
    given = ring(1, distortion=lens)[0].to(dtype)
    cameras = replace(given, R=torch.eye(3, dtype=dtype), t_mm=torch.zeros(3, dtype=dtype))
    leaves = [t.clone().requires_grad_() for t in (cameras.K, cameras.R, cameras.t_mm, cameras.distortion)]
    K, R, t_mm, distortion = leaves
    pixels = replace(cameras, K=K, R=R, t_mm=t_mm, distortion=distortion).project(points_mm)
    gradients = torch.autograd.grad(pixels.sum(), [points_mm, *leaves], allow_unused=not any(lens))
    assert all(t.isfinite().all() for t in (pixels, *gradients) if t is not None)


def test_projection_is_exact_up_to_the_smallest_depth() -> None:
    given = ring(1)[0]
    camera = replace(given, R=torch.eye(3).double(), t_mm=torch.zeros(3).double())
    for depth_mm, divisor_mm in ((2e-3, 2e-3), (-2e-3, -2e-3), (0.5e-3, 1e-3), (0.0, 1e-3)):
        pixel = camera.project(torch.tensor([[1.0, 2.0, depth_mm]], dtype=torch.float64))
        expected = torch.tensor([[700 / divisor_mm + 640, 1400 / divisor_mm + 360]], dtype=torch.float64)
        torch.testing.assert_close(pixel, expected)


@pytest.mark.parametrize("cameras_dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("points_dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("method", ["project", "depth_mm", "undistorted_points", "normalised_from_pixels"])
def test_the_finer_precision_of_points_and_cameras_counts(method: str, points_dtype, cameras_dtype) -> None:
    cameras = ring(2, distortion=LENS).to(cameras_dtype)
    last = 3 if method in ("project", "depth_mm") else 2
    points = _points(2, 5)[..., :last].to(points_dtype)
    finer = torch.promote_types(points_dtype, cameras_dtype)
    found = getattr(cameras, method)(points)
    assert found.dtype == finer
    assert torch.equal(found, getattr(cameras.to(finer), method)(points.to(finer)))
