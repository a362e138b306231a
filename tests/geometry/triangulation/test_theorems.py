"""What must hold of every way to triangulate, with and without lens, in machine code and with gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import BATCH_SHAPES, observed, points_in_room, random_weights, ring_with, tensors_of
from torch import Tensor

from trivox.errors import InputError
from trivox.geometry.cameras import Cameras
from trivox.geometry.triangulated import Triangulated
from trivox.geometry.triangulation import refine, triangulate, triangulate_ransac

Method = Callable[[Tensor, Cameras, Tensor | None], Triangulated]


def _linear(points_px: Tensor, cameras: Cameras, weights: Tensor | None = None) -> Triangulated:
    return triangulate(points_px, cameras, weights)


def _linear_refined(points_px: Tensor, cameras: Cameras, weights: Tensor | None = None) -> Triangulated:
    return triangulate(points_px, cameras, weights, refine=True)


def _ransac(points_px: Tensor, cameras: Cameras, weights: Tensor | None = None) -> Triangulated:
    return triangulate_ransac(points_px, cameras, weights, refine=False)


def _ransac_refined(points_px: Tensor, cameras: Cameras, weights: Tensor | None = None) -> Triangulated:
    return triangulate_ransac(points_px, cameras, weights)


def _refined_afterwards(points_px: Tensor, cameras: Cameras, weights: Tensor | None = None) -> Triangulated:
    return refine(triangulate(points_px, cameras, weights), points_px, cameras, weights)


def _with_gradient(method: Method) -> Method:
    def run(points_px: Tensor, cameras: Cameras, weights: Tensor | None = None) -> Triangulated:
        result = method(points_px.clone().requires_grad_(), cameras, weights)
        assert result.points_mm.requires_grad
        return result.map(torch.Tensor.detach)

    return run


_PLAIN = [_linear, _linear_refined, _ransac, _ransac_refined, _refined_afterwards]
METHODS = [
    *(pytest.param(method, id=method.__name__[1:]) for method in _PLAIN),
    *(pytest.param(_with_gradient(method), id=f"{method.__name__[1:]}-gradient") for method in _PLAIN),
]
every_plain_method = pytest.mark.parametrize("method", _PLAIN)
every_method = pytest.mark.parametrize("method", METHODS)
both_lenses = pytest.mark.parametrize("lens", [False, True], ids=["ideal", "lens"])


def assert_same(first: Triangulated, second: Triangulated, points_atol: float = 1e-6) -> None:
    for name, value in tensors_of(first).items():
        other = getattr(second, name)
        torch.testing.assert_close(value, other, atol=points_atol, rtol=1e-6, msg=lambda m, n=name: f"{n}: {m}")


def assert_invalid(result: Triangulated) -> None:
    assert not result.valid.any()
    for name, value in tensors_of(result).items():
        assert (value == 0).all(), name


@every_method
@both_lenses
@pytest.mark.parametrize("batch", BATCH_SHAPES, ids=str)
def test_projections_give_back_the_points(method: Method, lens: bool, batch: tuple[int, ...]) -> None:
    cameras, points_mm = ring_with(5, lens), points_in_room(*batch, 7)
    result = method(observed(points_mm, cameras), cameras, None)
    assert result.valid.shape == (*batch, 7) and result.valid.all() and result.inliers.all()
    torch.testing.assert_close(result.points_mm, points_mm, atol=1e-6, rtol=0)
    assert result.reprojection_px.shape == (*batch, 5, 7) and result.reprojection_px.max() < 1e-7
    assert (result.confidence == 1).all()


@every_method
@both_lenses
def test_order_of_views_does_not_matter(method: Method, lens: bool) -> None:
    cameras, order = ring_with(6, lens), torch.tensor([3, 1, 5, 0, 2, 4])
    points_px = observed(points_in_room(2, 9), cameras, noise_px=3.0)
    points_px[:, 2, :4] += 90.0
    weights = random_weights(2, 6, 9)
    result = method(points_px, cameras, weights)
    permuted = method(points_px[:, order], cameras[order], weights[:, order])
    back = torch.argsort(order)
    assert torch.equal(permuted.inliers[:, back], result.inliers)
    torch.testing.assert_close(permuted.reprojection_px[:, back], result.reprojection_px, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(permuted.points_mm, result.points_mm, atol=1e-6, rtol=0)
    torch.testing.assert_close(permuted.covariance_mm2, result.covariance_mm2, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@given(
    angle=st.floats(-math.pi, math.pi),
    shift=st.tuples(*[st.floats(-5000, 5000)] * 3),
    tilt=st.floats(-1, 1),
    at_a_point=st.booleans(),
)
@settings(max_examples=20)
def test_moving_the_world_moves_the_answer(
    method: Method, angle: float, shift: tuple[float, float, float], tilt: float, at_a_point: bool
) -> None:
    """Also where the new world's origin is on a point itself."""
    axis = torch.tensor([tilt, 0.3, 1.0], dtype=torch.float64)
    axis = axis / axis.norm() * angle
    skew = torch.zeros(3, 3, dtype=torch.float64)
    skew[0, 1], skew[0, 2], skew[1, 2] = -axis[2], axis[1], -axis[0]
    move = torch.eye(4, dtype=torch.float64)
    move[:3, :3], move[:3, 3] = torch.linalg.matrix_exp(skew - skew.mT), torch.tensor(shift)
    cameras, points_mm = ring_with(4, True), points_in_room(5)
    if at_a_point:
        move[:3, 3] = points_mm[0] + torch.tensor(shift) / 1000
    points_px = observed(points_mm, cameras, noise_px=3.0)
    here = method(points_px, cameras, None)
    there = method(points_px, cameras.moved(move), None)
    moved = there.points_mm @ move[:3, :3].mT + move[:3, 3]
    torch.testing.assert_close(moved, here.points_mm, atol=1e-5, rtol=0)
    covariance = move[:3, :3] @ there.covariance_mm2 @ move[:3, :3].mT
    torch.testing.assert_close(covariance, here.covariance_mm2, atol=1e-5, rtol=1e-6)
    assert torch.equal(here.inliers, there.inliers)


