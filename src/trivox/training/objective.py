"""The loss of a batch that several processes share, and may compute in parts: always that of the whole batch.

A loss of `losses.py` is a sum divided by a count. Here every part is multiplied by its share of the whole batch's
count, so that the parts add up to the loss of the batch, whoever computed them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from trivox.data.samples import Sample
from trivox.evaluate_model import ask
from trivox.geometry.triangulated import Triangulated
from trivox.losses import l2, mae, mse, mse_smooth, volumetric_cross_entropy
from trivox.models.configs import Model
from trivox.models.volumetric import Volumetric
from trivox.training.config import LossOptions

Found = dict[str, Tensor]
"""points_mm (B, J, 3) and valid (B, J); of a volumetric model also volumes (B, J, X, Y, Z) and grid_mm."""


class Question:
    """What a model is asked of a batch. A plain class: what wraps models leaves it alone, float64 cameras included."""

    def __init__(self, batch: Sample, centre_mm: Tensor, angle_rad: Tensor) -> None:
        self.batch, self.centre_mm, self.angle_rad = batch, centre_mm, angle_rad


class Answering(nn.Module):
    """A model as wrappers for several processes and precisions want it: one argument, plain tensors out."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model: nn.Module = model

    def forward(self, question: Question) -> Found:
        model = self.model
        found = answered(cast(Model, model), question)
        plain = {"points_mm": found.points_mm.float(), "valid": found.valid}
        if not isinstance(model, Volumetric):
            return plain
        assert found.volumes is not None
        grid_mm = model.cube.voxel_centres(question.centre_mm, question.angle_rad)
        return {**plain, "volumes": found.volumes.float(), "grid_mm": grid_mm}


def answered(model: Model, question: Question) -> Triangulated:
    """What the model says; a volumetric one is told where its cubes are."""
    if not isinstance(model, Volumetric):
        return ask(model, question.batch)
    return ask(model, question.batch, centre_mm=question.centre_mm, angle_rad=question.angle_rad)


@dataclass(frozen=True)
class Shared:
    """Counts over the whole batch, of all processes and parts: valid joints, and all joints."""

    valid: float
    joints: float


def losses_of(found: Found, batch: Sample, options: LossOptions, whole: Shared) -> dict[str, Tensor]:
    """This part's share of the losses: "joints", "cross_entropy" and their weighted sum "loss"; also "mpjpe_mm".

    A joint that the model could not find has no gradient and no error, but counts.
    """
    usable = batch.valid & found["valid"]
    share = usable.sum().clamp(min=1) / max(whole.valid, 1.0)
    scale = options.scale
    points, truth = found["points_mm"] * scale, batch.points_mm * scale
    joints = _distance(points, truth, usable, options) * share
    with torch.no_grad():
        mpjpe_mm = l2(found["points_mm"], batch.points_mm, usable) * share
    losses = {"loss": joints, "joints": joints, "mpjpe_mm": mpjpe_mm}
    if "volumes" in found and options.cross_entropy:
        entropy = volumetric_cross_entropy(found["volumes"], found["grid_mm"], batch.points_mm, batch.valid)
        entropy = entropy * (batch.valid.numel() / whole.joints)
        losses |= {"cross_entropy": entropy, "loss": joints + options.cross_entropy * entropy}
    return losses


def _distance(
    points: Float[Tensor, "B J 3"], truth: Float[Tensor, "B J 3"], valid: Bool[Tensor, "B J"], options: LossOptions
) -> Float[Tensor, ""]:
    if options.joints == "mse_smooth":
        return mse_smooth(points, truth, valid, options.threshold)
    return {"mse": mse, "mae": mae}[options.joints](points, truth, valid)


def keys_without_number(found: Found, batch: Sample, options: LossOptions) -> list[str]:
    """Samples whose own loss is NaN or infinite."""
    keys = []
    for i, key in enumerate(batch.key):
        one = slice(i, i + 1)
        alone = batch[one]
        whole = Shared(float(alone.valid.sum()), float(alone.valid.numel()))
        losses = losses_of({name: value[one] for name, value in found.items()}, alone, options, whole)
        if not bool(losses["loss"].isfinite()):
            keys.append(key)
    return keys
