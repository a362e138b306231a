"""People in 3D over time: what `predict` returns, and viewers, exporters and metrics take."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trivox.geometry.skeletons import Skeleton, conversion, converted
from trivox.geometry.tensors import TensorDataclass


@dataclass(frozen=True)
class Poses(TensorDataclass):
    """F frames of P people with the J joints of `skeleton`; world millimetres.

    `frames[f]` is the number of the video frame that row f came from, counted from 0; time is `frames / fps`.
    A joint that is not `valid` has coordinates 0 and confidence 0. Row p is the same person throughout.
    """

    points_mm: Float[Tensor, "F P J 3"]
    valid: Bool[Tensor, "F P J"]
    confidence: Float[Tensor, "F P J"]
    frames: Int[Tensor, "F"]
    skeleton: Skeleton
    fps: float
    up: Float[Tensor, "3"] | None = None
    covariance_mm2: Float[Tensor, "F P J 3 3"] | None = None

    def __getitem__(self, index: Any) -> Poses:
        """The poses of some frames."""
        return replace(super(Poses, replace(self, up=None)).__getitem__(index), up=self.up)

    def converted(self, skeleton: Skeleton) -> Poses:
        """The same people with the joints of `skeleton`, by name; a joint that cannot be had is invalid."""
        if skeleton == self.skeleton:
            return self
        points = converted(self.points_mm, self.valid, self.skeleton, skeleton)
        confidence = converted(self.confidence[..., None], self.valid, self.skeleton, skeleton).points[..., 0]
        covariance = self.covariance_mm2
        if covariance is not None:
            # A mean of joints with independent errors: variances add with the squares of the weights.
            squares = conversion(self.skeleton, skeleton).weights.to(covariance) ** 2
            mixed = (squares @ covariance.flatten(-2)).unflatten(-1, (3, 3))
            covariance = torch.where(points.valid[..., None, None], mixed, 0)
        return replace(
            self,
            points_mm=points.points,
            valid=points.valid,
            confidence=confidence,
            skeleton=skeleton,
            covariance_mm2=covariance,
        )
