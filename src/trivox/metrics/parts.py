"""PCP: the percentage of correct parts, the measure of Shelf and Campus.

A part (a bone) is correct where the mean of the errors of its two ends is at most `alpha` times its true length
(Belagiannis et al., "3D Pictorial Structures for Multiple Human Pose Estimation", CVPR 2014; so computed by VoxelPose
and its followers). `strict` asks that of each end by itself (Ferrari et al., CVPR 2008).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trivox.geometry.skeletons import Bones, Skeleton
from trivox.metrics.joints import joint_errors_mm

ALPHA = 0.5


def correct_parts(
    points_mm: Float[Tensor, "*b J 3"],
    truth_mm: Float[Tensor, "*b J 3"],
    parts: Sequence[tuple[int, ...]],
    alpha: float = ALPHA,
    strict: bool = False,
) -> Bool[Tensor, "*b L"]:
    """Which of the parts (pairs of joints) are correct."""
    start, end = torch.tensor(parts, dtype=torch.long).reshape(-1, 2).T
    errors_mm = joint_errors_mm(points_mm, truth_mm)
    lengths_mm = joint_errors_mm(truth_mm[..., start, :], truth_mm[..., end, :])
    first, second = errors_mm[..., start], errors_mm[..., end]
    error = torch.maximum(first, second) if strict else (first + second) / 2
    return error <= alpha * lengths_mm


def parts_known(valid: Bool[Tensor, "*b J"], parts: Sequence[tuple[int, ...]]) -> Bool[Tensor, "*b L"]:
    """Which parts have both of their ends."""
    start, end = torch.tensor(parts, dtype=torch.long).reshape(-1, 2).T
    return valid[..., start] & valid[..., end]


def parts_of(skeleton: Skeleton) -> Bones:
    """The parts that a skeleton is judged by: upper arms, forearms, thighs, shanks, and the head where it has one.

    Possibly none."""
    head = [bone for bone in (("neck", "head_top"), ("upper_neck", "head_top")) if set(bone) <= set(skeleton.names)]
    return (*skeleton.limb_bones, *head[:1])
