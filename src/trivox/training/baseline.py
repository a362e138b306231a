"""RANSAC on the heatmaps that a model sees: what a learned method has to be better than.

All pairs of views, weighted by the scores of the peaks, then refined robustly; where no two views agree, the weighted
linear point. So it answers wherever two views are there, and no method gains by joints that RANSAC alone leaves out.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trivox.geometry.cameras import Cameras
from trivox.geometry.triangulated import Triangulated
from trivox.geometry.triangulation import triangulate, triangulate_ransac
from trivox.models.backbones import BackboneOutput
from trivox.models.configs import Model
from trivox.models.ransac import Ransac, seen_points
from trivox.models.views import trusted
from trivox.models.volumetric import Volumetric

# In crops of 256 pixels. Chosen by benchmarks/ransac_threshold.py on the training world, without a look at models or
# the test world.
THRESHOLD_PX, HUBER_PX = 12.0, 8.0
_CROP_PX = 256


def always_answered(
    points_px: Float[Tensor, "B V J 2"],
    cameras: Cameras,
    scores: Float[Tensor, "B V J"],
    *,
    threshold_px: float = THRESHOLD_PX,
    huber_px: float = HUBER_PX,
) -> Triangulated:
    """RANSAC over all pairs, weighted by scores and refined; where no two views agree, the weighted linear point."""
    found = triangulate_ransac(points_px, cameras, scores, threshold_px=threshold_px, huber_px=huber_px)
    other = triangulate(points_px, cameras, scores, refine=True, huber_px=huber_px)
    points_mm = torch.where(found.valid[..., None], found.points_mm, other.points_mm)
    return replace(found, points_mm=points_mm, valid=found.valid | other.valid)


class Baseline(Ransac):
    """The same as a model, on the heatmaps of the backbone of another one; its thresholds grow with the pictures."""

    @classmethod
    def beside(cls, model: Model) -> Baseline:
        """That of a model; its joints are those of the heatmaps."""
        skeleton = model.heatmap_skeleton if isinstance(model, Volumetric) else model.skeleton
        scale = min(model.image_hw) / _CROP_PX
        return cls(
            model.backbone,
            skeleton,
            threshold_px=scale * THRESHOLD_PX,
            huber_px=scale * HUBER_PX,
            profile=model.profile,
            image_hw=model.image_hw,
        )

    def from_views(
        self,
        views: BackboneOutput,
        image_hw: tuple[int, int],
        cameras: Cameras,
        view_mask: Bool[Tensor, "B V"],
    ) -> Triangulated:
        """What `forward` does with the backbone's output; learned confidences have no say."""
        points_px = seen_points(views, image_hw, self.backbone.stride, self.profile)
        scores = trusted(replace(views, joint_confidences=None), view_mask)
        return always_answered(
            points_px,
            self.profile.seen(cameras),
            scores,
            threshold_px=self.threshold_px,
            huber_px=self.huber_px,
        )
