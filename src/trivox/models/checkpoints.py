"""Models as files: safetensors that carry their own config, so that nothing else is needed to run them."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from trivox.errors import InputError
from trivox.geometry.skeletons import COCO_17
from trivox.models.configs import (
    AlgebraicConfig,
    Model,
    MoveNetConfig,
    RansacConfig,
    VolumetricConfig,
    built,
    config_of,
    read_config,
    written,
)
from trivox.models.weights import BUNDLED, SHA256, check_tensors, read_safetensors, write_safetensors

# Under this name the config stands in the file.
_CONFIG = "trivox_model"


# Models that come along. Thresholds are those of `lift.py`, which tells why, for pictures of this side.
def _bundled(name: Literal["thunder", "lightning"], side: int) -> RansacConfig:
    return RansacConfig(
        joints=COCO_17.names,
        profile="trivox",
        image_hw=(side, side),
        backbone=MoveNetConfig(name=name, joint_confidences=False, feature_confidences=False),
        threshold_px=16.0 * side / 256,
        huber_px=8.0 * side / 256,
        refine=True,
    )


# Their files hold what was trained here; MoveNet stays where it is. docs/model-cards.md has a card for each.
TRAINED = ("algebraic", "volumetric")
NAMED = {"ransac-thunder": _bundled("thunder", 256), "ransac-lightning": _bundled("lightning", 192)}


def save_model(model: Model, path: Path | str) -> None:
    """Write weights and config to `path` (.safetensors), whole or not at all.

    Raises `InputError` where it cannot be written, has another suffix, or the backbone is none of ours.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise InputError(f"{path} cannot hold a model; give a name that ends in .safetensors")
    config = config_of(model)
    write_safetensors(path, _stored(model, config), {_CONFIG: written(config)})


def _stored(model: Model, config: RansacConfig | AlgebraicConfig | VolumetricConfig) -> dict[str, Tensor]:
    """The tensors that a file of the model has: all but those that come with the package."""
    tensors, backbone = model.state_dict(), config.backbone
    if not isinstance(backbone, MoveNetConfig) or backbone.weights == "own":
        return tensors
    published = ("backbone.trunk.", "backbone.heatmaps.", "backbone.reader.")
    return {name: t for name, t in tensors.items() if not name.startswith(published)}


def load_model(path_or_name: Path | str) -> Model:
    """The model in a file of `save_model`, or one that comes along by name, on the CPU, ready to evaluate.

    Raises `InputError` where there is neither, the file is damaged, or its tensors are not those of its config.
    """
    if str(path_or_name) in NAMED:
        return built(NAMED[str(path_or_name)]).eval()
    path = BUNDLED / f"{path_or_name}.safetensors" if str(path_or_name) in TRAINED else Path(path_or_name)
    if not path.exists():
        raise InputError(
            f"there is no model file {path}, and no model of that name; give a file of save_model or of "
            f"`trivox weights import`, or one of {', '.join((*TRAINED, *NAMED))}"
        )
    if path.suffix in (".pth", ".pt", ".ckpt"):
        raise InputError(
            f"{path} is a checkpoint of torch, not a model file; make one of it with "
            f"`trivox weights import {path} --out {path.stem}.safetensors`"
        )
    stored = read_safetensors(path, SHA256.get(str(path_or_name)))
    if _CONFIG not in stored.texts:
        raise InputError(
            f"{path} holds tensors, but does not say of which model; give a file of save_model or of "
            "`trivox weights import`"
        )
    config = read_config(stored.texts[_CONFIG], path)
    # First without memory: a config may ask for more than the file has.
    with torch.device("meta"), warnings.catch_warnings(action="ignore"):
        check_tensors(stored.tensors, _stored(built(config), config), path, f"its {config.method} model")
    model = built(config)
    model.load_state_dict({**model.state_dict(), **stored.tensors})
    return model.eval()


def description(model: Model) -> str:
    """One line that two models share only if they compute the same: the kind, and a SHA-256 of all it is made of."""
    settings = {name: value for name, value in vars(model).items() if not name.startswith("_") and name != "training"}
    digest = hashlib.sha256(f"{model} {settings}".encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy())
    return f"{type(model).__name__} {digest.hexdigest()}"


def load_backbone(model: Model, path: Path | str) -> tuple[str, ...]:
    """Fill the backbone of a new model from the file of another one, which may be of another method.

    All tensors must agree but those of confidence heads: a head that the file lacks stays new, one that the
    model lacks is left out. Returns the names of the tensors that stay new, those outside the backbone included.
    Raises `InputError` as `load_model` does, and for another backbone.
    """
    path = Path(path)
    own = model.state_dict()
    stored = {name: t for name, t in load_model(path).state_dict().items() if name.startswith("backbone.")}
    given = {name: t for name, t in stored.items() if name in own or not _in_head(name)}
    needed = {name: t for name, t in own.items() if name.startswith("backbone.")}
    needed = {name: t for name, t in needed.items() if name in given or not _in_head(name)}
    check_tensors(given, needed, path, "this backbone")
    model.load_state_dict({**own, **given})
    return tuple(name for name in own if name not in given)


def _in_head(name: str) -> bool:
    return "_confidences." in name
