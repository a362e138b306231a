"""2D detections of one view over time: what every keypoint file becomes, and what is triangulated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trivox.geometry.skeletons import Skeleton, joined_skeleton
from trivox.geometry.tensors import TensorDataclass


@dataclass(frozen=True)
class Keypoints2D(TensorDataclass):
    """F frames with up to D detected people each, joints of `skeleton`; pixels from the picture's *corner*.

    `frames[f]` is the frame number that the file gives, rising. `scores` is the detector's own, 0 where the
    joint, or the whole detection (frames hold different numbers of people), is absent; its point is then 0
    too. The order of the D detections means nothing, except where the file tracks individuals.
    """

    points_px: Float[Tensor, "F D J 2"]
    scores: Float[Tensor, "F D J"]
    frames: Int[Tensor, " F"]
    skeleton: Skeleton

    def with_skeleton(self, skeleton: Skeleton) -> Keypoints2D:
        """The joints of `skeleton`, by name; those that are not there are absent."""
        own = self.skeleton.names
        columns = torch.tensor([own.index(joint) if joint in own else -1 for joint in skeleton.names])
        points_px, scores = self.points_px[..., columns, :], self.scores[..., columns]
        points_px[..., columns < 0, :], scores[..., columns < 0] = 0, 0
        return replace(self, points_px=points_px, scores=scores, skeleton=skeleton)


def with_joined_skeleton(views: Sequence[Keypoints2D]) -> list[Keypoints2D]:
    """The views with all joints that any of them has, matched by name."""
    skeleton = joined_skeleton([view.skeleton for view in views])
    return [view.with_skeleton(skeleton) for view in views]


def seen_in_two(views: Sequence[Keypoints2D]) -> Bool[Tensor, "J"]:
    """Which joints at least two of the views, of one skeleton, have in any frame: what can be triangulated at all."""
    return torch.stack([(view.scores > 0).any(0).any(0) for view in views]).sum(0) >= 2
