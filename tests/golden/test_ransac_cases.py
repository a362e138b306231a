"""Robust triangulation against the published system (`golden/ransac`)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden.cases import Case, Tolerances, cameras_of_projections
from golden.collected import GOLDEN, described_cases, each_case

from trivox.geometry.triangulation import refine, triangulate_ransac

# The published error is half the distance: its 15 is 30 pixels, its Huber scale of 1 is 2.
THRESHOLD_PX, HUBER_PX = 30.0, 2.0


@pytest.mark.parametrize("differentiable", [False, True], ids=["kernel", "torch"])
@each_case(described_cases("ransac", "points"))
def test_robust_triangulation_of_points(case: Case, differentiable: bool) -> None:
    tolerances, cameras = Tolerances(GOLDEN), cameras_of_projections(case["P"])
    points_px = torch.from_numpy(case["uv"])[:, None].requires_grad_(differentiable)
    linear = triangulate_ransac(points_px, cameras, threshold_px=THRESHOLD_PX, refine=False, homogeneous=True)
    assert linear.inliers[:, 0].nonzero()[:, 0].tolist() == case["inliers"].tolist()
    tolerances.check("ransac_linear_mm", linear.points_mm[0], case["X_linear"], "linear")
    refined = triangulate_ransac(points_px, cameras, threshold_px=THRESHOLD_PX, huber_px=HUBER_PX)
    again = refine(linear, points_px, cameras, huber_px=HUBER_PX)
    for result in (refined, again):
        tolerances.check("ransac_refined_mm", result.points_mm[0], case["X_exact_minimum"], "minimum")
        tolerances.check("ransac_refined_mm", result.points_mm[0], case["X_refined"], "as published")


@each_case(described_cases("ransac", "heatmaps"))
def test_robust_triangulation_of_heatmap_peaks(case: Case) -> None:
    tolerances = Tolerances(GOLDEN)
    points_px = _peaks(case["heatmaps"], case["image_size"])
    tolerances.check("exact", points_px, case["keypoints_2d"], "peaks")
    cameras = cameras_of_projections(case["P"])
    linear = triangulate_ransac(points_px, cameras, threshold_px=THRESHOLD_PX, refine=False, homogeneous=True)
    refined = triangulate_ransac(points_px, cameras, threshold_px=THRESHOLD_PX, huber_px=HUBER_PX)
    assert torch.equal(refined.inliers, torch.from_numpy(case["inliers"]))
    kind = "ransac_from_heatmaps_mm"
    tolerances.check(kind, linear.points_mm, case["keypoints_3d_linear"].astype(np.float64), "linear")
    tolerances.check(kind, refined.points_mm, case["keypoints_3d_refined"].astype(np.float64), "refined")


def _peaks(heatmaps: np.ndarray, image_size: int | list[int]) -> torch.Tensor:
    """The published peaks: cell index times picture size over map size, cut to whole pixels."""
    maps = torch.from_numpy(heatmaps.astype(np.float64))
    rows, columns = maps.shape[-2:]
    height, width = np.broadcast_to(image_size, 2).tolist()
    index = maps.flatten(-2).argmax(-1)
    cells = torch.stack([index % columns, index // columns], dim=-1).double()
    return (cells * torch.tensor([width / columns, height / rows]).double()).floor()
