"""Errors of poses whose person is known: distances of joints, their mean per pose, and shares within a threshold.

All in millimetres and in float64. `valid` are the joints that count: those whose truth is known. A mean over no joint
is NaN: it is no number, and above all not zero.

MPJPE, the mean per joint position error, is the mean over joints of the Euclidean distance (Ionescu et al.,
"Human3.6M", PAMI 2014, eq. 8). PCK is the share of joints within a threshold, and its area under the curve the mean
of such shares (Mehta et al., "Monocular 3D Human Pose Estimation In The Wild", 3DV 2017).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def joint_errors_mm(points_mm: Float[Tensor, "*#b J 3"], truth_mm: Float[Tensor, "*#b J 3"]) -> Float[Tensor, "... J"]:
    """Euclidean distance of every joint; batch axes may broadcast."""
    return (points_mm.double() - truth_mm.double()).norm(dim=-1)


def mean_over_joints(errors_mm: Float[Tensor, "*b J"], valid: Bool[Tensor, "*b J"]) -> Float[Tensor, "*b"]:
    """Mean over the valid joints of each pose; NaN for a pose without any."""
    return torch.where(valid, errors_mm, 0.0).sum(-1) / valid.sum(-1)


def mpjpe_mm(
    points_mm: Float[Tensor, "*b J 3"], truth_mm: Float[Tensor, "*b J 3"], valid: Bool[Tensor, "*b J"]
) -> Float[Tensor, "*b"]:
    """Mean per joint position error of each pose, absolute."""
    return mean_over_joints(joint_errors_mm(points_mm, truth_mm), valid)


def relative_to(points_mm: Float[Tensor, "*b J 3"], origin_mm: Float[Tensor, "*b 1 3"]) -> Float[Tensor, "*b J 3"]:
    """Poses moved so that their own origin (the pelvis, say) lies at zero."""
    return points_mm.double() - origin_mm.double()


def aligned(
    points_mm: Float[Tensor, "*b J 3"], truth_mm: Float[Tensor, "*b J 3"], valid: Bool[Tensor, "*b J"]
) -> Float[Tensor, "*b J 3"]:
    """Poses moved, turned and scaled onto the truth, to least squares over the valid joints; never mirrored.

    Procrustes analysis in closed form (Umeyama, "Least-Squares Estimation of Transformation Parameters Between Two
    Point Patterns", PAMI 1991). Poses with fewer than three valid joints, which some such motion would bring onto
    the truth whatever they are, are NaN.
    """
    weight = valid.double()[..., None]
    source, source_mean = _centred(points_mm.double(), weight)
    target, target_mean = _centred(truth_mm.double(), weight)
    U, S, Vh = torch.linalg.svd(source.mT @ target)
    sign = torch.ones_like(S)
    sign[..., -1] = torch.linalg.det(U @ Vh).sign()
    target_from_source = (U * sign[..., None, :]) @ Vh  # of row vectors
    scale = (S * sign).sum(-1) / source.square().sum((-2, -1)).clamp_min(1e-12)
    moved = scale[..., None, None] * (points_mm.double() - source_mean) @ target_from_source + target_mean
    return torch.where(valid.sum(-1)[..., None, None] >= 3, moved, torch.nan)


def _centred(points_mm: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Points around the mean of the valid ones, zero where not valid; and that mean."""
    known = torch.where(weight > 0, points_mm, 0.0)
    mean = known.sum(-2, keepdim=True) / weight.sum(-2, keepdim=True).clamp_min(1.0)
    return weight * (known - mean), mean


def pa_mpjpe_mm(
    points_mm: Float[Tensor, "*b J 3"], truth_mm: Float[Tensor, "*b J 3"], valid: Bool[Tensor, "*b J"]
) -> Float[Tensor, "*b"]:
    """MPJPE after each pose has been `aligned` to its truth; NaN with fewer than three valid joints."""
    return mpjpe_mm(aligned(points_mm, truth_mm, valid), truth_mm, valid)


def joints_within(
    errors_mm: Float[Tensor, "*b J"], valid: Bool[Tensor, "*b J"], thresholds_mm: Float[Tensor, "T"]
) -> Int[Tensor, "*b T"]:
    """How many of the valid joints of each pose have errors up to each threshold."""
    within = (errors_mm[..., None, :] <= thresholds_mm[:, None]) & valid[..., None, :]
    return within.sum(-1)


def pck(
    errors_mm: Float[Tensor, "*b J"], valid: Bool[Tensor, "*b J"], thresholds_mm: Float[Tensor, "T"]
) -> Float[Tensor, "T"]:
    """Share of all valid joints of all poses whose error is at most each threshold; NaN where there are none."""
    counts = joints_within(errors_mm, valid, thresholds_mm)
    return counts.reshape(-1, len(thresholds_mm)).sum(0) / valid.sum()
