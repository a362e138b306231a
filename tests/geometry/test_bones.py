"""Bones that no person has: which joint is taken out, and that good ones stay."""

from __future__ import annotations

import pytest
import torch
from rigs import STANDING_MM

from trivox.geometry.bones import at_endless_bone, misplaced_joints
from trivox.geometry.skeletons import COCO_17

F, J = 40, 17
NAMES = COCO_17.names


def standing(frames: int = F, noise_mm: float = 10.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return STANDING_MM + noise_mm * torch.randn(frames, 1, J, 3, generator=generator).double()


def misplaced(points_mm: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
    everywhere = torch.ones(points_mm.shape[:-1], dtype=torch.bool)
    return misplaced_joints(points_mm, everywhere, everywhere.double() if weight is None else weight, COCO_17)


@pytest.mark.parametrize("scale", [0.45, 1.0, 1.2])
@pytest.mark.parametrize("noise_mm", [0.0, 10.0, 25.0])
def test_children_and_giants_keep_all_joints(scale, noise_mm):
    assert not misplaced(standing(noise_mm=noise_mm * scale) * scale).any()


@pytest.mark.parametrize("name", ["left_elbow", "right_knee", "left_wrist", "right_ankle", "left_hip"])
@pytest.mark.parametrize("frames", [1, F])
def test_a_joint_a_metre_away_is_taken_out_alone(name, frames):
    """By the longest bone of all people alone where the recording is short. Its neighbours are seen better."""
    points, at = standing(frames), NAMES.index(name)
    points[0, 0, at] += torch.tensor([1200.0, 0.0, 0.0]).double()
    weight = torch.ones(frames, 1, J).double()
    weight[..., at] = 0.5
    expected = torch.zeros(frames, 1, J, dtype=torch.bool)
    expected[0, 0, at] = True
    assert torch.equal(misplaced(points, weight), expected)


@pytest.mark.parametrize("name", ["left_elbow", "right_knee"])
def test_the_joint_between_two_impossible_bones_goes_though_it_is_seen_best(name):
    points, at = standing(), NAMES.index(name)
    points[3, 0, at] += torch.tensor([0.0, 450.0, 0.0]).double()
    weight = torch.ones(F, 1, J).double()
    weight[..., at] = 3.0
    assert misplaced(points, weight).nonzero().tolist() == [[3, 0, at]]


@pytest.mark.parametrize("factor", [1.5, 0.5])
def test_lengths_are_those_of_the_person_in_the_recording(factor):
    """A forearm that anybody could have, but not this one; and a few instants do not tell."""
    elbow, wrist = NAMES.index("left_elbow"), NAMES.index("left_wrist")
    for frames in (F, 3):
        points = standing(frames, noise_mm=2.0)
        points[2, 0, wrist] = points[2, 0, elbow] + factor * (points[2, 0, wrist] - points[2, 0, elbow])
        weight = torch.ones(frames, 1, J).double()
        weight[2, 0, wrist] = 0.5
        assert misplaced(points, weight).nonzero().tolist() == ([[2, 0, wrist]] if frames == F else [])


def test_no_bone_that_is_left_is_impossible():
    """Whatever the joints are."""
    generator = torch.Generator().manual_seed(2)
    points = standing() + 600 * torch.randn(F, 1, J, 3, generator=generator).double() * (
        torch.rand(F, 1, J, 1, generator=generator) < 0.3
    )
    kept = ~misplaced(points)
    assert not at_endless_bone(points, kept, torch.tensor(COCO_17.bone_indices)).any()
    assert 0.5 < kept.double().mean() < 1
