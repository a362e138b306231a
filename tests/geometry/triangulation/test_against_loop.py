"""The machine code and the differentiable code against each other and against a plain loop over joints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scenes import observed, points_in_room, random_generator, random_weights, ring_with, tensors_of
from slow.triangulation import plain, project, roots_of_cost, triangulate_joint
from torch import Tensor

from trivox.geometry.cameras import Cameras
from trivox.geometry.triangulated import Triangulated
from trivox.geometry.triangulation import triangulate, triangulate_ransac

both_lenses = pytest.mark.parametrize("lens", [False, True], ids=["ideal", "lens"])


def _scene(views: int, lens: bool, outliers: float = 0.0) -> tuple[Cameras, Tensor, Tensor]:
    """Noisy observations of 40 joints, some missing, some far off, and their weights."""
    cameras = ring_with(views, lens)
    points_px = observed(points_in_room(40), cameras, noise_px=3.0)
    random = torch.rand(2, views, 40, generator=random_generator(5))
    shift = torch.randn(views, 40, 2, generator=random_generator(6), dtype=torch.float64) * 120
    points_px = points_px + shift * (random[0] < outliers)[..., None]
    weights = random_weights(views, 40) * (random[1] > 0.1)
    return cameras, points_px, weights


def _check_with_loop(result: Triangulated, points_px: Tensor, cameras: Cameras, weights: Tensor, **how: Any) -> None:
    for j in range(points_px.shape[1]):
        observed_px, weight = points_px[:, j].numpy(), weights[:, j].numpy()
        point, used = triangulate_joint(observed_px, cameras, weight, **how)
        if not result.valid[j]:
            assert used.sum() < 2 or (project(point, plain(cameras))[1][used] <= 0).any(), j
            continue
        assert result.inliers[:, j].tolist() == used.tolist(), j
        if "huber_px" not in how:
            np.testing.assert_allclose(result.points_mm[j].numpy(), point, rtol=1e-6)
            continue
        given = np.where(used[:, None], observed_px, 0.0)
        # Robust costs are flat where views disagree: the better minimum counts.
        ours, theirs = (
            (roots_of_cost(x, given, plain(cameras), weight * used, how["huber_px"]) ** 2).sum()
            for x in (result.points_mm[j].numpy(), point)
        )
        assert ours <= theirs * (1 + 1e-9) + 1e-12, j
        np.testing.assert_allclose(result.points_mm[j].numpy(), point, atol=10.0)


@both_lenses
@pytest.mark.parametrize("homogeneous", [False, True], ids=["least squares", "homogeneous"])
@pytest.mark.parametrize("views", [2, 3, 5, 9])
def test_linear(views: int, homogeneous: bool, lens: bool) -> None:
    cameras, points_px, weights = _scene(views, lens)
    result = triangulate(points_px, cameras, weights, homogeneous=homogeneous)
    _check_with_loop(result, points_px, cameras, weights, homogeneous=homogeneous)


@both_lenses
@pytest.mark.parametrize(("views", "homogeneous"), [(2, False), (4, True), (6, False), (16, True)])
def test_ransac(views: int, homogeneous: bool, lens: bool) -> None:
    cameras, points_px, weights = _scene(views, lens, outliers=0.2)
    result = triangulate_ransac(points_px, cameras, weights, refine=False, homogeneous=homogeneous)
    _check_with_loop(result, points_px, cameras, weights, threshold_px=20.0, homogeneous=homogeneous)


@both_lenses
@pytest.mark.parametrize("views", [3, 5])
def test_ransac_refined(views: int, lens: bool) -> None:
    cameras, points_px, weights = _scene(views, lens, outliers=0.2)
    result = triangulate_ransac(points_px, cameras, weights, huber_px=2.0)
    _check_with_loop(result, points_px, cameras, weights, threshold_px=20.0, huber_px=2.0)


def test_human36m_lens() -> None:
    plain, points_px, weights = _scene(4, True)
    cameras = Cameras(plain.K, plain.R, plain.t_mm, plain.distortion, "human36m")
    result = triangulate_ransac(points_px, cameras, weights)
    _check_with_loop(result, points_px, cameras, weights, threshold_px=20.0, huber_px=2.0)


def test_homogeneous_beside_the_origin_of_the_world() -> None:
    """There, with noise, Newton's method leaps too far and must be called back."""
    cameras = ring_with(5, False)
    points_mm = torch.randn(60, 3, generator=random_generator(), dtype=torch.float64) * 30
    points_px, weights = observed(points_mm, cameras, noise_px=6.0), torch.ones(5, 60).double()
    for x in (points_px, points_px.clone().requires_grad_()):
        result = triangulate(x, cameras, homogeneous=True)
        # Points thrown far away by this system are judged by their parallax: none is checked.
        valid = result.valid
        assert valid.sum() > 30
        for j in valid.nonzero()[:, 0].tolist():
            observed_px, weight = points_px[:, j].numpy(), weights[:, j].numpy()
            point, _ = triangulate_joint(observed_px, cameras, weight, homogeneous=True)
            np.testing.assert_allclose(result.points_mm[j].detach().numpy(), point, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("method", [triangulate, triangulate_ransac])
def test_answers_do_not_care_where_the_origin_is(method: Callable[..., Triangulated]) -> None:
    """Feet on the world's origin, seen with pixels of noise: a person stands there more often than not."""
    cameras = ring_with(5, True)
    points_mm = torch.randn(600, 3, generator=random_generator(), dtype=torch.float64) * 30
    result = method(observed(points_mm, cameras, noise_px=3.0), cameras, refine=False)
    assert result.valid.all()
    errors_mm = (result.points_mm - points_mm).norm(dim=-1)
    assert errors_mm.quantile(0.95) < 40 and errors_mm.max() < 70


@both_lenses
@pytest.mark.parametrize("refine", [False, True])
@pytest.mark.parametrize("search", [False, True])
def test_every_field_is_the_same_with_and_without_gradient(lens: bool, refine: bool, search: bool) -> None:
    cameras, points_px, weights = _scene(5, lens, outliers=0.1)
    method = triangulate_ransac if search else triangulate
    kernel = method(points_px, cameras, weights, refine=refine)
    gradient = method(points_px.clone().requires_grad_(), cameras, weights, refine=refine)
    for name, value in tensors_of(kernel).items():
        other = getattr(gradient, name).detach()
        torch.testing.assert_close(value, other, atol=1e-6, rtol=1e-7, msg=lambda m, n=name: f"{n}: {m}")


def test_many_joints_in_threads_equal_few() -> None:
    cameras, points_px, weights = _scene(4, True, outliers=0.2)
    many = triangulate_ransac(points_px.expand(100, -1, -1, -1), cameras, weights.expand(100, -1, -1))
    few = triangulate_ransac(points_px, cameras, weights)
    assert torch.equal(many.points_mm, few.points_mm.expand(100, -1, -1))
    assert torch.equal(many.inliers, few.inliers.expand(100, -1, -1))
