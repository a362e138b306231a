"""Volume and peaks together: the most probable place, found against a slow search; and what each of them decides."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rigs import ring, standing_people
from scipy.optimize import minimize

from trivox.geometry.cameras import Cameras
from trivox.geometry.triangulated import Triangulated
from trivox.models.agreement import agreed, is_known

WITHIN_PX = 20.0


def told(points_mm: torch.Tensor, points_px: torch.Tensor, spread_mm: float = 0.0, score: float = 0.8) -> Triangulated:
    """What a volume with this spread says, beside peaks of this score."""
    B, V, J, _ = points_px.shape
    ones = torch.ones(B, V, J)
    covariance_mm2 = spread_mm**2 * torch.eye(3).expand(B, J, 3, 3)
    return Triangulated(
        points_mm, ones[:, 0] > 0, ones[:, 0], ones > 0, ones, covariance_mm2, points_px=points_px, scores=score * ones
    )


def seen(views: int, lens: float = 0.0) -> tuple[Cameras, torch.Tensor, torch.Tensor]:
    """Two people in pictures in which a pixel is six millimetres."""
    truth_mm = standing_people([(0.0, 0.0), (120.0, -80.0)]).float()
    cameras = ring(views, distortion=(lens, 0.0, 0.0, 0.0, 0.0)).expanded(2, views).to(torch.float32)
    return cameras, truth_mm, cameras.project(truth_mm[:, None])


def improbability(found: Triangulated, cameras: Cameras, b: int, j: int) -> Callable[[np.ndarray], float]:
    """Negative log posterior of joint j in sample b by place, peak by peak, from the description."""
    assert found.points_px is not None and found.scores is not None
    mean, covariance = found.points_mm[b, j].double().numpy(), found.covariance_mm2[b, j].double().numpy()
    volumes = [(odds, share * covariance + 900 * np.eye(3)) for odds, share in ((0.9, 0.1), (0.1, 1.0))]
    lens = cameras[b].to(torch.float64)
    peaks = lens.undistorted_points(found.points_px[b].double())[:, j].numpy()
    P = lens.without_distortion().pixel_from_world.numpy()
    scores = found.scores[b, :, j].numpy()

    def at(x: np.ndarray) -> float:
        volume = sum(
            odds * math.exp(-(x - mean) @ np.linalg.solve(own, x - mean) / 2) / math.sqrt(np.linalg.det(own))
            for odds, own in volumes
        )
        total = -math.log(volume + 1e-300)
        for v, score in enumerate(scores.tolist()):
            seen = P[v] @ np.append(x, 1.0)
            off2 = float(((seen[:2] / seen[2] - peaks[v]) ** 2).sum())
            right = 1 - math.exp(-5 * score)
            width, beside = WITHIN_PX * max(0.375 - 0.4 * score, 0.15), 1.5 * WITHIN_PX
            says = right * math.exp(-off2 / (2 * width**2)) / width**2
            says += (1 - right) * math.exp(-off2 / (2 * beside**2)) / beside**2
            total -= math.log(says + 1e-300)
        return total

    return at


@pytest.mark.parametrize("lens", [0.0, -0.2])
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_no_place_nearby_is_more_probable(lens: float, seed: int, views: int) -> None:
    """Against a search by another method that knows only the probabilities."""
    generator = torch.Generator().manual_seed(seed)
    cameras, truth_mm, peaks_px = seen(views, lens)
    peaks_px = peaks_px + 4 * torch.randn(peaks_px.shape, generator=generator)
    peaks_px[:, 0, ::3] += 60.0
    found = told(truth_mm + 30 * torch.randn(truth_mm.shape, generator=generator), peaks_px, 120.0, 0.5)
    placed = agreed(found, cameras, WITHIN_PX)
    b, j = seed % 2, seed % 17
    at, ours = improbability(found, cameras, b, j), placed.points_mm[b, j].double().numpy()
    best = minimize(at, ours, method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-9, "maxiter": 2000})
    assert at(ours) - best.fun < 0.02


def test_peaks_that_agree_decide_and_others_do_not() -> None:
    """With coarse joints near the truth, perfect peaks in three views and one that lies nearly give the truth."""
    cameras, truth_mm, peaks_px = seen(4)
    peaks_px[:, 2] += 60.0
    placed = agreed(told(truth_mm + 15.0, peaks_px), cameras, WITHIN_PX)
    assert float((placed.points_mm - truth_mm).norm(dim=-1).amax()) < 0.35 * 15 * math.sqrt(3)
    exact = agreed(told(truth_mm + 15.0, peaks_px, spread_mm=1000.0), cameras, WITHIN_PX)
    assert float((exact.points_mm - truth_mm).norm(dim=-1).amax()) < 5.0  # a little is the pull of the liar
    for found in (placed, exact):
        assert bool((~found.inliers[:, 2]).all()) and bool(found.inliers[:, [0, 1, 3]].all())
        assert torch.equal(found.reprojection_px > 0, found.inliers)


def test_a_single_peak_moves_a_joint_onto_its_ray() -> None:
    """Across the ray the peak decides, along it the volume."""
    cameras, truth_mm, peaks_px = seen(1)
    off_mm = torch.tensor([40.0, -30.0, 50.0])
    found = told(truth_mm + off_mm, peaks_px, spread_mm=300.0)
    placed = agreed(found, cameras, WITHIN_PX)
    along = torch.nn.functional.normalize(truth_mm - cameras.position_mm, dim=-1)
    left_mm = placed.points_mm - truth_mm
    across_mm = left_mm - (left_mm * along).sum(-1, keepdim=True) * along
    assert float(across_mm.norm(dim=-1).amax()) < 6.0
    torch.testing.assert_close((left_mm * along).sum(-1), (along * off_mm).sum(-1), atol=4.0, rtol=0)
    # What it knows is as long along the ray as the volume is wide, and narrow across.
    variance = (along[..., None, :] @ placed.covariance_mm2 @ along[..., None])[..., 0, 0]
    assert bool((variance > 0.8 * placed.covariance_mm2.diagonal(dim1=-2, dim2=-1).sum(-1)).all())


def test_a_volume_that_is_sure_is_not_overruled_by_peaks_beside_it() -> None:
    cameras, truth_mm, peaks_px = seen(4)
    wrong_mm = truth_mm + torch.tensor([0.0, 0.0, 400.0])
    placed = agreed(told(wrong_mm, peaks_px, score=0.3), cameras, WITHIN_PX)
    assert float((placed.points_mm - wrong_mm).norm(dim=-1).amax()) < 60.0
    unsure = agreed(told(wrong_mm, peaks_px, spread_mm=500.0, score=0.8), cameras, WITHIN_PX)
    assert float((unsure.points_mm - truth_mm).norm(dim=-1).amax()) < 5.0 and bool(unsure.inliers.all())


def test_views_without_a_score_say_nothing() -> None:
    cameras, truth_mm, peaks_px = seen(3)
    found = told(truth_mm + 20.0, peaks_px)
    assert found.scores is not None
    silent = replace(found, scores=torch.zeros_like(found.scores))
    placed = agreed(silent, cameras, WITHIN_PX)
    torch.testing.assert_close(placed.points_mm, found.points_mm)
    assert not bool(placed.inliers.any())
    fewer = replace(found, inliers=found.inliers & (torch.arange(3) > 0)[:, None])
    moved = agreed(replace(fewer, points_px=peaks_px + 500 * (torch.arange(3) == 0)[:, None, None]), cameras, WITHIN_PX)
    assert torch.equal(moved.points_mm, agreed(fewer, cameras, WITHIN_PX).points_mm)


def test_a_camera_with_the_joint_behind_it_says_nothing() -> None:
    cameras, truth_mm, peaks_px = seen(3)
    found = told(truth_mm + 20.0, peaks_px, 100.0)
    turned = torch.tensor([[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, -1.0]])
    away = torch.where((torch.arange(3) == 0)[:, None, None], turned @ cameras.R, cameras.R)
    t_mm = torch.where((torch.arange(3) == 0)[:, None], cameras.t_mm @ turned.T, cameras.t_mm)
    placed = agreed(found, replace(cameras, R=away, t_mm=t_mm), WITHIN_PX)
    assert found.inliers is not None
    without = agreed(replace(found, inliers=found.inliers & (torch.arange(3) > 0)[:, None]), cameras, WITHIN_PX)
    torch.testing.assert_close(placed.points_mm, without.points_mm)
    assert not bool(placed.inliers[:, 0].any())


def test_a_joint_is_known_where_peaks_are_believed_or_the_volume_is_narrow() -> None:
    cameras, truth_mm, peaks_px = seen(3)
    assert bool(is_known(agreed(told(truth_mm, peaks_px, 800.0), cameras, WITHIN_PX)).all())
    assert bool(is_known(agreed(told(truth_mm, peaks_px, 60.0, score=0.02), cameras, WITHIN_PX)).all())
    wild_px = peaks_px + torch.tensor([[200.0, 0.0], [-150.0, 150.0], [0.0, -200.0]])[:, None]
    unseen = agreed(told(truth_mm, wild_px, 800.0, score=0.02), cameras, WITHIN_PX)
    assert not bool(is_known(unseen).any())
    assert unseen.scores is not None
    assert bool(is_known(replace(unseen, scores=torch.zeros_like(unseen.scores))).all())
