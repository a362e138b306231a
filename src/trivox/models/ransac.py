"""Robust triangulation of heatmap peaks: the method that has nothing to learn beyond the backbone.

The largest value of each heatmap is a 2D point; all pairs of views are tried, the largest set that agrees makes
the point, which minimises the robust reprojection error over it (geometry/triangulation/ransac.py).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from trivox.geometry.cameras import Cameras
from trivox.geometry.heatmaps import peaks
from trivox.geometry.skeletons import Skeleton
from trivox.geometry.triangulated import Triangulated
from trivox.geometry.triangulation import triangulate_ransac
from trivox.models.backbones import BackboneOutput
from trivox.models.profile import TRIVOX, Profile
from trivox.models.views import AnyBackbone, Mixed, check_joints, checked_mask, in_single, look, size_of, trusted

# The published method counts half distances: its threshold of 15 and Huber scale of 1 are these, in pixels of
# the network's pictures.
THRESHOLD_PX = 30.0
HUBER_PX = 2.0


def seen_points(
    views: BackboneOutput, image_hw: tuple[int, int], stride: int, profile: Profile
) -> Float[Tensor, "B V J 2"]:
    """Pixels where the backbone reads the joints off its maps, or else of the largest value of each heatmap."""
    cells = peaks(views.heatmaps).cells if views.places is None else views.places.to(views.heatmaps)
    points_px = profile.pixels(cells, image_hw, size_of(views.heatmaps), stride)
    return points_px.trunc() if profile.whole_pixels else points_px


def triangulate_peaks(
    views: BackboneOutput,
    image_hw: tuple[int, int],
    stride: int,
    cameras: Cameras,
    view_mask: Bool[Tensor, "B V"],
    profile: Profile,
    *,
    threshold_px: float = THRESHOLD_PX,
    huber_px: float = HUBER_PX,
    refine: bool = True,
) -> Triangulated:
    """Robust triangulation of the peaks of heatmaps (batch axes B, V), made of pictures of `image_hw`."""
    views = views.map(in_single)
    with Mixed.here(view_mask.device).off():
        points_px = seen_points(views, image_hw, stride, profile)
        weights = view_mask[..., None].to(points_px).expand(points_px.shape[:-1])
        found = triangulate_ransac(
            points_px,
            profile.seen(cameras),
            weights,
            threshold_px=threshold_px,
            huber_px=huber_px,
            refine=refine,
            homogeneous=profile.homogeneous,
        )
    seen_px = torch.where(view_mask[..., None, None], points_px, 0.0)
    return replace(found, points_px=seen_px, scores=trusted(views, view_mask), heatmaps=views.heatmaps)


class Ransac(nn.Module):
    """The joints of `skeleton` from the heatmaps of `backbone`.

    `image_hw` is the size of pictures that the backbone was trained with; it takes others. Thresholds are in
    pixels of the pictures given.
    """

    def __init__(
        self,
        backbone: AnyBackbone,
        skeleton: Skeleton,
        *,
        threshold_px: float = THRESHOLD_PX,
        huber_px: float = HUBER_PX,
        refine: bool = True,
        profile: Profile = TRIVOX,
        image_hw: tuple[int, int] = (384, 384),
    ) -> None:
        super().__init__()
        check_joints(backbone.joints, skeleton, "the backbone")
        self.backbone: AnyBackbone = backbone
        self.skeleton, self.profile, self.image_hw = skeleton, profile, image_hw
        self.threshold_px, self.huber_px, self.refine = threshold_px, huber_px, refine

    def forward(self, images: Tensor, cameras: Cameras, view_mask: Tensor | None = None) -> Triangulated:
        """Joints from RGB pictures (B, V, 3, h, w) in 0..1 and the cameras (B, V) of exactly these pictures.

        `view_mask` (B, V) is true where a view is there. Carries no gradient. Raises `InputError` where the
        shapes do not fit or a sample has no view.
        """
        mask = checked_mask(images, cameras, view_mask)
        with torch.no_grad():
            views = look(self.backbone, images, mask)
        return self.from_views(views, size_of(images), cameras, mask)

    def from_views(
        self,
        views: BackboneOutput,
        image_hw: tuple[int, int],
        cameras: Cameras,
        view_mask: Bool[Tensor, "B V"],
    ) -> Triangulated:
        """What `forward` does with the backbone's output, batch axes (B, V), of pictures of `image_hw`."""
        return triangulate_peaks(
            views,
            image_hw,
            self.backbone.stride,
            cameras,
            view_mask,
            self.profile,
            threshold_px=self.threshold_px,
            huber_px=self.huber_px,
            refine=self.refine,
        )
