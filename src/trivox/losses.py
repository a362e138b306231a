"""What training lowers: distances between joints, and how little a volume believes in the truth.

As in Iskakov et al., "Learnable Triangulation of Human Pose" (ICCV 2019). Distances are summed over valid joints
and divided by three times their number (no valid joint: zero). Invalid joints may hold anything, also NaN,
and receive no gradient.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

PROBABILITY_FLOOR = 1e-6  # added to probabilities: bounds the cross-entropy of a joint at 13.8


def mse(
    points: Float[Tensor, "*b J 3"], truth: Float[Tensor, "*b J 3"], valid: Bool[Tensor, "*b J"]
) -> Float[Tensor, ""]:
    """Mean squared error per coordinate."""
    return _per_coordinate(_errors(points, truth, valid) ** 2, valid)


def mse_smooth(
    points: Float[Tensor, "*b J 3"],
    truth: Float[Tensor, "*b J 3"],
    valid: Bool[Tensor, "*b J"],
    threshold: float = 400.0,
) -> Float[Tensor, ""]:
    """Mean squared error in which squares e above `threshold` count e^0.1 threshold^0.9, so that outliers pull little.

    `threshold` is in squares of the points' unit: 400 is 20 mm.
    """
    squared = _errors(points, truth, valid) ** 2
    # Clamped, because the slope of the branch not taken would be infinite at zero, and NaN after masking.
    flattened = squared.clamp(min=threshold) ** 0.1 * threshold**0.9
    return _per_coordinate(torch.where(squared > threshold, flattened, squared), valid)


def mae(
    points: Float[Tensor, "*b J 3"], truth: Float[Tensor, "*b J 3"], valid: Bool[Tensor, "*b J"]
) -> Float[Tensor, ""]:
    """Mean absolute error per coordinate."""
    return _per_coordinate(_errors(points, truth, valid).abs(), valid)


def l2(
    points: Float[Tensor, "*b J 3"], truth: Float[Tensor, "*b J 3"], valid: Bool[Tensor, "*b J"]
) -> Float[Tensor, ""]:
    """Mean Euclidean distance of valid joints: to report, in the points' unit."""
    return _errors(points, truth, valid).norm(dim=-1).sum() / valid.sum().clamp(min=1)


def volumetric_cross_entropy(
    volumes: Float[Tensor, "B J X Y Z"],
    grid_mm: Float[Tensor, "B X Y Z 3"],
    truth_mm: Float[Tensor, "B J 3"],
    valid: Bool[Tensor, "B J"],
) -> Float[Tensor, ""]:
    """Minus the logarithm of the probability at the voxel nearest to the truth, averaged over all joints.

    `volumes` are probabilities (after softmax) at the voxel centres `grid_mm`. Invalid joints count as zero, but
    do count. A truth outside the cube asks for its nearest voxel.
    """
    voxel = nearest_voxels(grid_mm, torch.where(valid[..., None], truth_mm, 0.0))
    probability = volumes.flatten(2).gather(2, voxel[..., None])[..., 0]
    return torch.where(valid, -torch.log(probability + PROBABILITY_FLOOR), 0.0).mean()


@torch.no_grad()
def nearest_voxels(grid_mm: Float[Tensor, "B X Y Z 3"], points_mm: Float[Tensor, "B J 3"]) -> Int[Tensor, "B J"]:
    """Flat index (in X, Y, Z) of the voxel nearest to each point."""
    # The quicker distances by matrix product lose what separates neighbouring voxels.
    exact = "donot_use_mm_for_euclid_dist"
    return torch.cdist(points_mm, grid_mm.flatten(1, 3), compute_mode=exact).argmin(dim=-1)


def _errors(points: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Differences, zero where invalid."""
    return torch.where(valid[..., None], truth - points, 0.0)


def _per_coordinate(errors: Tensor, valid: Tensor) -> Tensor:
    return errors.sum() / (3 * valid.sum().clamp(min=1))
