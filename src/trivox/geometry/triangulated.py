"""What every triangulation returns."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from trivox.geometry.tensors import TensorDataclass

# Nobody is farther from the world's origin than this, and no camera: a thousand kilometres.
FARTHEST_MM = 1e9


@dataclass(frozen=True)
class Triangulated(TensorDataclass):
    """3D joints and how far to trust them. An invalid joint has `valid` false, zeros everywhere else; never NaN.

    points_mm         world coordinates.
    valid             at least two usable views whose rays meet in one finite point in front of them, at an angle that
                      tells where.
    confidence        mean weight of the views used, 0 where invalid.
    inliers           the views that made the point.
    reprojection_px   distance from each observation to the projection of its point, in pixels of the given
                      (distorted) pictures; 0 where the view was not usable or the joint is invalid.
    covariance_mm2    of the point, for a noise of `noise_px` pixels (1 unless given; standard deviation of x and of
                      y) of the given pictures in a view of weight 1, `noise_px` / w in one of weight w. Of a
                      volumetric model: the spread of the joint's volume itself, or, where peaks have a say in its
                      place (models/agreement.py), how well that place is known, in mm2 as they are.

    Networks also tell what they saw:
    points_px         joints in each view, in pixels of the given pictures; 0 where there is no view.
    scores            how far to trust each of these, 0..1; 0 where there is no view.
    heatmaps          as the joints were read from them.
    volumes           likewise, for a volumetric model.
    view_weights      of each view, per joint (algebraic) or per channel of the volume (volumetric).
    """

    points_mm: Float[Tensor, "*b J 3"]
    valid: Bool[Tensor, "*b J"]
    confidence: Float[Tensor, "*b J"]
    inliers: Bool[Tensor, "*b V J"]
    reprojection_px: Float[Tensor, "*b V J"]
    covariance_mm2: Float[Tensor, "*b J 3 3"]
    points_px: Float[Tensor, "*b V J 2"] | None = None
    scores: Float[Tensor, "*b V J"] | None = None
    heatmaps: Float[Tensor, "*b V M h w"] | None = None
    volumes: Float[Tensor, "*b J X Y Z"] | None = None
    view_weights: Float[Tensor, "*b V C"] | None = None
