"""Lift matched 2D joints of people into 3D, judging every view at the person's own size in it.

A detector errs by a share of the person's size in the picture, not by a number of pixels. Each view is therefore
scaled until the person spans the side of the network's input, so that one threshold in pixels *of that input*
serves near and far cameras, small and large pictures; the errors and the covariance returned are for pixels of the
given pictures.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from trivox.geometry.cameras import Cameras
from trivox.geometry.triangulated import Triangulated
from trivox.geometry.triangulation import triangulate, triangulate_ransac
from trivox.geometry.triangulation.residuals import covariance_of_noise_mm2

Method = Literal["ransac", "linear"]
METHODS: tuple[Method, ...] = ("ransac", "linear")

# The picture of a person that thresholds are written for: a crop of 256 pixels.
REFERENCE_PX = 256.0
# On real recordings MoveNet's limb joints spread by about 6 pixels of such a picture; RANSAC's threshold lies well
# outside, Huber's at the usual 1.345 standard deviations. docs/results.md has what other values give.
THRESHOLD_PX = 16.0
HUBER_PX = 8.0
# Joints below this score are not where they seem to be.
LEAST_SCORE = 0.15
# What the covariance is stated for: the noise of a joint of score 1, in pixels of the given pictures.
NOISE_PX = 1.0


def lift(
    points_px: Float[Tensor, "*b V J 2"],
    scores: Float[Tensor, "*b V J"],
    cameras: Cameras,
    crop_sides_px: Float[Tensor, "*b V"],
    method: Method,
    *,
    threshold_px: float = THRESHOLD_PX,
    huber_px: float = HUBER_PX,
) -> Triangulated:
    """Triangulate people from corner-origin, distorted pixels; `cameras` is (V,), scores 0 mark absent joints.

    `crop_sides_px` is the side of the square crop a person fills in each view, in pixels of the picture; the
    thresholds of RANSAC and of the refinement are in pixels of such a crop brought to 256. `covariance_mm2` is for a
    noise of 1 / score pixels of the given pictures, as that of `triangulate`.
    """
    factors = REFERENCE_PX / crop_sides_px.clamp_min(1.0)
    scaled = cameras.expanded(*factors.shape).scaled(factors[..., None].expand(*factors.shape, 2))
    scaled_points = points_px * factors[..., None, None]
    weights = torch.where(scores >= LEAST_SCORE, scores, 0.0)
    if method == "ransac":
        found = triangulate_ransac(
            scaled_points, scaled, weights, threshold_px=threshold_px, refine=True, huber_px=huber_px
        )
    else:
        found = triangulate(scaled_points, scaled, weights, refine=True, huber_px=huber_px)
    used = torch.where(found.inliers, weights, 0.0)
    noise_px = NOISE_PX * factors[..., None] / torch.where(found.inliers, weights, 1.0)
    covariance_mm2 = covariance_of_noise_mm2(found.points_mm, scaled, used, torch.stack([noise_px, noise_px], -1))
    return replace(found, reprojection_px=found.reprojection_px / factors[..., None], covariance_mm2=covariance_mm2)
