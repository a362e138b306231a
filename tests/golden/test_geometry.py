"""Cameras and linear triangulation against the published system (`golden/geometry`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from golden.cases import Case, Tolerances, camera_of, cameras_of_projections
from golden.collected import GOLDEN, array_cases, described_cases, each_case

from trivox.geometry.triangulation import triangulate
from trivox.models.pose_resnet import DEVIATION, MEAN, PoseResNet


@each_case(array_cases("geometry", "projection", "observed"))
def test_projection(case: Case) -> None:
    tolerances = Tolerances(GOLDEN)
    cameras, points_mm = camera_of(case["R"], case["t"], case["K"]), torch.from_numpy(case["X"])
    tolerances.check("projection", cameras.pixel_from_world, case["P"], "matrices")
    tolerances.check("projection", cameras.project(points_mm), case["uv"], "pixels")
    tolerances.check("projection", cameras.depth_mm(points_mm), case["hom"][..., 2], "depths")
    half = (cameras.project(points_mm) - torch.from_numpy(case["observed"])).norm(dim=-1) / 2
    tolerances.check("projection", half.mT, case["reprojection_error"], "reprojection errors")


@each_case(described_cases("geometry", "camera_update"))
def test_camera_after_crop_and_resize(case: Case) -> None:
    tolerances, camera = Tolerances(GOLDEN), camera_of(case["R"], case["t"], case["K"])
    for kind, *sizes in case["steps"]:
        if kind == "crop":
            camera = camera.cropped(torch.tensor(sizes[0], dtype=torch.float64))
        else:
            (h, w), (new_h, new_w) = sizes
            camera = camera.scaled(torch.tensor([new_w / w, new_h / h], dtype=torch.float64))
    tolerances.check("camera_update", camera.K, case["K_out"], "intrinsics")
    tolerances.check("camera_update", camera.pixel_from_world, case["P_out"], "matrices")


@pytest.mark.parametrize("differentiable", [False, True], ids=["kernel", "torch"])
@each_case(array_cases("geometry", "triangulation", "X_plain_torch"))
def test_linear_triangulation(case: Case, differentiable: bool) -> None:
    tolerances, cameras = Tolerances(GOLDEN), cameras_of_projections(case["P"])
    points_px = torch.from_numpy(case["uv"]).requires_grad_(differentiable)
    plain = triangulate(points_px, cameras, homogeneous=True)
    weighted = triangulate(points_px, cameras, torch.from_numpy(case["conf"]), homogeneous=True)
    assert plain.valid.all()
    tolerances.check("triangulation_double_mm", plain.points_mm, case["X_plain"], "plain")
    tolerances.check("triangulation_double_mm", weighted.points_mm, case["X_conf"], "weighted")


@each_case(array_cases("geometry", "triangulation", "X_conf_double"))
def test_linear_triangulation_in_float32(case: Case) -> None:
    tolerances, cameras = Tolerances(GOLDEN), cameras_of_projections(case["P"])
    points_px, conf = torch.from_numpy(case["uv"]), torch.from_numpy(case["conf"])
    weighted = triangulate(points_px, cameras, conf, homogeneous=True).points_mm
    assert weighted.dtype == torch.float32
    tolerances.check("triangulation_float32_mm", weighted, case["X_conf"], "weighted")
    plain = triangulate(points_px, cameras, homogeneous=True).points_mm
    tolerances.check("triangulation_float32_mm", plain, case["X_plain"], "plain")
    exact = triangulate(points_px.double(), cameras, conf.double(), homogeneous=True).points_mm
    expected = case["X_conf_double"].astype(np.float64)
    tolerances.check("algebraic_keypoints_3d_double_mm", exact, expected, "in float64")


def test_what_a_published_backbone_sees(golden: Path) -> None:
    with np.load(golden / "geometry" / "normalise.npz", allow_pickle=False) as file:
        stored, expected = file["image_bgr"], file["normalised"]
    network = PoseResNet(18, 1, colours="bgr")
    # The double of a constant kept in float32 is another number.
    network.mean, network.deviation = (torch.tensor(s, dtype=torch.float64)[:, None, None] for s in (MEAN, DEVIATION))
    rgb = torch.from_numpy(stored).flip(-1).movedim(-1, 0)[None].double() / 255
    Tolerances(golden).check("normalise", network.normalised(rgb)[0].movedim(0, -1), expected, "pictures")
