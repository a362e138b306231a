"""Checkpoints with exactly the tensors of the published system (`golden/networks/state_dicts*.json`) are imported."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from golden.cases import Case
from golden.collected import each_case, network_cases

import trivox
from trivox.errors import InputError
from trivox.models.configs import config_of
from trivox.models.published import Choices, published_model
from trivox.models.weights import read_pickled

# A skeleton of ours for each number of joints there is one for.
SKELETONS = {len(skeleton): name for name, skeleton in trivox.SKELETONS.items()}


@each_case({**network_cases("backbone"), **network_cases("algebraic"), **network_cases("volumetric")})
def test_every_state_dict_is_imported(case: Case, tmp_path: Path) -> None:
    tensors = {name: torch.zeros(shape, dtype=getattr(torch, kind)) for name, shape, kind, _ in case["state_dict"]}
    torch.save({f"module.{name}": tensor for name, tensor in tensors.items()}, tmp_path / "weights.pth")
    aggregation = case.get("volume_aggregation_method")
    kind = case.get("kind", "mpii")
    choices = Choices(
        skeleton=SKELETONS.get(case["num_joints"]),
        joints=case["num_joints"],
        depth=case["num_layers"],
        style=case.get("style", "simple"),
        image_size=tuple(case["images"][-2:]),
        refine=True,
        heatmap_softmax=case.get("heatmap_softmax"),
        heatmap_multiplier=case.get("heatmap_multiplier"),
        aggregation=aggregation,
        cube_side_mm=case.get("cuboid_side"),
        cube_size=case.get("volume_size"),
        up="z" if kind == "mpii" else "y",
        exchanged=kind == "cmu" or case.get("transfer_cmu_to_human36m"),
        volume_softmax=case.get("volume_softmax"),
        volume_multiplier=case.get("volume_multiplier"),
    )
    if choices.skeleton is None:
        with pytest.raises(InputError, match="--skeleton"):
            published_model(read_pickled(tmp_path / "weights.pth"), choices, tmp_path / "weights.pth")
        return
    model = published_model(read_pickled(tmp_path / "weights.pth"), choices, tmp_path / "weights.pth")
    assert config_of(model).method == {"backbone": "ransac"}.get(case["what"], case["what"])
    own = [name.removeprefix("backbone.") if case["what"] == "backbone" else name for name in model.state_dict()]
    assert own == list(tensors)
