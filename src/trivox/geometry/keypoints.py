"""2D detections of one view over time: what every keypoint file becomes, and what is triangulated."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from trivox.geometry.skeletons import Skeleton
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
