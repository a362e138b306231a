"""Volumetric triangulation, learned end to end (Iskakov et al., ICCV 2019, section 3.2).

The features of all views are brought into one cube of voxels around the person; a network over voxels makes one
volume per joint; the joint is the mean voxel. It needs to know where the person is: the cube's centre.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from trivox.errors import InputError
from trivox.geometry.cameras import Cameras
from trivox.geometry.skeletons import Skeleton, converted, root_points
from trivox.geometry.triangulated import Triangulated
from trivox.geometry.triangulation import triangulate_ransac
from trivox.geometry.triangulation.refinement import checked_positive
from trivox.geometry.volumes import Aggregation, Cube, VolumePoints, soft_argmax_3d, unproject
from trivox.models.agreement import agreed, is_known, missed_px
from trivox.models.backbones import VOLUME_CHANNELS, BackboneOutput
from trivox.models.profile import TRIVOX, Profile
from trivox.models.ransac import THRESHOLD_PX, seen_points
from trivox.models.v2v import V2V
from trivox.models.views import (
    AnyBackbone,
    Mixed,
    check_joints,
    check_multiplier,
    check_precision,
    checked_mask,
    in_single,
    look,
    size_of,
    trusted,
)

Inputs = Literal["features", "heatmaps", "both"]

_LEAST_TRUST = 0.01  # every view that is there has a say in where the person is
_LARGEST_BODY_MM = 900.0  # from the middle of a body to its root


class Volumetric(nn.Module):
    """The joints of `skeleton` from what `backbone` sees, in `cube`, by `v2v` (32 channels in, J out).

    `inputs` is what goes into the cube, through a convolution to 32 channels: the backbone's features as published, its
    heatmaps as probabilities, or both. `aggregation` joins the views in a voxel (geometry/volumes/unprojection.py);
    "conf" and "conf_norm" need a backbone with feature confidences. `image_hw` is the size of pictures that the model
    was trained with; it takes others, and any number of views from one up. MoveNet serves any skeleton here: its
    heatmaps stay COCO's.

    Two options concern evaluation alone. `passes`: how many cubes are looked at, each after the first around the root
    that the one before found; around a centre that was given and lies within a voxel of that root, none is looked at
    again. `agree_px`: joints get the most probable place by volume and peaks together, where peaks up to about so many
    pixels (of the pictures) from a joint's projection are taken for it (agreement.py).
    """

    def __init__(
        self,
        backbone: AnyBackbone,
        v2v: V2V,
        skeleton: Skeleton,
        cube: Cube,
        aggregation: Aggregation = "softmax",
        *,
        inputs: Inputs = "features",
        volume_softmax: bool = True,
        volume_multiplier: float = 1.0,
        passes: int = 1,
        agree_px: float | None = None,
        profile: Profile = TRIVOX,
        image_hw: tuple[int, int] = (384, 384),
    ) -> None:
        super().__init__()
        heatmap_skeleton = getattr(backbone, "skeleton", skeleton)
        check_joints(backbone.joints, heatmap_skeleton, "the backbone")
        check_joints(v2v.output_layer.out_channels, skeleton, "the volume network")
        check_multiplier(volume_multiplier, "volume_multiplier")
        _check_parts(cube, v2v, aggregation)
        _check_inputs(inputs, backbone)
        checked_positive("passes", passes)
        checked_positive("agree_px", 1.0 if agree_px is None else agree_px)
        # The names of the published checkpoints.
        self.backbone: Any = backbone  # an `AnyBackbone`
        channels = (inputs != "heatmaps") * backbone.feature_channels + (inputs != "features") * backbone.joints
        self.process_features = nn.Sequential(nn.Conv2d(channels, VOLUME_CHANNELS, 1))
        self.volume_net = v2v
        self.inputs: Inputs = inputs
        self.passes, self.agree_px = passes, agree_px
        self.heatmap_skeleton: Skeleton = heatmap_skeleton
        self.skeleton, self.profile, self.image_hw = skeleton, profile, image_hw
        self.cube: Cube = cube
        self.aggregation: Aggregation = aggregation
        self.volume_softmax, self.volume_multiplier = volume_softmax, volume_multiplier

    def forward(
        self,
        images: Tensor,
        cameras: Cameras,
        view_mask: Tensor | None = None,
        *,
        centre_mm: Tensor | None = None,
        angle_rad: Tensor | None = None,
    ) -> Triangulated:
        """Joints from RGB pictures (B, V, 3, h, w) in 0..1 and the cameras (B, V) of exactly these pictures.

        `view_mask` (B, V) is true where a view is there. `centre_mm` (B, 3) is where the person is; without it
        the peaks of the same heatmaps are triangulated (`own_centre_mm`), which needs two views; a sample where
        that fails has no valid joint. `angle_rad` (B,) turns the cubes about the vertical, for training.

        `valid` is whether the place of a joint is known: that there is a cube with any weight in it and, with
        `agree_px` (which is for evaluation), that volume and peaks tell the place to a hand's breadth (`is_known`). A
        joint whose place is not known well enough keeps its best guess in `points_mm`, and a `confidence` above 0.

        `confidence` is the share of the heaviest voxel, `inliers` the views that were there, `reprojection_px`
        the distance to the peaks of the heatmaps, `covariance_mm2` the spread of the volume (with `agree_px`: see
        `agreed` for all three); these carry no gradient. `view_weights` (B, V, 32) are the confidences that weighed
        the features. Raises `InputError` where the shapes do not fit, a sample has no view, or there is no centre.
        """
        mask = checked_mask(images, cameras, view_mask)
        _check_place(centre_mm, angle_rad, mask)
        views = look(self.backbone, images, mask)
        return self.from_views(views, size_of(images), cameras, mask, centre_mm=centre_mm, angle_rad=angle_rad)

    def from_views(
        self,
        views: BackboneOutput,
        image_hw: tuple[int, int],
        cameras: Cameras,
        view_mask: Bool[Tensor, "B V"],
        *,
        centre_mm: Tensor | None = None,
        angle_rad: Tensor | None = None,
    ) -> Triangulated:
        """What `forward` does with the backbone's output, batch axes (B, V), of pictures of `image_hw`."""
        _check_place(centre_mm, angle_rad, view_mask)
        mixed = Mixed.here(view_mask.device)
        with mixed.off():
            return self._answer(views.map(in_single), image_hw, cameras, view_mask, centre_mm, angle_rad, mixed)

    def _answer(
        self,
        views: BackboneOutput,
        image_hw: tuple[int, int],
        cameras: Cameras,
        mask: Bool[Tensor, "B V"],
        centre_mm: Tensor | None,
        angle_rad: Tensor | None,
        mixed: Mixed,
    ) -> Triangulated:
        """The joints, all but networks in full precision."""
        seen_cameras = self.profile.seen(cameras)
        located = torch.ones_like(mask[:, 0])
        confirmed_mm = 0.0 if centre_mm is None else self.cube.step_mm
        if centre_mm is None:
            centre_mm, located = self.own_centre_mm(views, image_hw, cameras, mask)
        grid_mm, found = self._found(views, image_hw, seen_cameras, mask, centre_mm, angle_rad, mixed)
        for _ in range(0 if self.training else self.passes - 1):
            root_mm = self._root_mm(found)
            off = (root_mm - centre_mm.to(root_mm)).norm(dim=-1) > confirmed_mm
            if not bool(off.any()):
                break
            centre_mm = torch.where(off[:, None], root_mm, centre_mm.to(root_mm))
            turned = None if angle_rad is None else angle_rad[off]
            nearer_mm, again = self._found(
                views[off], image_hw, seen_cameras[off], mask[off], root_mm[off], turned, mixed
            )
            grid_mm, found = grid_mm.clone(), found.map(torch.clone)
            grid_mm[off], found.points_mm[off], found.volumes[off] = nearer_mm, again.points_mm, again.volumes
        described = self._described(found, grid_mm, views, image_hw, seen_cameras, mask, located)
        if self.training or self.agree_px is None:
            return described
        together = agreed(described, seen_cameras, self.agree_px)
        return replace(together, valid=together.valid & is_known(together))

    def _found(
        self,
        views: BackboneOutput,
        image_hw: tuple[int, int],
        cameras: Cameras,
        view_mask: Bool[Tensor, "B V"],
        centre_mm: Float[Tensor, "B 3"],
        angle_rad: Tensor | None,
        mixed: Mixed,
    ) -> tuple[Float[Tensor, "B X Y Z 3"], VolumePoints]:
        """The cubes around `centre_mm`, and what the network finds in them."""
        grid_mm = self.cube.voxel_centres(centre_mm.to(views.features), angle_rad)
        volumes = mixed.run(self.volume_net, self._volume(views, image_hw, cameras, grid_mm, view_mask, mixed))
        return grid_mm, soft_argmax_3d(volumes, grid_mm, self.volume_multiplier, softmax=self.volume_softmax)

    def _root_mm(self, found: VolumePoints) -> Float[Tensor, "B 3"]:
        everywhere = torch.ones_like(found.points_mm[..., 0], dtype=torch.bool)
        return root_points(found.points_mm, everywhere, self.skeleton).points[:, 0]

    @torch.no_grad()
    def own_centre_mm(
        self,
        views: BackboneOutput,
        image_hw: tuple[int, int],
        cameras: Cameras,
        view_mask: Bool[Tensor, "B V"],
    ) -> tuple[Float[Tensor, "B 3"], Bool[Tensor, "B"]]:
        """Where the peaks of the heatmaps put the skeleton's root, or else their median joint; and success.

        A root further from the median joint than a body reaches is not believed.
        """
        peaks_px = seen_points(views, image_hw, self.backbone.stride, self.profile)
        weights = torch.where(view_mask[..., None], trusted(views, view_mask).clamp_min(_LEAST_TRUST), 0.0)
        found = triangulate_ransac(
            peaks_px, self.profile.seen(cameras), weights, threshold_px=THRESHOLD_PX, refine=False
        )
        middle = torch.where(found.valid[..., None], found.points_mm, torch.nan).nanmedian(1).values.nan_to_num()
        root = root_points(found.points_mm, found.valid, self.heatmap_skeleton)
        is_near = root.valid & ((root.points[:, 0] - middle).norm(dim=-1, keepdim=True) < _LARGEST_BODY_MM)
        return torch.where(is_near, root.points[:, 0], middle), found.valid.any(1)

    def _volume(
        self,
        views: BackboneOutput,
        image_hw: tuple[int, int],
        cameras: Cameras,
        grid_mm: Float[Tensor, "B X Y Z 3"],
        view_mask: Bool[Tensor, "B V"],
        mixed: Mixed,
    ) -> Float[Tensor, "B C X Y Z"]:
        """The features of all views, in the cubes."""
        if self.aggregation.startswith("conf") and views.feature_confidences is None:
            raise InputError(
                f"the backbone has no head for feature confidences, which the aggregation {self.aggregation!r} needs; "
                "build it with feature_confidences=True, or choose sum, max or softmax"
            )
        maps = mixed.run(self.process_features, self._maps(views).flatten(0, 1)).to(views.features.dtype)
        factors = self.profile.map_factors(cameras.K, image_hw, size_of(maps), self.backbone.stride)
        return unproject(
            maps.unflatten(0, view_mask.shape),
            cameras.scaled(factors),
            grid_mm,
            self.aggregation,
            confidences=views.feature_confidences,
            view_mask=view_mask,
            sampling=self.profile.sampling,
        )

    def _maps(self, views: BackboneOutput) -> Float[Tensor, "B V C h w"]:
        """What goes into the cube of each view."""
        if self.inputs == "features":
            return views.features
        heatmaps = self.backbone.probabilities(views.heatmaps)
        return heatmaps if self.inputs == "heatmaps" else torch.cat([heatmaps, views.features], 2)

    def _peaks(
        self, views: BackboneOutput, image_hw: tuple[int, int], view_mask: Bool[Tensor, "B V"]
    ) -> tuple[Float[Tensor, "B V J 2"], Float[Tensor, "B V J"]]:
        """Where the heatmaps see each joint of the skeleton, and how far to trust that; 0 for what they do not show."""
        peaks_px = seen_points(views, image_hw, self.backbone.stride, self.profile)
        scores = trusted(views, view_mask)
        if self.heatmap_skeleton.names == self.skeleton.names:
            return torch.where(view_mask[..., None, None], peaks_px, 0.0), scores
        seen = view_mask[..., None].expand(scores.shape)
        points = converted(peaks_px, seen, self.heatmap_skeleton, self.skeleton)
        shared = converted(scores[..., None], seen, self.heatmap_skeleton, self.skeleton).points[..., 0]
        return points.points, shared

    def _described(
        self,
        found: VolumePoints,
        grid_mm: Float[Tensor, "B X Y Z 3"],
        views: BackboneOutput,
        image_hw: tuple[int, int],
        cameras: Cameras,
        view_mask: Bool[Tensor, "B V"],
        located: Bool[Tensor, "B"],
    ) -> Triangulated:
        """Everything else about points found."""
        valid = located[:, None] & (found.volumes.detach().flatten(-3).amax(-1) > 0)
        points_mm = torch.where(valid[..., None], found.points_mm, 0.0)
        used = view_mask[..., None] & valid[:, None]
        peaks_px, scores = self._peaks(views, image_hw, view_mask)
        with torch.no_grad():
            share, covariance_mm2 = _spread(found.volumes, grid_mm)
            off_px = torch.where(scores > 0, missed_px(points_mm, peaks_px, cameras), 0.0)
        return Triangulated(
            points_mm,
            valid,
            torch.where(valid, share, 0.0),
            used,
            torch.where(used, off_px, 0.0),
            torch.where(valid[..., None, None], covariance_mm2, 0.0),
            points_px=peaks_px,
            scores=scores,
            heatmaps=views.heatmaps,
            volumes=found.volumes,
            view_weights=self._view_weights(views, view_mask),
        )

    def _view_weights(self, views: BackboneOutput, view_mask: Bool[Tensor, "B V"]) -> Float[Tensor, "B V C"] | None:
        if not self.aggregation.startswith("conf") or views.feature_confidences is None:
            return None
        weights = torch.where(view_mask[..., None], views.feature_confidences, 0.0)
        if self.aggregation == "conf":
            return weights
        return weights / weights.sum(1, keepdim=True).clamp_min(torch.finfo(weights.dtype).tiny)


