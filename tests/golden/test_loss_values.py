"""Losses and their gradients against the published system (`golden/losses`)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from golden.cases import Case, Tolerances
from golden.collected import GOLDEN, described_cases, each_case
from torch import Tensor

from trivox.losses import l2, mae, mse, mse_smooth, nearest_voxels, volumetric_cross_entropy


def loss_of(name: str, case: Case) -> Callable[..., Tensor]:
    if name == "mse_smooth":
        return lambda *given: mse_smooth(*given, threshold=case["mse_smooth_threshold"])
    return {"mse": mse, "mae": mae, "l2": l2}[name]


@pytest.mark.parametrize("name", ["mse", "mse_smooth", "mae", "l2"])
@each_case(described_cases("losses", "keypoint_losses"))
def test_keypoint_losses(name: str, case: Case) -> None:
    tolerances, loss = Tolerances(GOLDEN), loss_of(name, case)
    truth, valid = torch.from_numpy(case["gt"]), torch.from_numpy(case["valid"])[..., 0] > 0
    points = torch.from_numpy(case["pred"]).requires_grad_()
    value = loss(points, truth, valid)
    tolerances.check("loss", value.detach(), case[name], name)
    double = loss(points.detach().double(), truth.double(), valid)
    tolerances.check("loss", double, case[f"{name}_double"], f"{name} in float64")
    if f"{name}_grad" in case:
        (gradient,) = torch.autograd.grad(value, points)
        tolerances.check("loss_gradient", gradient, case[f"{name}_grad"], f"gradient of {name}")


@each_case(described_cases("losses", "volumetric_ce"))
def test_volumetric_cross_entropy(case: Case) -> None:
    tolerances = Tolerances(GOLDEN)
    grid_mm, truth_mm = torch.from_numpy(case["coords"]), torch.from_numpy(case["gt"])
    volumes = torch.from_numpy(case["volumes"]).requires_grad_()
    value = volumetric_cross_entropy(volumes, grid_mm, truth_mm, torch.from_numpy(case["valid"])[..., 0] > 0)
    tolerances.check("loss", value.detach(), case["loss"], "loss")
    (gradient,) = torch.autograd.grad(value, volumes)
    tolerances.check("loss_gradient", gradient, case["grad"], "gradient")
    voxels = np.unravel_index(nearest_voxels(grid_mm, truth_mm).numpy(), grid_mm.shape[1:4])
    tolerances.check("exact", torch.from_numpy(np.stack(voxels, axis=-1)), case["nearest_voxel"], "voxels")
