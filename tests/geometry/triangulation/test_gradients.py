"""Derivatives against finite differences: observations, weights and cameras, ordinary and degenerate."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scenes import observed, points_in_room, random_weights, ring_with
from torch import Tensor
from torch.autograd import gradcheck

from trivox.geometry.cameras import Cameras
from trivox.geometry.triangulation import refine, triangulate, triangulate_ransac

# A Huber scale of 2 pixels among residuals of a few: the minimum has both kinds.
METHODS = {
    "linear": triangulate,
    "homogeneous": lambda *a: triangulate(*a, homogeneous=True),
    "linear refined": lambda *a: triangulate(*a, refine=True),
    "ransac": lambda *a: triangulate_ransac(*a, refine=False),
    "ransac refined": triangulate_ransac,
    "refined afterwards": lambda points_px, *a: refine(
        triangulate(points_px.detach(), *a), points_px, *a, huber_px=2.0
    ),
}


def _outputs(name: str, points_px: Tensor, cameras: Cameras, weights: Tensor) -> tuple[Tensor, ...]:
    result = METHODS[name](points_px, cameras, weights)
    # Micrometres and the like would drown in the rounding of the finite differences.
    return result.points_mm / 10, result.reprojection_px / 10, result.covariance_mm2 / 10, result.confidence


def _check(name: str, points_px: Tensor, cameras: Cameras, weights: Tensor) -> None:
    inputs = [points_px, weights, cameras.K, cameras.R, cameras.t_mm, cameras.distortion]
    scales = [1.0, 1.0, 1.0, 1.0, 100.0, 1.0]
    leaves = [(x / s).clone().requires_grad_() for x, s in zip(inputs, scales, strict=True)]

    def run(*leaves: Tensor) -> tuple[Tensor, ...]:
        px, w, K, R, t_mm, distortion = (x * s for x, s in zip(leaves, scales, strict=True))
        return _outputs(name, px, replace(cameras, K=K, R=R, t_mm=t_mm, distortion=distortion), w)

    assert gradcheck(run, leaves, eps=1e-6, atol=2e-4, rtol=1e-4, fast_mode=True)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("lens", [False, True], ids=["ideal", "lens"])
def test_everything_that_goes_in(name: str, lens: bool) -> None:
    cameras = ring_with(4, True) if lens else ring_with(4, False)
    if not lens:
        # Without a coefficient the lens is skipped, and rightly has no derivative.
        cameras = replace(cameras, distortion=cameras.distortion + 1e-9)
    points_px = observed(points_in_room(2), cameras, noise_px=2.0)
    _check(name, points_px, cameras, random_weights(4, 2))


@pytest.mark.parametrize("name", METHODS)
def test_collinear_cameras(name: str) -> None:
    one = ring_with(3, True)[0]
    cameras = Cameras.stack([one] * 3)
    cameras.t_mm[:, 0] += torch.tensor([-900.0, 0.0, 900.0])
    _check(name, observed(points_in_room(2), cameras, noise_px=1.0), cameras, random_weights(3, 2))


@pytest.mark.parametrize("name", METHODS)
def test_exact_observations(name: str) -> None:
    """Residuals of zero have no direction; the point still has a derivative."""
    cameras, points_mm = ring_with(4, True), points_in_room(2)
    points_px = observed(points_mm, cameras).requires_grad_()
    (gradient,) = torch.autograd.grad(METHODS[name](points_px, cameras, None).points_mm.sum(), points_px)
    step = torch.zeros_like(points_px)
    step[1, 0, 0] = 1e-4
    with torch.no_grad():
        ahead = METHODS[name](points_px + step, cameras, None).points_mm.sum()
        behind = METHODS[name](points_px - step, cameras, None).points_mm.sum()
    torch.testing.assert_close(gradient[1, 0, 0], (ahead - behind) / 2e-4, atol=1e-4, rtol=1e-4)


def test_repeated_singular_values() -> None:
    """Three equal larger singular values, where the derivative of an SVD is NaN."""
    rotations = torch.eye(3, dtype=torch.float64)[torch.tensor([[0, 1, 2], [1, 2, 0], [2, 0, 1]])]
    t_mm = torch.tensor([0.0, 0.0, 1000.0]).double().expand(3, 3)
    cameras = Cameras(torch.eye(3).double().expand(3, 3, 3), rotations, t_mm, torch.zeros(3, 5).double())
    points_px = torch.zeros(3, 1, 2, dtype=torch.float64)
    P = cameras.pixel_from_world
    values = torch.linalg.svdvals(torch.cat([-P[:, 0], -P[:, 1]]))
    assert (values[:3] - values[0]).abs().max() < 1e-12
    weights = torch.ones(3, 1).double()

    def places(x: Tensor, w: Tensor) -> Tensor:
        return triangulate(x, cameras, w, homogeneous=True).points_mm

    assert gradcheck(places, (points_px.requires_grad_(), weights))
    assert gradcheck(lambda w: places(points_px.detach(), w), (weights.requires_grad_(),))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("fault", ["weight", "nan", "parallel", "camera"])
def test_unusable_views_and_invalid_joints_have_no_gradient_and_no_nan(name: str, fault: str) -> None:
    cameras = ring_with(4, True)
    points_px, weights = observed(points_in_room(3), cameras, noise_px=1.0), random_weights(4, 3)
    if fault == "weight":
        weights[1] = 0.0
    elif fault == "nan":
        points_px[1] = torch.nan
    elif fault == "camera":
        cameras = replace(cameras, K=cameras.K * torch.tensor([1.0, torch.nan, 1, 1])[:, None, None])
    else:
        cameras = Cameras.stack([cameras[0]] * 4)
    inputs = [points_px, weights, cameras.K, cameras.R, cameras.t_mm, cameras.distortion]
    px, w, K, R, t_mm, distortion = leaves = [x.clone().requires_grad_() for x in inputs]
    result = METHODS[name](px, replace(cameras, K=K, R=R, t_mm=t_mm, distortion=distortion), w)
    total = result.points_mm.sum() + result.reprojection_px.sum() + result.covariance_mm2.sum()
    gradients = torch.autograd.grad(total + result.confidence.sum(), leaves)
    assert all(g.isfinite().all() for g in gradients)
    lost = slice(None) if fault == "parallel" else 1
    assert all((g[lost] == 0).all() for g in gradients)
    assert result.valid.any() == (fault != "parallel")
