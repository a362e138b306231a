"""Cameras and linear triangulation against the published system (`golden/geometry`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from golden.cases import Tolerances, camera_of, cameras_of_projections, read_cases, read_json

from trivox.geometry.triangulation import triangulate


def test_projection(golden: Path) -> None:
    tolerances = Tolerances(golden)
    cases = read_cases(golden / "geometry" / "projection.npz", "R", "t", "K", "P", "X", "hom", "uv")
    for name, case in cases.items():
        cameras, points_mm = camera_of(case["R"], case["t"], case["K"]), torch.from_numpy(case["X"])
        tolerances.check("projection", cameras.pixel_from_world, case["P"], name)
        tolerances.check("projection", cameras.project(points_mm), case["uv"], name)
        tolerances.check("projection", cameras.depth_mm(points_mm), case["hom"][..., 2], name)
        half = (cameras.project(points_mm) - torch.from_numpy(case["observed"])).norm(dim=-1) / 2
        tolerances.check("projection", half.mT, case["reprojection_error"], name)


def test_camera_after_crop_and_resize(golden: Path) -> None:
    tolerances = Tolerances(golden)
    arrays = read_cases(golden / "geometry" / "camera_update.npz", "R", "t", "K", "K_out", "P_out")
    cases = read_json(golden / "geometry" / "camera_update.json")
    assert {case["case"] for case in cases} == set(arrays)
    for case in cases:
        fields = arrays[case["case"]]
        camera = camera_of(fields["R"], fields["t"], fields["K"])
        for kind, *sizes in case["steps"]:
            if kind == "crop":
                camera = camera.cropped(torch.tensor(sizes[0], dtype=torch.float64))
            else:
                (h, w), (new_h, new_w) = sizes
                camera = camera.scaled(torch.tensor([new_w / w, new_h / h], dtype=torch.float64))
        tolerances.check("camera_update", camera.K, fields["K_out"], case["case"])
        tolerances.check("camera_update", camera.pixel_from_world, fields["P_out"], case["case"])


@pytest.mark.parametrize("differentiable", [False, True], ids=["kernel", "torch"])
def test_linear_triangulation(golden: Path, differentiable: bool) -> None:
    tolerances = Tolerances(golden)
    cases = read_cases(golden / "geometry" / "triangulation.npz", "P", "uv", "conf", "X_plain_torch")
    for name, case in cases.items():
        cameras = cameras_of_projections(case["P"])
        points_px = torch.from_numpy(case["uv"]).requires_grad_(differentiable)
        plain = triangulate(points_px, cameras)
        weighted = triangulate(points_px, cameras, torch.from_numpy(case["conf"]))
        assert plain.valid.all()
        tolerances.check("triangulation_double_mm", plain.points_mm, case["X_plain"], name)
        tolerances.check("triangulation_double_mm", weighted.points_mm, case["X_conf"], name)


def test_linear_triangulation_in_float32(golden: Path) -> None:
    tolerances = Tolerances(golden)
    cases = read_cases(golden / "geometry" / "triangulation.npz", "X_conf_double")
    for name, case in cases.items():
        cameras = cameras_of_projections(case["P"])
        points_px, conf = torch.from_numpy(case["uv"]), torch.from_numpy(case["conf"])
        weighted = triangulate(points_px, cameras, conf).points_mm
        assert weighted.dtype == torch.float32
        tolerances.check("triangulation_float32_mm", weighted, case["X_conf"], name)
        plain = triangulate(points_px, cameras).points_mm
        tolerances.check("triangulation_float32_mm", plain, case["X_plain"], name)
        exact = triangulate(points_px.double(), cameras, conf.double()).points_mm
        expected = case["X_conf_double"].astype(np.float64)
        tolerances.check("algebraic_keypoints_3d_double_mm", exact, expected, name)
