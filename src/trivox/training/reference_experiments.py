"""Configs of the published system as experiments of ours: the same run, as far as it was one.

Networks keep the published conventions (profile "reference"), because their pretrained backbones need them, and batch
norm stays live, as published. What the config leaves to the published code is said here: cubes turn about the vertical
where a volumetric network is trained, and evaluation is relative to the pelvis.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trivox.errors import InputError
from trivox.files.reference_configs import (
    ReferenceConfig,
    ReferencePart,
    ReferenceTraining,
    read_reference_config,
    read_reference_training,
)

_LOSSES = {"MSE": "mse", "MSESmooth": "mse_smooth", "MAE": "mae"}
_LEAST_SIDE_MM = 1000.0  # a smaller cube holds nobody: its side is said in Panoptic's centimetres
_METHODS = {"alg": "algebraic", "vol": "volumetric"}


def translated(path: Path) -> dict[str, Any]:
    """The config as plain data of an experiment. Raises `InputError` for one that trains nothing, or is incomplete."""
    model, training = read_reference_config(path), read_reference_training(path)
    if training.method == "ransac":
        raise InputError(
            f"{path} is a config of RANSAC, which has nothing to train; import its backbone (`weights import`) and "
            "score it with `trivox evaluate --weights`"
        )
    is_volumetric = training.method == "vol"
    centres = {"centres": "truth"} if is_volumetric and (training.true_centres or not training.test.results) else {}
    test = _data(training.test, "test", is_volumetric and not training.true_centres)
    return {
        "title": training.title,
        "epochs": training.epochs,
        "samples_per_epoch": training.samples_per_epoch,
        "model": _model(model, training, path),
        "data": _data(training.train, "train", is_volumetric and not training.true_centres),
        "views": {"min": training.train.min_views, "max": training.train.max_views},
        "loss": {
            "joints": _LOSSES[training.criterion],
            "threshold": training.threshold or 400.0,
            "scale": training.scale * (0.1 if _in_centimetres(model, training) else 1.0),
            "cross_entropy": training.cross_entropy,
        },
        "optimizer": {
            "lr": training.lr,
            "features_lr": training.features_lr,
            "volume_lr": training.volume_lr,
            "batch_size": training.batch_size,
            "batch_norm": "live",
        },
        "evaluation": {"data": test, "batch_size": training.test_batch_size, **centres},
    }


def _model(model: ReferenceConfig, training: ReferenceTraining, path: Path) -> dict[str, Any]:
    if model.skeleton is None:
        joints = model.joints or 17
        skeleton = {17: "h36m17", 16: "mpii16", 19: "panoptic19"}.get(joints)
        if skeleton is None:
            raise InputError(
                f"{path}: model.backbone.num_joints is {joints}, expected 16, 17 or 19; correct the config"
            )
    else:
        skeleton = model.skeleton
    said: dict[str, Any] = {
        "method": _METHODS[training.method],
        "skeleton": skeleton,
        "image_hw": None if model.image_size is None else list(model.image_size),
        "profile": "reference",
        "weights": training.checkpoint or training.backbone_checkpoint or None,
        "backbone": _without_none({"kind": "pose_resnet", "depth": model.depth, "style": model.style}),
    }
    if training.method == "alg":
        names = ("use_confidences", "heatmap_softmax", "heatmap_multiplier")
        return _without_none(said | {name: getattr(model, name) for name in names})
    side_mm = model.cube_side_mm
    if side_mm is not None and _in_centimetres(model, training):
        side_mm *= 10
    cube = {"side_mm": side_mm, "size": model.cube_size, "up": model.up, "exchanged": model.exchanged}
    names = ("aggregation", "volume_softmax", "volume_multiplier")
    return _without_none(said | {name: getattr(model, name) for name in names} | {"cube": _without_none(cube)})


def _in_centimetres(model: ReferenceConfig, training: ReferenceTraining) -> bool:
    """Whether a config for Panoptic counts in its centimetres, as some do: our labels are in millimetres always."""
    return training.dataset == "cmu" and model.cube_side_mm is not None and model.cube_side_mm < _LEAST_SIDE_MM


def _data(part: ReferencePart, name: str, with_results: bool) -> dict[str, Any]:
    return _without_none(
        {
            "kind": "labels",
            "labels": part.labels,
            "pictures": part.root,
            "part": name,
            "split": part.split,
            "every": part.every,
            "damaged": "with" if part.damaged or name == "train" else "without",
            "cameras": list(part.cameras),
            "ignore_cameras": list(part.ignore_cameras),
            "scale_bbox": part.scale_bbox,
            "undistort_images": part.undistort,
            "centres": part.results if with_results else None,
        }
    )


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
