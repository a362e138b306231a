"""Outliers, many cameras, refinement and the meaning of the covariance."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from scenes import observed, points_in_room, random_generator, random_weights, ring_with
from torch import Tensor

from trivox.geometry.cameras import Cameras
from trivox.geometry.triangulation import refine, triangulate, triangulate_ransac
from trivox.geometry.triangulation.engine import farthest_point_order


def _scattered(points_px: Tensor, outliers: Tensor, seed: int) -> Tensor:
    """Each observation marked as an outlier thrown 150 to 550 pixels away, each in its own direction."""
    angle, size = torch.rand(2, *outliers.shape, generator=random_generator(seed), dtype=torch.float64)
    shift = torch.stack([(angle * 6.283).cos(), (angle * 6.283).sin()], dim=-1) * (150 + 400 * size)[..., None]
    return points_px + shift * outliers[..., None]


@pytest.mark.parametrize("lens", [False, True], ids=["ideal", "lens"])
@pytest.mark.parametrize("views", [4, 5, 8, 12, 31])
def test_outliers_are_found_as_long_as_three_views_agree(views: int, lens: bool) -> None:
    cameras, points_mm = ring_with(views, lens), points_in_room(60)
    order = torch.rand(views, 60, generator=random_generator(3)).argsort(dim=0).argsort(dim=0)
    # Half of the views at 31: chance agreement of many wild rays is a matter of luck, not of method.
    wrong = order < (views - 3 if views < 12 else views // 2)
    points_px = _scattered(observed(points_mm, cameras, noise_px=0.5), wrong, seed=4)
    result = triangulate_ransac(points_px, cameras, threshold_px=10.0)
    assert result.valid.all()
    exact = (result.inliers == ~wrong).all(0)
    assert exact.double().mean() > 0.9
    distance = (result.points_mm - points_mm).norm(dim=-1)
    assert distance[exact].max() < 25
    assert (result.reprojection_px[wrong & exact] > 10).all()


def test_all_but_two_views_may_be_wrong_in_different_ways() -> None:
    cameras, points_mm = ring_with(5, False), points_in_room(40)
    wrong = torch.tensor([True, False, True, False, True])[:, None].expand(5, 40)
    points_px = _scattered(observed(points_mm, cameras), wrong, seed=9)
    result = triangulate_ransac(points_px, cameras, threshold_px=2.0)
    right = (result.inliers == ~wrong).all(0)
    assert right.double().mean() > 0.9
    torch.testing.assert_close(result.points_mm[right], points_mm[right], atol=1e-5, rtol=0)


def test_no_two_views_agree() -> None:
    cameras = ring_with(5, False)[:2]
    points_px = observed(points_in_room(5), cameras)
    points_px[0, :, 1] += 200.0
    result = triangulate_ransac(points_px, cameras)
    assert not result.valid.any() and not result.inliers.any() and (result.points_mm == 0).all()


def test_heavier_views_win_over_more_views() -> None:
    """Two views of weight 1 say one thing, three of weight 0.3 another."""
    cameras, here = ring_with(5, False), points_in_room(1)
    there = here + torch.tensor([0.0, 0.0, 400.0])
    points_px = torch.cat([observed(here, cameras)[:2], observed(there, cameras)[2:]])
    weights = torch.tensor([1.0, 1.0, 0.3, 0.3, 0.3]).double()[:, None]
    heavy = triangulate_ransac(points_px, cameras, weights)
    torch.testing.assert_close(heavy.points_mm, here, atol=1e-6, rtol=0)
    torch.testing.assert_close(heavy.confidence, torch.ones(1).double())
    torch.testing.assert_close(triangulate_ransac(points_px, cameras).points_mm, there, atol=1e-6, rtol=0)


def test_threshold_means_pixels_of_the_distorted_picture() -> None:
    """18 views, the light one too light to propose a point: it agrees exactly up to 20 pixels of its picture."""
    cameras = ring_with(18, False)
    cameras = replace(cameras, distortion=torch.tensor([-0.25, 0.05, 0, 0, 0]).double().expand(18, 5))
    points_px = observed(points_in_room(6), cameras)
    weights = torch.ones(18, 6).double()
    weights[2] = 0.5
    for off_px, inlier in ((19.99, True), (20.01, False)):
        moved = points_px.clone()
        moved[2, :, 0] += off_px
        result = triangulate_ransac(moved, cameras, weights, threshold_px=20.0)
        assert (result.inliers[2] == inlier).all()
        assert result.inliers.sum() == 6 * (17 + inlier)


def test_only_heavy_views_propose_when_there_are_many() -> None:
    """31 views, 15 of them perfect and light; the 16 heavy ones disagree, and only they propose points."""
    cameras, points_mm = ring_with(31, False), points_in_room(3)
    wrong = (torch.arange(31) < 16)[:, None].expand(31, 3)
    points_px = _scattered(observed(points_mm, cameras), wrong, seed=1)
    weights = torch.where(wrong, 1.0, 0.5).double()
    assert triangulate_ransac(points_px, cameras, weights, threshold_px=1.0).inliers[16:].sum() == 0
    result = triangulate_ransac(points_px, cameras, 1.5 - weights, threshold_px=1.0)
    assert torch.equal(result.inliers, ~wrong)


def test_farthest_point_order_spreads() -> None:
    """On a ring the first four places are a quarter turn apart, whichever camera begins."""
    centres = ring_with(32, False).position_mm.numpy()[None]
    place = farthest_point_order(centres)[0]
    assert sorted(place.tolist()) == list(range(32))
    first = sorted(place.tolist().index(i) for i in range(4))
    assert [b - a for a, b in zip(first, first[1:], strict=False)] == [8, 8, 8]


@example(seed=429, noise_px=25.0, huber_px=32.0)  # needs more than a hundred steps
@given(seed=st.integers(0, 10_000), noise_px=st.floats(0, 40), huber_px=st.floats(0.3, 50))
def test_refinement_never_raises_the_cost(seed: int, noise_px: float, huber_px: float) -> None:
    cameras = ring_with(4, seed % 2 == 0)
    points_px = observed(points_in_room(8, seed=seed), cameras, noise_px, seed=seed + 1)
    weights = random_weights(4, 8, seed=seed)
    start = triangulate(points_px, cameras, weights)
    end = refine(start, points_px, cameras, weights, huber_px=huber_px)
    before, after = (_cost(r.reprojection_px, weights, huber_px) for r in (start, end))
    assert (after <= before * (1 + 1e-9) + 1e-12).all()
    # A minimum to within a millimetre: with this much noise, residuals on the edge of Huber's core converge slowly.
    for step in torch.eye(3).double() * 2.0:
        for sign in (1.0, -1.0):
            moved = cameras.project((end.points_mm + sign * step).expand(4, 8, 3))
            cost = _cost((moved - points_px).norm(dim=-1), weights, huber_px)
            assert (cost >= after * (1 - 1e-9) - 1e-9).all()


def _cost(distance_px: Tensor, weights: Tensor, huber_px: float) -> Tensor:
    inside = distance_px.clamp(max=huber_px)
    return (weights**2 * inside * (2 * distance_px - inside)).sum(0)


def test_covariance_is_that_of_many_trials() -> None:
    cameras, points_mm = ring_with(4, True), points_in_room(1)
    weights = torch.tensor([1.0, 0.5, 2.0, 1.0]).double()[:, None]
    noise = torch.randn(20_000, 4, 1, 2, generator=random_generator(), dtype=torch.float64) / weights[..., None]
    points_px = observed(points_mm, cameras) + noise
    result = triangulate(points_px, cameras, weights.expand(20_000, 4, 1), refine=True, huber_px=1e6)
    seen = torch.cov(result.points_mm[:, 0].mT)
    stated = triangulate(observed(points_mm, cameras), cameras, weights).covariance_mm2[0]
    scale = stated.diagonal().sqrt()
    assert ((seen - stated) / (scale[:, None] * scale)).abs().max() < 0.05


def test_confidence_is_the_mean_weight_of_the_views_used() -> None:
    cameras = ring_with(3, False)
    weights = torch.tensor([0.2, 0.0, 0.6]).double()[:, None]
    result = triangulate(observed(points_in_room(1), cameras), cameras, weights)
    torch.testing.assert_close(result.confidence, torch.tensor([0.4]).double())


def test_scale_of_weights_does_not_matter_to_the_point() -> None:
    cameras = ring_with(4, True)
    points_px, weights = observed(points_in_room(5), cameras, noise_px=3.0), random_weights(4, 5)
    for factor in (1e-9, 1e9):
        for method in (triangulate, triangulate_ransac):
            scaled = method(points_px, cameras, weights * factor).points_mm
            torch.testing.assert_close(scaled, method(points_px, cameras, weights).points_mm, atol=1e-6, rtol=0)


def test_a_point_beside_a_camera_is_refined_without_crossing_it() -> None:
    cameras: Cameras = ring_with(4, False)
    beside = cameras.position_mm[0] + cameras.R[0].mT @ torch.tensor([300.0, 0.0, 20.0]).double()
    result = triangulate(observed(beside[None], cameras), cameras, refine=True)
    torch.testing.assert_close(result.points_mm, beside[None], atol=1e-5, rtol=0)
    # From 30 mm away the full step leads through the camera's plane.
    away = replace(result, points_mm=result.points_mm + 30.0 * cameras.R[0, 2])
    again = refine(away, observed(beside[None], cameras), cameras, huber_px=1e6)
    torch.testing.assert_close(again.points_mm, beside[None], atol=1e-5, rtol=0)