def _check_parts(cube: Cube, v2v: V2V, aggregation: str) -> None:
    if aggregation not in get_args(Aggregation):
        raise InputError(f"the aggregation {aggregation!r} was given; give one of {', '.join(get_args(Aggregation))}")
    if v2v.channels_in != VOLUME_CHANNELS:
        raise InputError(
            f"the volume network takes {v2v.channels_in} channels, the volumes have {VOLUME_CHANNELS}; "
            f"build it as V2V({VOLUME_CHANNELS}, joints)"
        )
    depth = v2v.depth
    if any(side % 2**depth for side in cube.xyz):
        raise InputError(
            f"a cube of {'x'.join(map(str, cube.xyz))} voxels cannot be halved {depth} times, as the volume network "
            f"does; give sides that are multiples of {2**depth}, or a volume network of smaller depth"
        )


def _check_inputs(inputs: str, backbone: AnyBackbone) -> None:
    if inputs not in get_args(Inputs):
        raise InputError(f"the inputs {inputs!r} were given; give one of {', '.join(get_args(Inputs))}")
    if inputs != "features" and not hasattr(backbone, "probabilities"):
        raise InputError(
            f"the inputs {inputs!r} need a backbone whose heatmaps are probabilities, as MoveNet's are; give features"
        )


def _check_place(centre_mm: Tensor | None, angle_rad: Tensor | None, view_mask: Bool[Tensor, "B V"]) -> None:
    """Refuse cubes that cannot be, and samples for which no cube can be found."""
    if angle_rad is not None:
        _check_angle(angle_rad, len(view_mask))
    if centre_mm is not None:
        _check_centre(centre_mm, len(view_mask))
    elif int(view_mask.sum(1).min()) < 2:
        raise InputError(
            f"sample {int(view_mask.sum(1).argmin())} has a single view, from which no centre follows; give centre_mm"
        )


