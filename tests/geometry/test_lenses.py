"""Every kind of lens: OpenCV's own numbers over the whole picture, its inverse, its gradients, turns, mixed rigs."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lenses import LENSES, drawn_lens, model_of, opencv_pixels, with_lens
from rigs import ring
from torch import Tensor
from torch.autograd import gradcheck

import trivox
from trivox.data.undistortion import undistorted_picture
from trivox.errors import InputError
from trivox.geometry.cameras import Cameras, chosen
from trivox.geometry.distortion import distort, trusted_radius_squared, turning_radius_squared

KINDS = list(LENSES)
every_kind = pytest.mark.parametrize("kind", KINDS)
of_opencv = pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "human36m"])
few_examples = settings(max_examples=8)
HW = (720, 1280)
K = np.array([[900.0, 0, 636.2], [0, 890.0, 351.7], [0, 0, 1]])
RVEC, TVEC = np.array([0.1, -0.2, 0.3]), np.array([10.0, -20, 300])


def whole_picture(camera: Cameras, step: int = 40) -> Tensor:
    """Pixels (N, 2) from corner to corner."""
    rows, columns = torch.arange(0, HW[0] + 1, step), torch.arange(0, HW[1] + 1, step)
    return torch.cartesian_prod(columns, rows).to(camera.K)


def rays_of(camera: Cameras, kind: int | str) -> Tensor:
    """Points (N, 2) at depth 1 that the whole picture shows, as far as the lens grows: a little beyond it."""
    normalised = camera.without_distortion().normalised_from_pixels(whole_picture(camera))
    if kind == "fisheye":
        # So many pixels from the centre are so many radians.
        angle = normalised.norm(dim=-1, keepdim=True).clamp_min(1e-12)
        normalised = normalised * torch.tan(angle.clamp_max(1.5)) / angle
    trusted = float(trusted_radius_squared(camera.distortion, camera.distortion_model))
    return normalised[normalised.square().sum(-1) < 0.9 * trusted]


def opencv_camera(kind: int | str, lens: tuple[float, ...]) -> Cameras:
    return Cameras.from_opencv(K, RVEC, TVEC, lens, HW, distortion_model=model_of(kind))


@of_opencv
@few_examples
@given(data=st.data())
def test_projects_as_opencv_and_back(kind: int | str, data: st.DataObject) -> None:
    """Over the whole picture to 1e-6 px, and back to 1e-4 px."""
    lens = data.draw(drawn_lens(kind))
    camera = opencv_camera(kind, lens)
    rays = rays_of(camera, kind)
    assume(len(rays) > 50)
    in_camera = torch.cat([rays, torch.ones(len(rays), 1).double()], -1) * 2000
    points_mm = (in_camera - camera.t_mm) @ camera.R
    ours = camera.project(points_mm)
    expected = opencv_pixels(points_mm.numpy(), RVEC, TVEC, K, lens, kind == "fisheye")
    assert np.abs(ours.numpy() - 0.5 - expected).max() < 1e-6
    undone = camera.undistorted_points(ours)
    again = camera.project(points_of(camera, undone))
    torch.testing.assert_close(again, ours, atol=1e-4, rtol=0)
    # Where the lens compresses much, a picture's pixel is many pixels without the lens.
    near = rays.norm(dim=-1) < 0.8
    near &= camera.project_with_slope(points_mm)[1].norm(dim=(-2, -1)) * 2000 > 100
    ideal = camera.without_distortion().project(points_mm)
    torch.testing.assert_close(undone[near], ideal[near], atol=1e-4, rtol=0)


def points_of(camera: Cameras, ideal_px: Tensor) -> Tensor:
    """World points a metre in front of the camera, of pixels without the lens."""
    rays = camera.without_distortion().normalised_from_pixels(ideal_px)
    in_camera = torch.cat([rays, torch.ones_like(rays[:, :1])], -1) * 1000
    return (in_camera - camera.t_mm) @ camera.R


def test_a_fisheye_sees_up_to_a_right_angle_and_nothing_has_rays_beyond() -> None:
    lens = LENSES["fisheye"]
    camera = opencv_camera("fisheye", lens)
    angle = torch.tensor([0.0, 1e-9, 1e-3, 0.5, 1.0, 1.4, 1.55, 1.5707]).double()
    in_camera = torch.stack([angle.sin(), 0 * angle, angle.cos()], -1) * 3000
    points_mm = (in_camera - camera.t_mm) @ camera.R
    expected = opencv_pixels(points_mm.numpy(), RVEC, TVEC, K, lens, True)
    pixels = camera.project(points_mm)
    np.testing.assert_allclose(pixels.numpy() - 0.5, expected, atol=1e-6)
    torch.testing.assert_close(camera.project(points_of(camera, camera.undistorted_points(pixels))), pixels)
    far = torch.tensor([[5000.0, 4000.0], [-9e9, 7.0]]).double().requires_grad_()
    rays = camera.without_distortion().normalised_from_pixels(camera.undistorted_points(far))
    assert (rays.norm(dim=-1) >= 9999).all() and rays.isfinite().all()
    assert torch.autograd.grad(rays.sum(), far)[0].isfinite().all()


@every_kind
@few_examples
@given(data=st.data())
def test_any_lens_is_one_to_one_from_the_axis_to_the_horizon(kind: int | str, data: st.DataObject) -> None:
    """Tangential terms aside, the distorted radius grows along every ray of the plane, beyond turning points too."""
    lens = torch.tensor(data.draw(drawn_lens(kind))).double()
    if kind != "fisheye":
        lens[2:4] = 0
        lens[8:] = 0
    lens = torch.nn.functional.pad(lens, (0, max(0, 4 - len(lens))))
    camera = Cameras(torch.eye(3).double(), torch.eye(3).double(), torch.zeros(3).double(), lens, model_of(kind))
    radius = torch.tan(torch.linspace(0, 1.55, 4000).double())
    out = camera.project(torch.stack([0.6 * radius, 0.8 * radius, torch.ones_like(radius)], -1)).norm(dim=-1)
    assert (out.diff() > 0).all() and out.isfinite().all()


def test_a_rational_lens_is_trusted_up_to_its_turning_point_or_its_pole() -> None:
    generator = np.random.default_rng(3)
    turned, poles = 0, 0
    for _ in range(60):
        k = generator.normal(size=8) * [0.4, 0.4, 0, 0, 0.2, 0.4, 0.4, 0.2]
        found = float(turning_radius_squared(torch.from_numpy(k), "opencv"))
        r = np.linspace(0, 6, 400_001)
        s = r * r
        below = 1 + s * (k[5] + s * (k[6] + s * k[7]))
        out = r * (1 + s * (k[0] + s * (k[1] + s * k[4]))) / below
        falls = np.flatnonzero((np.diff(out) <= 0) | (below[1:] <= 0))
        if len(falls):
            expected = r[falls[0]] ** 2
            is_pole = below[falls[0] + 1] <= 0 or out[falls[0]] > 100
            poles, turned = poles + is_pole, turned + (not is_pole)
            assert found == pytest.approx(expected, rel=2e-3, abs=1e-4)
        else:
            assert found > 35.9
    assert turned > 5 and poles > 5


@pytest.mark.parametrize("kind", KINDS[1:])
def test_gradients(kind: int | str) -> None:
    """Of projection, of its inverse and of the slope, with respect to everything."""
    cameras = with_lens(ring(2), kind)
    points_mm = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(0)).double() * 400
    points_mm[..., 2] += 1000
    inputs = (points_mm / 1000, cameras.K, cameras.R, cameras.t_mm / 1000, cameras.distortion)
    leaves = [t.clone().requires_grad_() for t in inputs]

    def all_of_it(points: Tensor, K: Tensor, R: Tensor, t: Tensor, distortion: Tensor) -> tuple[Tensor, ...]:
        changed = replace(cameras, K=K, R=R, t_mm=t * 1000, distortion=distortion)
        pixels, slope = changed.project_with_slope(points * 1000)
        return pixels, changed.undistorted_points(pixels), slope

    assert gradcheck(all_of_it, leaves, atol=1e-4, fast_mode=True)


@every_kind
def test_slope_is_the_derivative_of_projection(kind: int | str) -> None:
    cameras, point = with_lens(ring(3), kind), torch.tensor([[200.0, -350.0, 1300.0]]).double()
    expected = torch.func.jacrev(lambda p: cameras.project(p)[:, 0])(point)[:, :, 0]
    pixels, slope = cameras.project_with_slope(point)
    torch.testing.assert_close(slope[:, 0], expected)
    assert torch.equal(pixels, cameras.project(point))


@every_kind
@few_examples
@given(data=st.data(), turns=st.integers(1, 3))
def test_projection_commutes_with_quarter_turns_crops_and_stretches(
    kind: int | str, turns: int, data: st.DataObject
) -> None:
    """Tangential, prism and tilt terms turn with the picture, exactly."""
    cameras = with_lens(ring(2), kind, data.draw(drawn_lens(kind)))
    points_mm = torch.randn(2, 8, 3, generator=torch.Generator().manual_seed(1)).double() * 500
    expected, (h, w) = cameras.project(points_mm), HW
    turned = cameras.turned(torch.tensor([turns, 0]))
    for _ in range(turns):
        x, y = expected[0].unbind(-1)
        expected[0] = torch.stack([h - y, x], -1)
        h, w = w, h
    torch.testing.assert_close(turned.project(points_mm), expected, atol=1e-7, rtol=1e-9)
    torch.testing.assert_close(turned.position_mm, cameras.position_mm)
    box, factor = torch.tensor([31.0, -7, 500, 300]).double(), torch.tensor([0.3, 1.7]).double()
    changed = turned.cropped(box).scaled(factor).project(points_mm)
    torch.testing.assert_close(changed, (expected - box[:2]) * factor, atol=1e-7, rtol=1e-9)


def mixed_rig() -> Cameras:
    """One camera of each kind."""
    cameras = ring(len(KINDS))
    return Cameras.stack([with_lens(cameras[i], kind) for i, kind in enumerate(KINDS)])


def test_a_rig_of_different_lenses_equals_its_cameras_one_by_one() -> None:
    rig, points_mm = mixed_rig(), torch.randn(9, 3).double() * 400 + torch.tensor([0.0, 0, 1000])
    assert rig.distortion_models == tuple(model_of(kind) for kind in KINDS)
    pixels, slope = rig.project_with_slope(points_mm)
    turned = rig.turned(torch.tensor(1)).project(points_mm)
    for i, kind in enumerate(KINDS):
        own = with_lens(ring(len(KINDS))[i], kind)
        assert rig[i].distortion_model == model_of(kind)
        for camera in (own, rig[i]):
            torch.testing.assert_close(camera.project(points_mm), pixels[i])
            torch.testing.assert_close(camera.project_with_slope(points_mm)[1], slope[i])
            torch.testing.assert_close(camera.undistorted_points(pixels[i]), rig.undistorted_points(pixels)[i])
        torch.testing.assert_close(own.turned(torch.tensor(1)).project(points_mm), turned[i])


def test_mixed_lenses_go_through_every_operation_of_a_batch() -> None:
    rig = mixed_rig()
    fisheyes = [i for i, kind in enumerate(KINDS) if kind == "fisheye"]
    assert rig[fisheyes].distortion_model == "fisheye" and rig[fisheyes].distortion.shape[-1] == 4
    stacked = Cameras.stack([rig, rig]).to(torch.float32)
    assert (
        stacked.distortion_models == rig.distortion_models * 2 and stacked[1].distortion_models == rig.distortion_models
    )
    joined = Cameras.concatenated([rig[:3], rig[3:]])
    assert joined.distortion_models == rig.distortion_models and torch.equal(joined.distortion, rig.distortion)
    assert rig.expanded(2, len(KINDS)).distortion_models == stacked.distortion_models
    plain = chosen(torch.tensor([kind == "fisheye" for kind in KINDS]), rig.without_distortion(), rig)
    assert "fisheye" not in plain.distortion_models and not plain[fisheyes].has_distortion
    assert not rig.without_distortion().has_distortion


@pytest.mark.parametrize("kind", [8, 14, "fisheye", "mixed"])
def test_triangulation_through_any_lens(kind: int | str) -> None:
    """The kernels meet the exact points; with noise they equal the torch twin, which has the gradient."""
    cameras = mixed_rig() if kind == "mixed" else with_lens(ring(5), kind)
    points_mm = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(2)).double() * 400
    points_mm[..., 2] += 1000
    points_px = cameras[None].project(points_mm[:, None])
    for found in (
        trivox.triangulate(points_px, cameras),
        trivox.triangulate(points_px, cameras, refine=True),
        trivox.triangulate_ransac(points_px, cameras, threshold_px=5.0),
    ):
        assert found.valid.all() and (found.points_mm - points_mm).abs().max() < 1e-6
        assert found.reprojection_px.max() < 1e-6
    noisy = points_px + torch.randn(points_px.shape, generator=torch.Generator().manual_seed(3)).double()
    for refine in (False, True):
        kernel = trivox.triangulate(noisy, cameras, refine=refine)
        twin = trivox.triangulate(noisy.clone().requires_grad_(), cameras, refine=refine)
        torch.testing.assert_close(kernel.points_mm, twin.points_mm, atol=1e-5, rtol=0)
        torch.testing.assert_close(kernel.reprojection_px, twin.reprojection_px, atol=1e-6, rtol=0)
        torch.testing.assert_close(kernel.covariance_mm2, twin.covariance_mm2, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("kind", [5, 8, 12, 14, "fisheye"])
def test_undistorted_pictures_equal_opencv(kind: int | str) -> None:
    camera, lens = opencv_camera(kind, LENSES[kind]), np.array(LENSES[kind])
    rows, columns = np.mgrid[: HW[0], : HW[1]]
    waves = np.stack([np.sin(columns / 23.0), np.cos(rows / 31.0), np.sin((rows + columns) / 40.0)], -1)
    picture = ((waves + 1) * 127).astype(np.uint8)
    if kind == "fisheye":
        maps = cv2.fisheye.initUndistortRectifyMap(K, lens, np.eye(3), K, HW[::-1], cv2.CV_32FC1)
    else:
        maps = cv2.initUndistortRectifyMap(K, lens, np.eye(3), K, HW[::-1], cv2.CV_32FC1)
    expected = cv2.remap(picture, *maps, cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT)
    difference = np.abs(undistorted_picture(picture, camera).astype(int) - expected)
    assert difference.mean() < 0.05 and (difference > 2).mean() < 1e-3


def test_a_fisheye_is_never_taken_for_a_pinhole() -> None:
    camera = opencv_camera("fisheye", (0.0, 0.0, 0.0, 0.0))
    assert camera.has_distortion
    point = (torch.tensor([[1000.0, 0, 1000]]).double() - camera.t_mm) @ camera.R
    torch.testing.assert_close(camera.project(point)[0, 0], torch.tensor(636.7 + 900 * np.pi / 4).double())
    ideal = camera.without_distortion()
    assert ideal.distortion_model == "opencv" and not ideal.has_distortion
    torch.testing.assert_close(ideal.project(point)[0, 0], torch.tensor(636.7 + 900).double())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [0.0, 1e-12, 0.011, 0.01, 99.9, 1e5, 1e7])
def test_every_lens_is_finite_everywhere(dtype: torch.dtype, size: float) -> None:
    rig = mixed_rig()
    points = (torch.tensor([[0.6, 0.8]]).to(dtype) * size).expand(len(KINDS), 1, 2).clone().requires_grad_()
    lenses, codes = rig.distortion.to(dtype).requires_grad_(), rig.distortion_model
    out = distort(points, lenses, codes)
    gradients = torch.autograd.grad(out.sum(), [points, lenses])
    assert all(t.isfinite().all() for t in (out, *gradients))
    fisheye = rig[-1].to(dtype)
    own = distort(points[-1:], fisheye.distortion[None], "fisheye")
    assert torch.autograd.grad(own.sum(), points)[0].isfinite().all()


BAD = {
    "3 terms": ({"distortion": torch.zeros(2, 3).double()}, "distortion has 3 coefficients"),
    "a fisheye of 5": ({"distortion": torch.zeros(2, 5).double(), "distortion_model": "fisheye"}, "expected 0 or 4"),
    "human36m of 8": ({"distortion": torch.zeros(2, 8).double(), "distortion_model": "human36m"}, "'human36m'"),
    "an unknown model": ({"distortion_model": "kannala"}, "opencv, human36m, fisheye"),
    "models of another shape": ({"distortion_model": torch.tensor([0, 1, 2])}, "distortion_model is a tensor"),
    "no such model": ({"distortion_model": torch.tensor([0, 7])}, "no place in DISTORTION_MODELS"),
    "long Human3.6M in a mixed rig": (
        {"distortion": torch.ones(2, 8).double(), "distortion_model": torch.tensor([0, 1])},
        "'human36m'",
    ),
    "K of (2, 2)": ({"K": torch.eye(2).double().expand(2, 2, 2)}, "K has shape"),
    "one R": ({"R": torch.eye(3).double()}, r"R has shape \(3, 3\), expected \(2, 3, 3\)"),
    "t of 4": ({"t_mm": torch.zeros(2, 4).double()}, "t_mm has shape"),
    "float32 t": ({"t_mm": torch.zeros(2, 3)}, "t_mm is torch.float32"),
    "whole numbers": ({"K": torch.eye(3).long().expand(2, 3, 3)}, "K is a tensor of torch.int64"),
    "numpy": ({"R": np.zeros((2, 3, 3))}, "R is of type ndarray"),
    "image_hw of floats": ({"image_hw": torch.ones(2, 2)}, "image_hw"),
    "image_hw of three cameras": ({"image_hw": torch.ones(3, 2).long()}, "image_hw has shape"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_camera_is_refused_in_terms_of_the_argument(case: str) -> None:
    changes, said = BAD[case]
    sound = {f: getattr(ring(2), f) for f in ("K", "R", "t_mm", "distortion", "image_hw")}
    with pytest.raises(InputError, match=said):
        Cameras(**(sound | changes))


@pytest.mark.parametrize("kind", [0, 1, 2, 4])
def test_short_lists_are_completed_by_zeros(kind: int) -> None:
    cameras = with_lens(ring(2), kind)
    assert cameras.distortion.shape == (2, 5) and cameras.distortion.tolist()[0][:kind] == list(LENSES[kind])
    assert not cameras.distortion[:, kind:].any() and cameras.has_distortion == (kind > 0)