@every_method
@both_lenses
@pytest.mark.parametrize("why", ["weight", "negative", "nan weight", "nan", "inf", "absurd"])
def test_a_masked_view_equals_its_absence(method: Method, lens: bool, why: str) -> None:
    cameras = ring_with(5, lens)
    points_px, weights = observed(points_in_room(2, 3), cameras, noise_px=2.0), random_weights(2, 5, 3)
    keep = torch.tensor([0, 1, 3, 4])
    without = method(points_px[:, keep], cameras[keep], weights[:, keep])
    if "weight" in why or why == "negative":
        weights[:, 2] = {"weight": 0.0, "negative": -1.0, "nan weight": math.nan}[why]
    else:
        points_px[:, 2, :, 1] = {"nan": math.nan, "inf": -math.inf, "absurd": 1e300}[why]
    masked = method(points_px, cameras, weights)
    assert (masked.inliers[:, 2] == 0).all() and (masked.reprojection_px[:, 2] == 0).all()
    torch.testing.assert_close(masked.points_mm, without.points_mm, atol=1e-9, rtol=0)
    torch.testing.assert_close(masked.reprojection_px[:, keep], without.reprojection_px, atol=1e-9, rtol=0)
    torch.testing.assert_close(masked.confidence, without.confidence)


@every_method
def test_a_view_with_a_broken_camera_counts_as_missing(method: Method) -> None:
    cameras = ring_with(4, True)
    points_px = observed(points_in_room(3), cameras, noise_px=2.0)
    without = method(points_px[1:], cameras[1:], None)
    K = cameras.K.clone()
    K[0, 0, 0] = math.nan
    broken = Cameras(K, cameras.R, cameras.t_mm, cameras.distortion, cameras.distortion_model)
    result = method(points_px, broken, None)
    torch.testing.assert_close(result.points_mm, without.points_mm, atol=1e-9, rtol=0)
    assert not result.inliers[0].any()


@every_method
@both_lenses
def test_a_batch_of_rigs_equals_a_loop(method: Method, lens: bool) -> None:
    rigs = Cameras.stack([ring_with(4, lens), ring_with(8, lens)[::2], ring_with(7, lens)[:4]])
    points_mm = points_in_room(3, 2, 5)
    pixels = torch.stack([observed(points_mm[i], rigs[i], noise_px=2.0, seed=i) for i in range(3)])
    weights = random_weights(3, 2, 4, 5)
    batched = method(pixels, Cameras.stack([rigs, rigs]).map(lambda t: t.movedim(0, 1)), weights)
    looped = [method(pixels[i], rigs[i], weights[i]) for i in range(3)]
    assert_same(batched, Triangulated.stack(looped))