def _check_centre(centre_mm: Tensor, batch: int) -> None:
    if centre_mm.shape != (batch, 3) or not bool(centre_mm.isfinite().all()):
        raise InputError(
            f"centre_mm has shape {tuple(centre_mm.shape)}, expected {(batch, 3)}, finite numbers: one place in the "
            "world per sample; give it so, or leave it out"
        )
    check_precision(centre_mm, "centre_mm")


def _check_angle(angle_rad: Tensor, batch: int) -> None:
    if angle_rad.shape != (batch,) or not bool(angle_rad.isfinite().all()):
        raise InputError(
            f"angle_rad has shape {tuple(angle_rad.shape)}, expected {(batch,)}, finite numbers: one angle per sample; "
            "give it so, or leave it out"
        )


def _spread(
    volumes: Float[Tensor, "B J X Y Z"], grid_mm: Float[Tensor, "B X Y Z 3"]
) -> tuple[Float[Tensor, "B J"], Float[Tensor, "B J 3 3"]]:
    """Share of the heaviest voxel, and the covariance of the volume as a distribution."""
    weights = volumes.flatten(-3)
    weights = weights / weights.sum(-1, keepdim=True).clamp_min(torch.finfo(weights.dtype).tiny)
    places = grid_mm.flatten(1, 3).to(weights)
    places = places - places.mean(1, keepdim=True)  # small numbers keep their digits when squared
    mean = weights @ places
    squares = weights @ (places[..., :, None] * places[..., None, :]).flatten(-2)
    return weights.amax(-1), squares.unflatten(-1, (3, 3)) - mean[..., :, None] * mean[..., None, :]
