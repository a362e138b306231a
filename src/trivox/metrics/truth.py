"""What predictions are compared with: true poses, one per row, and what each row belongs to."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trivox.data.labels import Labels
from trivox.errors import InputError
from trivox.geometry.poses import Poses
from trivox.geometry.skeletons import Skeleton, conversion, converted


@dataclass(frozen=True)
class Truth:
    """N poses of J joints. `subjects` and `actions` (trials merged) are texts of shape (N,), "" where unknown;
    `damaged` are rows whose truth is known to be broken."""

    points_mm: Float[Tensor, "N J 3"]
    valid: Bool[Tensor, "N J"]
    skeleton: Skeleton
    subjects: np.ndarray
    actions: np.ndarray
    damaged: Bool[Tensor, "N"]

    def __len__(self) -> int:
        return len(self.points_mm)


def truth_of_labels(labels: Labels) -> Truth:
    """The rows of a dataset. Sequences without a named action stand under their own names."""
    actions = [recording.action or recording.name for recording in labels.recordings]
    damaged = torch.tensor([recording.damaged for recording in labels.recordings])
    return Truth(
        torch.from_numpy(labels.points_mm),
        torch.from_numpy(labels.valid),
        labels.skeleton,
        labels.subjects,
        np.array(actions, dtype=np.str_)[labels.recording],
        damaged[torch.from_numpy(labels.recording)],
    )


def with_joints_of(truth: Truth, skeleton: Skeleton) -> Truth:
    """The truth in the joints of `skeleton`, where it has them all and more; else as it is.

    So a truth that serves several skeletons, as that of rendered scenes, is compared joint by joint with each.
    """
    if not has_all_of(truth.skeleton, skeleton):
        return truth
    joints = converted(truth.points_mm, truth.valid, truth.skeleton, skeleton)
    return replace(truth, points_mm=joints.points, valid=joints.valid, skeleton=skeleton)


def has_all_of(more: Skeleton, skeleton: Skeleton) -> bool:
    """Whether `more` has every joint of `skeleton`, as the same point of the body, and others besides."""
    return set(skeleton.names) < set(more.names) and set(conversion(more, skeleton).quality) == {"exact"}


def truth_of_poses(poses: Poses) -> Truth:
    """The frames of one person. Raises `InputError` where there are several."""
    people = poses.points_mm.shape[1]
    if people != 1:
        raise InputError(f"the truth holds {people} people; take the protocol `people`, which finds out who is who")
    nobody = np.full(len(poses.frames), "")
    unbroken = torch.zeros(len(poses.frames), dtype=torch.bool)
    return Truth(poses.points_mm[:, 0], poses.valid[:, 0], poses.skeleton, nobody, nobody, unbroken)
