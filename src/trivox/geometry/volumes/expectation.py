"""From a volume per joint to the joint: the mean voxel (Iskakov et al. 2019, "soft-argmax")."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from trivox.geometry.tensors import TensorDataclass


@dataclass(frozen=True)
class VolumePoints(TensorDataclass):
    """Joints, and the weights of the voxels that made them."""

    points_mm: Float[Tensor, "*b J 3"]
    volumes: Float[Tensor, "*b J X Y Z"]


def soft_argmax_3d(
    volumes: Float[Tensor, "*b J X Y Z"],
    grid_mm: Float[Tensor, "*b X Y Z 3"],
    multiplier: float | int = 1.0,
    *,
    softmax: bool = True,
) -> VolumePoints:
    """The mean of `grid_mm` under softmax(multiplier * volumes), at least in float32.

    Without `softmax` a volume is only multiplied and clipped at zero, and the sum is taken as it is: the reference
    system does not divide by the volume's sum. Networks trained that way have learned to make it one.
    """
    dtype = torch.promote_types(volumes.dtype, torch.float32)
    scaled = multiplier * volumes.to(dtype).flatten(-3)
    weights = torch.softmax(scaled, dim=-1) if softmax else scaled.clamp_min(0)
    # Places in the world have no room in the half precision of an autocast.
    with torch.autocast(volumes.device.type, enabled=False):
        points_mm = weights @ grid_mm.to(dtype).flatten(-4, -2)
    return VolumePoints(points_mm, weights.unflatten(-1, volumes.shape[-3:]))
