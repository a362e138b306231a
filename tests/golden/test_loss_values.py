"""Losses and their gradients against the published system (`golden/losses`)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from golden.cases import Case, Tolerances, read_cases
from golden.collected import GOLDEN, each_case, loss_cases
from torch import Tensor

from trivox.losses import l2, mae, mse, mse_smooth, nearest_voxels, volumetric_cross_entropy


def loss_of(name: str, case: Case) -> Callable[..., Tensor]:
    if name == "mse_smooth":
        return lambda *given: mse_smooth(*given, threshold=case["mse_smooth_threshold"])
    return {"mse": mse, "mae": mae, "l2": l2}[name]


@pytest.mark.parametrize("name", ["mse", "mse_smooth", "mae", "l2"])
@each_case(loss_cases("keypoint_losses"))
def test_keypoint_losses(name: str, case: Case) -> None:
    tolerances, loss = Tolerances(GOLDEN), loss_of(name, case)
    arrays = read_cases(GOLDEN / "losses" / "keypoint_losses.npz", "pred", "gt", "valid")[case["case"]]
    truth, valid = torch.from_numpy(arrays["gt"]), torch.from_numpy(arrays["valid"])[..., 0] > 0
    points = torch.from_numpy(arrays["pred"]).requires_grad_()
    value = loss(points, truth, valid)
    tolerances.check("loss", value.detach(), arrays[name], name)
    double = loss(points.detach().double(), truth.double(), valid)
    tolerances.check("loss", double, arrays[f"{name}_double"], f"{name} in float64")
    if f"{name}_grad" in arrays:
        (gradient,) = torch.autograd.grad(value, points)
        tolerances.check("loss_gradient", gradient, arrays[f"{name}_grad"], f"gradient of {name}")


@each_case(loss_cases("volumetric_ce"))
def test_volumetric_cross_entropy(case: Case) -> None:
    tolerances = Tolerances(GOLDEN)
    arrays = read_cases(GOLDEN / "losses" / "volumetric_ce.npz", "coords", "volumes", "gt")[case["case"]]
    grid_mm, truth_mm = torch.from_numpy(arrays["coords"]), torch.from_numpy(arrays["gt"])
    volumes = torch.from_numpy(arrays["volumes"]).requires_grad_()
    value = volumetric_cross_entropy(volumes, grid_mm, truth_mm, torch.from_numpy(arrays["valid"])[..., 0] > 0)
    tolerances.check("loss", value.detach(), arrays["loss"], "loss")
    (gradient,) = torch.autograd.grad(value, volumes)
    tolerances.check("loss_gradient", gradient, arrays["grad"], "gradient")
    voxels = np.unravel_index(nearest_voxels(grid_mm, truth_mm).numpy(), grid_mm.shape[1:4])
    tolerances.check("exact", torch.from_numpy(np.stack(voxels, axis=-1)), arrays["nearest_voxel"], "voxels")
