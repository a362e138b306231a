"""People in the views and in space, frame by frame: what following and triangulating give."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trivox.geometry.bones import misplaced_joints
from trivox.geometry.poses import Poses
from trivox.geometry.skeletons import Skeleton
from trivox.geometry.tensors import TensorDataclass
from trivox.geometry.triangulated import Triangulated
from trivox.models.backbones import BackboneOutput
from trivox.people.networks import Joints2D


@dataclass(frozen=True)
class Track(TensorDataclass):
    """Where people are: enough to go on following them."""

    points_mm: Float[Tensor, "*f P K 3"]
    valid: Bool[Tensor, "*f P K"]


@dataclass(frozen=True)
class Seen(TensorDataclass):
    """What the following network saw in the crops of people, `boxes` without area where it did not look."""

    boxes: Int[Tensor, "*looks P V 4"]
    views: BackboneOutput


@dataclass(frozen=True)
class Followed(TensorDataclass):
    """P people at one frame, or at F frames with a leading axis; joints in pixels of the pictures they were found in.

    A joint that is not valid, and a person who is lost, has zeros. Where a learned model gave the joints, those
    that the person is followed by are kept beside them (`followed_mm`), with K joints of their own.
    """

    points_mm: Float[Tensor, "*f P J 3"]
    valid: Bool[Tensor, "*f P J"]
    confidence: Float[Tensor, "*f P J"]
    covariance_mm2: Float[Tensor, "*f P J 3 3"]
    points_px: Float[Tensor, "*f P V J 2"]
    scores: Float[Tensor, "*f P V J"]
    inliers: Bool[Tensor, "*f P V J"]
    reprojection_px: Float[Tensor, "*f P V J"]
    followed_mm: Float[Tensor, "*f P K 3"] | None = None
    followed_valid: Bool[Tensor, "*f P K"] | None = None

    @property
    def followed(self) -> Track:
        """The joints that the people are followed by."""
        if self.followed_mm is None or self.followed_valid is None:
            return Track(self.points_mm, self.valid)
        return Track(self.followed_mm, self.followed_valid)

    @classmethod
    def from_lifted(cls, joints: Joints2D, found: Triangulated) -> Followed:
        return cls(
            found.points_mm,
            found.valid,
            found.confidence,
            found.covariance_mm2,
            joints.points_px,
            joints.scores,
            found.inliers,
            found.reprojection_px,
        )

    def without_misplaced(self, skeleton: Skeleton) -> Followed:
        """Of all frames of a recording: without the joints at bones that the people do not have (geometry/bones.py).

        What the views saw stays (`points_px`, `scores`), and so do the joints that people were followed by.
        """
        weight = self.confidence * self.inliers.sum(-2)
        kept = self.valid & ~misplaced_joints(self.points_mm, self.valid, weight, skeleton)
        return replace(
            self,
            points_mm=self.points_mm * kept[..., None],
            valid=kept,
            confidence=self.confidence * kept,
            covariance_mm2=torch.where(kept[..., None, None], self.covariance_mm2, 0),
            inliers=self.inliers & kept[..., None, :],
            reprojection_px=self.reprojection_px * kept[..., None, :],
        )

    def poses(
        self, frames: Int[Tensor, "F"], skeleton: Skeleton, fps: float, up: Tensor | None, noise_px: float | None
    ) -> Poses:
        """The 3D part, of F frames; `noise_px` is what its covariance is for, see `Poses`."""
        joints = (self.points_mm, self.valid, self.confidence)
        return Poses(*joints, frames, skeleton, fps, up, self.covariance_mm2, noise_px)
