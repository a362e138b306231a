"""Algebraic triangulation, learned end to end (Iskakov et al., ICCV 2019, section 3.1).

Each heatmap becomes one 2D point by soft-argmax; the views are weighed by learned confidences; a linear
triangulation, differentiable, makes the 3D point.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from trivox.errors import InputError
from trivox.geometry.cameras import Cameras
from trivox.geometry.skeletons import Skeleton
from trivox.geometry.tensors import TensorDataclass
from trivox.geometry.triangulated import Triangulated
from trivox.geometry.triangulation import triangulate
from trivox.geometry.triangulation.refinement import checked_positive
from trivox.geometry.triangulation.residuals import covariance_of_noise_mm2
from trivox.models.backbones import BackboneOutput
from trivox.models.profile import TRIVOX, Profile
from trivox.models.views import (
    AnyBackbone,
    Mixed,
    check_joints,
    check_multiplier,
    checked_mask,
    in_single,
    look,
    size_of,
    trusted,
)

# Keeps every view in the game, however little it is trusted: as published.
_LEAST_CONFIDENCE = 1e-5


@dataclass(frozen=True)
class Read(TensorDataclass):
    """Heatmaps as points: what the mean was taken over, the mean cell (x, y), and whether there was anything."""

    maps: Float[Tensor, "*b h w"]
    cells: Float[Tensor, "*b 2"]
    seen: Bool[Tensor, "*b"]


def read_heatmaps(heatmaps: Float[Tensor, "*b h w"], *, softmax: bool, multiplier: float) -> Read:
    """The mean cell under each heatmap times `multiplier`: under its softmax, or its positive part.

    A map without a positive part has no mean: there `seen` is false and the cell 0.
    """
    if softmax:
        maps = torch.softmax(multiplier * heatmaps.flatten(-2), dim=-1).unflatten(-1, heatmaps.shape[-2:])
    else:
        maps = torch.relu(multiplier * heatmaps)
    # The mean along an axis needs only that axis' marginal.
    along_x, along_y = maps.sum(dim=-2), maps.sum(dim=-1)
    total = along_x.sum(-1)
    seen = total > 0
    moments = torch.stack([along @ _ramp(along) for along in (along_x, along_y)], dim=-1)
    # A softmax sums to one, so dividing would only add noise.
    divisor = torch.where(seen, total, 1.0) if not softmax else torch.ones_like(total)
    return Read(maps, moments / divisor[..., None], seen)


def _ramp(along: Tensor) -> Tensor:
    return torch.arange(along.shape[-1], dtype=along.dtype, device=along.device)


def shared_confidences(confidences: Float[Tensor, "B V J"], view_mask: Bool[Tensor, "B V"]) -> Float[Tensor, "B V J"]:
    """Confidences divided by their sum over the views that are there, plus 1e-5; zero for the others."""
    present = torch.where(view_mask[..., None], confidences, 0.0)
    total = present.sum(1, keepdim=True)
    shared = present / torch.where(total > 0, total, 1.0) + _LEAST_CONFIDENCE
    return torch.where(view_mask[..., None], shared, 0.0)


class Algebraic(nn.Module):
    """The joints of `skeleton` from the heatmaps of `backbone`, weighed by its joint confidences.

    With `huber_px` the linear solution is where a robust one begins: the point of the least weighted
    reprojection error, Huber's constant in pixels of the pictures given. `image_hw` is the size of pictures that the
    model was trained with; it takes others.
    """

    def __init__(
        self,
        backbone: AnyBackbone,
        skeleton: Skeleton,
        *,
        use_confidences: bool = True,
        heatmap_softmax: bool = True,
        heatmap_multiplier: float = 100.0,
        huber_px: float | None = None,
        profile: Profile = TRIVOX,
        image_hw: tuple[int, int] = (384, 384),
    ) -> None:
        super().__init__()
        check_joints(backbone.joints, skeleton, "the backbone")
        check_multiplier(heatmap_multiplier, "heatmap_multiplier")
        self.backbone: AnyBackbone = backbone
        self.skeleton, self.profile, self.image_hw = skeleton, profile, image_hw
        if huber_px is not None:
            checked_positive("huber_px", huber_px)
        self.use_confidences, self.huber_px = use_confidences, huber_px
        self.heatmap_softmax, self.heatmap_multiplier = heatmap_softmax, heatmap_multiplier

    def forward(self, images: Tensor, cameras: Cameras, view_mask: Tensor | None = None) -> Triangulated:
        """Joints from RGB pictures (B, V, 3, h, w) in 0..1 and the cameras (B, V) of exactly these pictures.

        `view_mask` (B, V) is true where a view is there; of a single view every joint is invalid. `confidence`
        is the mean of what the backbone said of the views used, `view_weights` (B, V, J) what they weighed.
        Raises `InputError` where the shapes do not fit, a sample has no view, or the backbone no confidences.
        """
        mask = checked_mask(images, cameras, view_mask)
        seen = look(self.backbone, images, mask)
        return self.from_views(seen, size_of(images), cameras, mask)

    def from_views(
        self,
        views: BackboneOutput,
        image_hw: tuple[int, int],
        cameras: Cameras,
        view_mask: Bool[Tensor, "B V"],
    ) -> Triangulated:
        """What `forward` does with the backbone's output, batch axes (B, V), of pictures of `image_hw`."""
        with Mixed.here(view_mask.device).off():
            return self._found(views.map(in_single), image_hw, cameras, view_mask)

    def _found(
        self,
        views: BackboneOutput,
        image_hw: tuple[int, int],
        cameras: Cameras,
        view_mask: Bool[Tensor, "B V"],
    ) -> Triangulated:
        read = read_heatmaps(views.heatmaps, softmax=self.heatmap_softmax, multiplier=self.heatmap_multiplier)
        cells = read.cells if views.places is None else views.places.to(read.cells)
        points_px = self.profile.pixels(cells, image_hw, size_of(read.maps), self.backbone.stride)
        confidences = self._confidences(views)
        weights = torch.where(read.seen, shared_confidences(confidences, view_mask), 0.0)
        refine = {} if self.huber_px is None else {"refine": True, "huber_px": self.huber_px}
        seen = self.profile.seen(cameras)
        found = triangulate(points_px, seen, weights, homogeneous=self.profile.homogeneous, **refine)
        # The weights steer the answer; they say nothing of pixels.
        a_pixel = torch.ones_like(found.points_mm[:, None, :1, :2]).expand(-1, weights.shape[1], -1, -1)
        used_weights = torch.where(found.inliers, weights, 0.0).to(found.points_mm)
        covariance_mm2 = covariance_of_noise_mm2(found.points_mm, seen.to(found.points_mm.dtype), used_weights, a_pixel)
        used = found.inliers.to(confidences)
        trust = (confidences * used).sum(1) / used.sum(1).clamp_min(1)
        return replace(
            found,
            confidence=trust,
            covariance_mm2=covariance_mm2,
            points_px=torch.where(view_mask[..., None, None], points_px, 0.0),
            scores=trusted(views, view_mask),
            heatmaps=read.maps,
            view_weights=weights,
        )

    def _confidences(self, views: BackboneOutput) -> Float[Tensor, "B V J"]:
        if not self.use_confidences:
            return torch.ones_like(views.heatmaps[..., 0, 0])
        if views.joint_confidences is None:
            raise InputError(
                "the backbone has no head for joint confidences; build it with joint_confidences=True, "
                "or the algebraic model with use_confidences=False"
            )
        return views.joint_confidences