@every_method
def test_empty_batches_and_skeletons(method: Method) -> None:
    cameras = ring_with(3, True)
    assert method(torch.zeros(0, 3, 5, 2).double(), cameras, None).points_mm.shape == (0, 5, 3)
    assert method(torch.zeros(2, 3, 0, 2).double(), cameras, None).reprojection_px.shape == (2, 3, 0)


@every_method
@both_lenses
def test_float32_in_float32_out_but_solved_in_float64(method: Method, lens: bool) -> None:
    cameras, points_mm = ring_with(4, lens), points_in_room(2, 6)
    result = method(observed(points_mm, cameras).float(), cameras.to(dtype=torch.float32), None)
    assert result.points_mm.dtype == torch.float32 and result.covariance_mm2.dtype == torch.float32
    torch.testing.assert_close(result.points_mm.double(), points_mm, atol=0.01, rtol=0)


@every_plain_method
@pytest.mark.parametrize("shape", [(0, 3, 5), (2, 3, 0), (4, 0, 3, 2), (2, 0, 5)], ids=str)
@pytest.mark.parametrize("batched", [False, True], ids=["one rig", "rigs"])
def test_nothing_has_a_gradient_of_nothing(method: Method, shape: tuple[int, ...], batched: bool) -> None:
    cameras = ring_with(3, True)[: shape[-2]]
    if batched:
        cameras = cameras.expanded(*shape[:-1])
    leaves = [torch.zeros(*shape, 2).double(), torch.ones(shape).double(), cameras.K, cameras.t_mm]
    points_px, weights, K, t_mm = (leaf.clone().requires_grad_() for leaf in leaves)
    result = method(points_px, replace(cameras, K=K, t_mm=t_mm), weights)
    total = result.points_mm.sum() + result.reprojection_px.sum() + result.covariance_mm2.sum()
    gradients = torch.autograd.grad(total, [points_px, weights, K, t_mm])
    assert all((gradient == 0).all() for gradient in gradients)
    assert not result.valid.any() and torch.equal(result.points_mm, torch.zeros_like(result.points_mm))


@every_plain_method
@both_lenses
def test_pixels_in_whole_numbers_are_pixels(method: Method, lens: bool) -> None:
    cameras = ring_with(4, lens)
    whole = observed(points_in_room(2, 6), cameras).round()
    assert_same(method(whole.long(), cameras, None), method(whole, cameras, None))
    assert method(whole.int(), cameras, None).points_mm.dtype == torch.float64


# Degenerate rigs and observations: never an exception, never NaN.


@every_method
def test_fewer_than_two_views_are_invalid(method: Method) -> None:
    cameras = ring_with(3, True)
    points_px = observed(points_in_room(4), cameras)
    assert_invalid(method(points_px[:1], cameras[:1], None))
    weights = torch.tensor([0.0, 0.7, 0.0]).double()[:, None].expand(3, 4)
    assert_invalid(method(points_px, cameras, weights))
    assert_invalid(method(torch.full_like(points_px, math.nan), cameras, None))


@every_method
@both_lenses
@pytest.mark.parametrize("noise_px", [0.0, 1.0])
def test_cameras_at_one_place_are_invalid(method: Method, lens: bool, noise_px: float) -> None:
    one = ring_with(3, lens)[:1]
    cameras = Cameras.stack([one[0]] * 3)
    assert_invalid(method(observed(points_in_room(6), cameras, noise_px), cameras, None))


@every_method
def test_parallel_rays_are_invalid(method: Method) -> None:
    """Two cameras that look the same way and see the same pixel: the point is at infinity."""
    one = ring_with(3, False)[0]
    cameras = Cameras.stack([one, one])
    cameras.t_mm[1, 0] += 500.0
    points_px = torch.tensor([[100.0, 200.0], [640.0, 360.0]]).double().expand(2, 2, 2)
    assert_invalid(method(points_px, cameras, None))


