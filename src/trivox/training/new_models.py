"""The model that a run begins with: new weights, those of a model file, or a checkpoint of the published system."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from trivox.errors import InputError
from trivox.models.backbones import MoveNetBackbone
from trivox.models.checkpoints import load_backbone, load_model
from trivox.models.configs import Model, built
from trivox.models.published import Choices, published_model
from trivox.models.weights import check_tensors, fill, read_pickled
from trivox.training.config import Experiment, ModelOptions, PoseResNetOptions, VolumetricOptions
from trivox.training.optimization import learning_rates


def new_model(experiment: Experiment) -> Model:
    """The model to train, with the weights that it begins with. Raises `InputError` where these do not fit."""
    model = built(experiment.model.config())
    weights = experiment.model.weights
    if learning_rates(experiment.optimizer)["backbone"] > 0:
        _read_anew(model)
    if weights is None:
        return model
    if weights.suffix in (".pth", ".pt", ".tar"):
        fill_from_published(model, weights, experiment.model)
        return model
    given = load_model(weights)
    if isinstance(given.backbone, MoveNetBackbone) and given.backbone.reader is None:
        _read_anew(model)
    if (tensors := given.state_dict()).keys() == model.state_dict().keys():
        fill(model, tensors, weights)
    else:
        load_backbone(model, weights)
    return model


def _read_anew(model: Model) -> None:
    """Of a MoveNet that learns, or has learned, joints are where its heatmaps are highest."""
    if isinstance(model.backbone, MoveNetBackbone):
        model.backbone.reader = None


def fill_from_published(model: Model, path: Path, options: ModelOptions) -> None:
    """Begin with a checkpoint of the published system: of a backbone, or of a whole model of the same method."""
    backbone = options.backbone
    if not isinstance(backbone, PoseResNetOptions):
        raise InputError(
            f"{path} holds a PoseResNet; set model.backbone.kind to pose_resnet, or give a model file of ours"
        )
    said = {"skeleton": options.skeleton, "image_size": options.image_hw, "style": backbone.style, "refine": True}
    if isinstance(options, VolumetricOptions):
        cube = options.cube
        said |= {"cube_side_mm": cube.side_mm, "cube_size": cube.size, "up": cube.up, "exchanged": cube.exchanged}
        said |= {name: getattr(options, name) for name in ("aggregation", "volume_softmax", "volume_multiplier")}
    else:
        said |= {name: getattr(options, name) for name in ("use_confidences", "heatmap_softmax", "heatmap_multiplier")}
    published = published_model(read_pickled(path), Choices(**said), path)
    own = model.state_dict()
    if _of_backbone(published.state_dict()) != _of_backbone(own):
        raise InputError(
            f"{path} holds a PoseResNet of another depth than model.backbone.depth, {backbone.depth}; set that of the "
            "checkpoint"
        )
    given = {name: tensor for name, tensor in published.state_dict().items() if name in own}
    check_tensors(given, {name: t for name, t in own.items() if name in given}, path, "this backbone")
    model.load_state_dict({**own, **given})


def _of_backbone(names: Iterable[str]) -> set[str]:
    """Without the heads for confidences, which a checkpoint may lack."""
    return {name for name in names if name.startswith("backbone.") and "_confidences." not in name}
