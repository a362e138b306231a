"""People in the views and in space, frame by frame: what following and triangulating give."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor

from trivox.geometry.poses import Poses
from trivox.geometry.skeletons import Skeleton
from trivox.geometry.tensors import TensorDataclass
from trivox.geometry.triangulated import Triangulated
from trivox.people.networks import Joints2D


@dataclass(frozen=True)
class Followed(TensorDataclass):
    """P people at one frame, or at F frames with a leading axis; joints in pixels of the pictures they were found in.

    A joint that is not valid, and a person who is lost, has zeros.
    """

    points_mm: Float[Tensor, "*f P J 3"]
    valid: Bool[Tensor, "*f P J"]
    confidence: Float[Tensor, "*f P J"]
    covariance_mm2: Float[Tensor, "*f P J 3 3"]
    points_px: Float[Tensor, "*f P V J 2"]
    scores: Float[Tensor, "*f P V J"]
    inliers: Bool[Tensor, "*f P V J"]
    reprojection_px: Float[Tensor, "*f P V J"]

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

    def poses(self, frames: Int[Tensor, "F"], skeleton: Skeleton, fps: float, up: Tensor | None) -> Poses:
        """The 3D part, of F frames."""
        return Poses(self.points_mm, self.valid, self.confidence, frames, skeleton, fps, up, self.covariance_mm2)