@every_method
def test_a_point_on_the_baseline_is_invalid(method: Method) -> None:
    """Two cameras that look at each other: their rays through both centres coincide."""
    one = ring_with(3, False)[0]
    cameras = Cameras.stack([one, one])
    turn = torch.diag(torch.tensor([-1.0, 1.0, -1.0]).double())
    cameras.R[1] = turn @ one.R
    cameras.t_mm[1] = turn @ one.t_mm + torch.tensor([0.0, 0.0, 5000.0]).double()
    middle = one.position_mm + 2500.0 * one.R[2]
    points_px = torch.tensor([640.0, 360.0]).double().expand(2, 1, 2)
    torch.testing.assert_close(observed(middle[None], cameras), points_px)
    assert_invalid(method(points_px, cameras, None))


@every_method
@both_lenses
def test_lines_that_meet_behind_a_camera_are_invalid(method: Method, lens: bool) -> None:
    """Cameras that look away from the point still have the pixels where its lines meet their planes."""
    cameras, points_mm = ring_with(4, lens), points_in_room(6)
    about_the_middle = torch.diag(torch.tensor([-1.0, 1.0, -1.0]).double())
    for away in ([0, 1, 2, 3], [2]):
        R, t_mm = cameras.R.clone(), cameras.t_mm.clone()
        R[away], t_mm[away] = about_the_middle @ R[away], t_mm[away] @ about_the_middle
        turned = replace(cameras, R=R, t_mm=t_mm)
        points_px = observed(points_mm, turned)
        assert (turned.depth_mm(points_mm.expand(4, -1, -1))[away] < 0).all()
        seeing = [v for v in range(4) if v not in away]
        result = method(points_px, turned, None)
        depth_mm = turned.depth_mm(result.points_mm.expand(4, -1, -1))
        assert (depth_mm[result.inliers] > 0).all()
        if not seeing:
            assert_invalid(result)
        weights = torch.ones(4, 6).double()
        weights[away] = 0.0
        without = method(points_px, turned, weights)
        assert without.valid.all() if seeing else not without.valid.any()


@every_method
def test_collinear_cameras_are_no_problem(method: Method) -> None:
    one = ring_with(3, True)[0]
    cameras = Cameras.stack([one] * 4)
    cameras.t_mm[:, 0] += torch.tensor([-600.0, -200.0, 200.0, 600.0])
    points_mm = points_in_room(6)
    result = method(observed(points_mm, cameras), cameras, None)
    torch.testing.assert_close(result.points_mm, points_mm, atol=1e-5, rtol=0)


@every_method
@given(seed=st.integers(0, 10_000), size=st.sampled_from([1.0, 1e3, 1e6, 1e12]))
def test_nonsense_is_survived(method: Method, seed: int, size: float) -> None:
    cameras = ring_with(4, seed % 2 == 0)
    generator = torch.Generator().manual_seed(seed)
    points_px = torch.randn(4, 6, 2, generator=generator, dtype=torch.float64) * size
    weights = torch.rand(4, 6, generator=generator, dtype=torch.float64) ** 30
    result = method(points_px, cameras, weights)
    for name, value in tensors_of(result).items():
        assert value.isfinite().all(), name
    assert (result.points_mm[~result.valid] == 0).all()


@every_method
def test_views_that_do_not_fit_are_told(method: Method) -> None:
    points_px = torch.zeros(3, 5, 2).double()
    with pytest.raises(InputError, match="3 views.*one camera per view"):
        method(points_px, ring_with(4, False), None)


def test_refining_the_points_of_other_observations_is_refused() -> None:
    cameras = ring_with(3, False)
    points_px = observed(points_in_room(2, 5), cameras)
    found = triangulate(points_px, cameras)
    for other in (points_px[0], points_px[:1], points_px[:, :, :4]):
        with pytest.raises(InputError, match="triangulated points_mm have shape.*give the result"):
            refine(found, other, cameras)
    with pytest.raises(InputError, match=r"inliers have shape \(2, 3, 5\), expected \(2, 2, 5\)"):
        refine(found, points_px[:, :2], cameras[:2])


def test_thresholds_must_be_positive() -> None:
    cameras, points_px = ring_with(3, False), torch.zeros(3, 5, 2).double()
    for wrong in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(InputError, match="threshold_px"):
            triangulate_ransac(points_px, cameras, threshold_px=wrong)
        with pytest.raises(InputError, match="huber_px"):
            triangulate(points_px, cameras, refine=True, huber_px=wrong)
