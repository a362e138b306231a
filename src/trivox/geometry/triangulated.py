"""What every triangulation returns."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from trivox.geometry.tensors import TensorDataclass


@dataclass(frozen=True)
class Triangulated(TensorDataclass):
    """3D joints and how far to trust them. An invalid joint has `valid` false, zeros everywhere else; never NaN.

    points_mm         world coordinates.
    valid             at least two usable views whose rays meet in one finite point.
    confidence        mean weight of the views used, 0 where invalid.
    inliers           the views that made the point.
    reprojection_px   distance from each observation to the projection of its point, in pixels of the given
                      (distorted) pictures; 0 where the view was not usable or the joint is invalid.
    covariance_mm2    of the point, if a view of weight w observes it with a noise of 1/w pixel (standard
                      deviation, each axis); multiply by the variance of your detector.
    """

    points_mm: Float[Tensor, "*b J 3"]
    valid: Bool[Tensor, "*b J"]
    confidence: Float[Tensor, "*b J"]
    inliers: Bool[Tensor, "*b V J"]
    reprojection_px: Float[Tensor, "*b V J"]
    covariance_mm2: Float[Tensor, "*b J 3 3"]
