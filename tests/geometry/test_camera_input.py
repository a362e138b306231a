"""Cameras out of OpenCV's arrays; which points meet which cameras; half precision."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from lenses import LENSES, model_of, opencv_pixels, with_lens
from rigs import ring

import trivox
from trivox.errors import InputError
from trivox.geometry.cameras import Cameras
from trivox.geometry.volumes.fused import Views, unproject_fused
from trivox.geometry.volumes.kernel import SOFTMAX
from trivox.geometry.volumes.unprojection import unproject_plain

K = np.array([[900.0, 0, 636.2], [0, 890.0, 351.7], [0, 0, 1]])
RVECS, TVECS = np.array([[0.1, -0.2, 0.3], [0.4, 0.1, -1.0], [0, 0, 0]]), np.array([[10.0, -20, 3000]] * 3)
POINTS = np.random.default_rng(0).normal(size=(20, 3)) * 400


@pytest.mark.parametrize("kind", [kind for kind in LENSES if kind != "human36m"])
def test_from_opencv_projects_as_opencv_half_a_pixel_on(kind: int | str) -> None:
    lens, model = LENSES[kind], model_of(kind)
    matrices = [cv2.Rodrigues(rvec)[0] for rvec in RVECS]
    given = [
        Cameras.from_opencv([K] * 3, RVECS, TVECS, [lens] * 3, (720, 1280), distortion_model=model),
        Cameras.from_opencv(
            torch.tensor(K).expand(3, 3, 3), torch.tensor(np.stack(matrices)), TVECS[..., None].tolist(),
            np.array([[lens]] * 3).reshape(3, 1, -1), [[720, 1280]] * 3, distortion_model=[model] * 3,  # pyright: ignore[reportArgumentType]
        ),
        Cameras.stack([
            Cameras.from_opencv(K.tolist(), rvec[:, None], tvec[:, None], np.array(lens)[:, None], (720, 1280),
                                distortion_model=model)
            for rvec, tvec in zip(RVECS, TVECS, strict=True)
        ]),
    ]  # fmt: skip
    for cameras in given:
        assert cameras.image_hw is not None and cameras.image_hw.tolist() == [[720, 1280]] * 3
        pixels = cameras.project(torch.from_numpy(POINTS)).numpy() - 0.5
        for v in range(3):
            expected = opencv_pixels(POINTS, RVECS[v], TVECS[v], K, lens, kind == "fisheye")
            np.testing.assert_allclose(pixels[v], expected, atol=1e-9)


def test_from_opencv_takes_lenses_of_different_lengths_and_models_and_none() -> None:
    dist = [LENSES[5], None, LENSES["fisheye"]]
    cameras = Cameras.from_opencv([K] * 3, RVECS, TVECS, dist, distortion_model=["opencv", "opencv", "fisheye"])
    pixels = cameras.project(torch.from_numpy(POINTS)).numpy() - 0.5
    for v, lens in enumerate(dist):
        expected = opencv_pixels(POINTS, RVECS[v], TVECS[v], K, lens or (), v == 2)
        np.testing.assert_allclose(pixels[v], expected, atol=1e-9)
    assert Cameras.from_opencv(K, RVECS[0], TVECS[0]).image_hw is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"K": np.eye(4)}, "K has shape"),
        ({"K": "nine"}, "K does not hold numbers"),
        ({"R": np.eye(3) * 2}, "R is not a rotation"),
        ({"R": np.zeros((2, 3))}, "R has shape"),
        ({"t_mm": [1, 2]}, "t_mm has shape"),
        ({"dist": [1, 2, 3]}, "distortion has 3 coefficients"),
        ({"dist": np.zeros((3, 5))}, "dist has shape"),
        ({"dist": np.zeros(5), "distortion_model": "fisheye"}, "expected 0 or 4"),
        ({"distortion_model": ["opencv", "opencv"]}, "one name, or one per camera"),
        ({"image_hw": 720}, "image_hw has shape"),
    ],
)
def test_from_opencv_says_what_does_not_fit(changes: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Cameras.from_opencv(**({"K": K, "R": RVECS[0], "t_mm": TVECS[0]} | changes))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(("batch", "views"), [(3, 3), (2, 4)])
def test_points_of_an_item_are_seen_by_all_its_views(batch: int, views: int) -> None:
    cameras = Cameras.stack([ring(views, radius_mm=3000.0 + 500 * b) for b in range(batch)])
    points_mm = torch.randn(batch, 7, 3, generator=torch.Generator().manual_seed(0)).double() * 300
    expected = torch.stack([cameras[b].project(points_mm[b].expand(views, -1, -1)) for b in range(batch)])
    for given in (points_mm, points_mm[:, None], points_mm[:, None].expand(-1, views, -1, -1)):
        torch.testing.assert_close(cameras.project(given), expected)
        torch.testing.assert_close(cameras.project_with_slope(given)[0], expected)
        assert cameras.depth_mm(given).shape == (batch, views, 7)
    torch.testing.assert_close(cameras.project(points_mm[0])[1], cameras[1].project(points_mm[0]))
    rig = cameras[0]
    torch.testing.assert_close(rig.project(points_mm[:, None])[:, 1], rig[1].project(points_mm))
    turns = torch.eye(4).double().repeat(batch, 1, 1)
    turns[:, 0, 3] = torch.arange(batch) * 100.0
    moved = cameras.moved(turns)
    torch.testing.assert_close(moved.project(points_mm - turns[:, None, :3, 3]), expected)


@pytest.mark.parametrize("shape", [(2, 7, 3), (2, 2, 7, 3), (5, 3, 2, 7, 3), (4, 1, 7, 3)])
def test_points_that_fit_no_axis_are_refused(shape: tuple[int, ...]) -> None:
    cameras = Cameras.stack([ring(2)] * 3)
    with pytest.raises(InputError, match=r"expected \(3, 2, N, 3\)"):
        cameras.project(torch.zeros(shape).double())


def test_pixels_never_lack_the_view_axis() -> None:
    cameras = Cameras.stack([with_lens(ring(3), 5)] * 3)
    assert cameras.undistorted_points(torch.zeros(2, 3, 3, 4, 2).double()).shape == (2, 3, 3, 4, 2)
    assert cameras.undistorted_points(torch.zeros(4, 2).double()).shape == (3, 3, 4, 2)
    assert cameras.without_distortion().undistorted_points(torch.zeros(4, 2).double()).shape == (3, 3, 4, 2)
    for method in ("undistorted_points", "normalised_from_pixels", "pixels_from_normalised"):
        with pytest.raises(InputError, match="one per camera"):
            getattr(cameras, method)(torch.zeros(3, 4, 2).double())


def test_picture_operations_of_more_axes_repeat_the_cameras() -> None:
    rig, points_mm = with_lens(ring(3), 5), torch.randn(5, 3).double() * 300
    boxes = torch.tensor([[0.0, 10, 200, 300], [50, 60, 150, 90]]).double()[:, None].expand(2, 3, 4)
    factors = torch.tensor([[2.0, 3.0], [0.5, 1.0]]).double()[:, None].expand(2, 3, 2)
    turns = torch.tensor([[0, 1, 2], [3, 0, 1]])
    for changed, single in (
        (rig.cropped(boxes), lambda b: rig.cropped(boxes[b])),
        (rig.scaled(factors), lambda b: rig.scaled(factors[b])),
        (rig.turned(turns), lambda b: rig.turned(turns[b])),
        (rig.resized(boxes[..., 2:].long()), lambda b: rig.resized(boxes[b, :, 2:].long())),
    ):
        assert changed.batch_shape == (2, 3)
        for b in range(2):
            torch.testing.assert_close(changed[b].project(points_mm), single(b).project(points_mm))
            both = changed.image_hw, single(b).image_hw
            assert both[0] is not None and both[1] is not None and torch.equal(both[0][b], both[1])
    with pytest.raises(InputError, match="one per camera"):
        Cameras.stack([rig] * 3).cropped(boxes[0])


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_never_gives_half_precision_millimetres(half: torch.dtype) -> None:
    cameras = with_lens(ring(3), 5).to(torch.float32)
    points_mm = torch.tensor([[100.0, 200, 1000], [-300, 50, 1500]])
    exact = cameras.project(points_mm)
    assert cameras.project(points_mm.to(half)).dtype == cameras.depth_mm(points_mm.to(half)).dtype == torch.float32
    assert cameras.to(half).project(points_mm).dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(cameras.project(points_mm), exact)
        torch.testing.assert_close(cameras.project_with_slope(points_mm)[0], exact)
        undistorted = cameras.undistorted_points(exact)
    torch.testing.assert_close(undistorted, cameras.undistorted_points(exact))
    assert trivox.triangulate(exact.to(half), cameras).points_mm.dtype == torch.float32


def test_the_fused_volume_sees_through_every_lens() -> None:
    """A mixed rig: the kernel against its twin of plain operations."""
    kinds = (5, 14, "fisheye", "human36m")
    rig = Cameras.stack([with_lens(ring(4)[i], kind) for i, kind in enumerate(kinds)])
    cameras = rig.scaled(torch.tensor([32 / 1280, 24 / 720]).double())[None]
    maps = torch.rand(1, 4, 2, 24, 32, generator=torch.Generator().manual_seed(0))
    points_mm = torch.randn(1, 300, 3, generator=torch.Generator().manual_seed(1)).double() * 500
    mask = torch.ones(1, 4, dtype=torch.bool)
    fused = unproject_fused(maps, None, points_mm, Views.of(cameras, (24, 32), "exact"), mask, SOFTMAX)
    plain = unproject_plain(maps.double(), None, points_mm, cameras, mask, "softmax", "exact")
    torch.testing.assert_close(fused.double(), plain, atol=1e-5, rtol=1e-5)
    other = Views.of(replace(cameras, distortion=cameras.distortion * 0.5), (24, 32), "exact")
    assert (unproject_fused(maps, None, points_mm, other, mask, SOFTMAX) - fused).abs().max() > 1e-2
