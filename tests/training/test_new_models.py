"""What a training begins with: checkpoints of the published system, taken whole or refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from trivox.errors import InputError
from trivox.geometry.skeletons import H36M_17
from trivox.models.algebraic import Algebraic
from trivox.models.backbones import MoveNetBackbone
from trivox.models.checkpoints import load_model, save_model
from trivox.models.pose_resnet import PoseResNet
from trivox.training.config import (
    AlgebraicOptions,
    Experiment,
    LabelData,
    MoveNetOptions,
    OptimizerOptions,
    PoseResNetOptions,
)
from trivox.training.new_models import new_model


def begun(weights: Path, backbone: PoseResNetOptions | MoveNetOptions) -> Algebraic:
    skeleton = "coco17" if isinstance(backbone, MoveNetOptions) else "h36m17"
    options = AlgebraicOptions(skeleton=skeleton, profile="reference", backbone=backbone, weights=weights)
    model = new_model(Experiment(model=options, data=LabelData(labels=Path("unread.json"))))
    assert isinstance(model, Algebraic)
    return model


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(5)
    folder = tmp_path_factory.mktemp("published")
    torch.save(PoseResNet(18, 17, colours="bgr").state_dict(), folder / "backbone.pth")
    whole = Algebraic(PoseResNet(18, 17, colours="bgr", joint_confidences=True), H36M_17)
    torch.save(whole.state_dict(), folder / "algebraic.pth")
    return folder


@pytest.mark.parametrize("name", ["backbone", "algebraic"])
def test_a_run_begins_with_published_weights(published: Path, name: str) -> None:
    """Every tensor of the checkpoint; heads that it lacks are new."""
    path = published / f"{name}.pth"
    torch.manual_seed(1)
    own = begun(path, PoseResNetOptions(depth=18)).state_dict()
    stored = torch.load(path, weights_only=True)
    prefix = "backbone." if name == "backbone" else ""
    taken = {f"{prefix}{key}": tensor for key, tensor in stored.items()}
    assert all(torch.equal(own[key], tensor) for key, tensor in taken.items())
    new = set(own) - set(taken)
    assert (new == set()) == (name == "algebraic") and all("alg_confidences." in key for key in new)


@pytest.mark.parametrize(
    ("backbone", "said"),
    [
        (PoseResNetOptions(depth=34), "another depth than model.backbone.depth, 34"),
        (MoveNetOptions(), "set model.backbone.kind to pose_resnet"),
    ],
)
def test_another_network_is_refused(published: Path, backbone: PoseResNetOptions | MoveNetOptions, said: str) -> None:
    with pytest.raises(InputError, match=said):
        begun(published / "backbone.pth", backbone)


@pytest.mark.parametrize("backbone_lr", [0.0, 1e-4])
def test_a_movenet_that_learns_is_read_by_its_heatmaps(tmp_path: Path, backbone_lr: float) -> None:
    """Also by those who load what was learned, and go on from it with the network frozen."""
    data = LabelData(labels=Path("unread.json"))
    options = AlgebraicOptions(skeleton="coco17", backbone=MoveNetOptions(name="lightning"))
    model = new_model(Experiment(model=options, data=data, optimizer=OptimizerOptions(backbone_lr=backbone_lr)))
    assert isinstance(model.backbone, MoveNetBackbone)
    if backbone_lr > 0:
        with torch.no_grad():
            next(model.backbone.heatmaps.parameters()).add_(0.1)
    path = tmp_path / "learned.safetensors"
    save_model(model, path)
    further = replace(options, weights=path)
    frozen = Experiment(model=further, data=data, optimizer=OptimizerOptions(backbone_lr=0.0))
    for one in (model, load_model(path), new_model(frozen)):
        assert isinstance(one.backbone, MoveNetBackbone)
        assert (one.backbone.reader is None) == (backbone_lr > 0)
