"""People in 3D over time: what `predict` returns, and viewers, exporters and metrics take."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor

from trivox.geometry.skeletons import Skeleton
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
