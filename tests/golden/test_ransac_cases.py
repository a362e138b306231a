"""Robust triangulation against the published system (`golden/ransac`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from golden.cases import Tolerances, cameras_of_projections, read_cases, read_json

from trivox.geometry.triangulation import refine, triangulate_ransac

# The published error is half the distance: its 15 is 30 pixels, its Huber scale of 1 is 2.
THRESHOLD_PX, HUBER_PX = 30.0, 2.0


@pytest.mark.parametrize("differentiable", [False, True], ids=["kernel", "torch"])
def test_robust_triangulation_of_points(golden: Path, differentiable: bool) -> None:
    tolerances = Tolerances(golden)
    for name, case in read_cases(golden / "ransac" / "points.npz", "P", "uv", "X_linear").items():
        cameras = cameras_of_projections(case["P"])
        points_px = torch.from_numpy(case["uv"])[:, None].requires_grad_(differentiable)
        linear = triangulate_ransac(points_px, cameras, threshold_px=THRESHOLD_PX, refine=False)
        assert linear.inliers[:, 0].nonzero()[:, 0].tolist() == case["inliers"].tolist(), name
        tolerances.check("ransac_linear_mm", linear.points_mm[0], case["X_linear"], name)
        refined = triangulate_ransac(points_px, cameras, threshold_px=THRESHOLD_PX, huber_px=HUBER_PX)
        again = refine(linear, points_px, cameras, huber_px=HUBER_PX)
        for result in (refined, again):
            tolerances.check("ransac_refined_mm", result.points_mm[0], case["X_exact_minimum"], name)
            tolerances.check("ransac_refined_mm", result.points_mm[0], case["X_refined"], name)


def test_robust_triangulation_of_heatmap_peaks(golden: Path) -> None:
    tolerances = Tolerances(golden)
    cases = read_cases(golden / "ransac" / "heatmaps.npz", "heatmaps", "P", "keypoints_3d_refined")
    for described in read_json(golden / "ransac" / "heatmaps.json"):
        name, case = described["case"], cases[described["case"]]
        points_px = _peaks(case["heatmaps"], described["image_size"])
        tolerances.check("exact", points_px, case["keypoints_2d"], name)
        cameras = cameras_of_projections(case["P"])
        linear = triangulate_ransac(points_px, cameras, threshold_px=THRESHOLD_PX, refine=False)
        refined = triangulate_ransac(points_px, cameras, threshold_px=THRESHOLD_PX, huber_px=HUBER_PX)
        assert torch.equal(refined.inliers, torch.from_numpy(case["inliers"])), name
        kind = "ransac_from_heatmaps_mm"
        tolerances.check(kind, linear.points_mm, case["keypoints_3d_linear"].astype(np.float64), name)
        tolerances.check(kind, refined.points_mm, case["keypoints_3d_refined"].astype(np.float64), name)


def _peaks(heatmaps: np.ndarray, image_size: int) -> torch.Tensor:
    """The published peaks: cell index times picture size over map size, cut to whole pixels."""
    maps = torch.from_numpy(heatmaps.astype(np.float64))
    width = maps.shape[-1]
    index = maps.flatten(-2).argmax(-1)
    cells = torch.stack([index % width, index // width], dim=-1).double()
    return (cells * (image_size / width)).floor()
