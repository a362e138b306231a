"""What a result says of itself: joints found and reprojection error per camera, and how steady the bones are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from pydantic import Field, TypeAdapter, ValidationError
from torch import Tensor

from trivox.errors import InputError
from trivox.geometry.bones import shares_of_adult
from trivox.geometry.poses import Poses

# A camera below the first share, while another is above the second, is not simply looking elsewhere.
_IDLE_CAMERA, _BUSY_CAMERA = 0.25, 0.7
# A sentence names so many times at which a person is lost.
_MOST_SPANS = 6
# Real recordings give 10 to 50 mm; cameras in the wrong order some hundred.
_WILD_BONES_MM = 80.0
# Infants' limbs are longer than this share of an adult's, the tallest people's shorter.
_LEAST_OF_ADULT, _MOST_OF_ADULT = 0.3, 1.5


_Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
_Share = Annotated[float, Field(ge=0, le=1)]
_Distance = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class CameraSummary:
    """`joints_used`: share of the valid joints that this camera helped to place."""

    name: str
    joints_used: _Share
    median_reprojection_px: _Distance | None


@dataclass(frozen=True)
class Loss:
    """Frames (numbers, both included) in which a person has no joint.

    `inside` where they were found both before and after.
    """

    person: _Count
    first: _Count
    last: _Count
    inside: bool


@dataclass(frozen=True)
class Summary:
    """Shares are 0..1. `bone_spread_mm`: standard deviation of each limb bone's length over time, averaged over the
    bones (and people); a rigid body and a perfect detector would give 0."""

    frames: _Count
    fps: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    people: _Count
    joints_valid: _Share
    median_reprojection_px: _Distance | None
    bone_spread_mm: _Distance | None
    cameras: Annotated[tuple[CameraSummary, ...], Field(min_length=1)]
    losses: tuple[Loss, ...] = ()

    @property
    def longest_loss_s(self) -> float:
        """Of all people who were lost and found again."""
        return max((loss.last - loss.first + 1 for loss in self.losses if loss.inside), default=0) / self.fps

    def of_other_joints(self, before: Poses, after: Poses) -> Summary:
        """The same views, and what the joints alone tell: of those `after` smoothing, not of those `before`."""
        count = int(after.valid.sum()) / max(int(before.valid.sum()), 1)
        return replace(
            self,
            joints_valid=min(1.0, self.joints_valid * count),
            bone_spread_mm=bone_spread_mm(after),
            losses=losses(after),
        )


def summarise(
    poses: Poses,
    camera_names: Sequence[str],
    inliers: Bool[Tensor, "F P V J"],
    reprojection_px: Float[Tensor, "F P V J"],
    possible: Bool[Tensor, "J"] | None = None,
) -> Summary:
    """Summary of poses and the observations behind them; only `possible` joints count as missing (None: all)."""
    counted = poses.valid if possible is None else poses.valid[..., possible]
    valid_joints = int(poses.valid.sum())
    inliers = inliers & poses.valid[:, :, None]
    cameras = tuple(
        CameraSummary(
            name,
            float(inliers[:, :, v].sum()) / max(valid_joints, 1),
            _median(reprojection_px[:, :, v][inliers[:, :, v]]),
        )
        for v, name in enumerate(camera_names)
    )
    return Summary(
        frames=len(poses.frames),
        fps=poses.fps,
        people=poses.points_mm.shape[1],
        joints_valid=float(counted.sum()) / max(counted.numel(), 1),
        median_reprojection_px=_median(reprojection_px[inliers]),
        bone_spread_mm=bone_spread_mm(poses),
        cameras=cameras,
        losses=losses(poses),
    )


def losses(poses: Poses) -> tuple[Loss, ...]:
    """When people of whom something was found are not there."""
    runs = []
    for person, there in enumerate(poses.valid.any(-1).T.numpy()):
        if not there.any():
            continue
        edges = np.flatnonzero(np.diff(np.concatenate([[True], there, [True]]).astype(int)))
        for start, stop in edges.reshape(-1, 2).tolist():
            inside = start > 0 and stop < len(there)
            runs.append(Loss(person, int(poses.frames[start]), int(poses.frames[stop - 1]), inside))
    return tuple(runs)


def doubts(summary: Summary, poses: Poses) -> list[str]:
    """What the user should look into before trusting a result, a sentence each."""
    found = int(poses.valid.any((0, 2)).sum())
    sentences = []
    if found < summary.people:
        sentences.append(f"only {found} of {summary.people} people found; the rows of the others are empty")
    sentences += [
        f"person {person} has no joints in {_listed([loss for loss in summary.losses if loss.person == person])}: "
        "lost, or in no two views"
        for person in sorted({loss.person for loss in summary.losses})
    ]
    if poses.up is None:
        sentences.append(
            "the calibration does not say which way is up: poses.trc keeps the world's axes (--up makes it Y up)"
        )
    best = max(camera.joints_used for camera in summary.cameras)
    sentences += [
        f"{camera.name} helped to place only {camera.joints_used:.0%} of the joints: it may look elsewhere, belong to "
        "another video, start at another time, or be calibrated wrongly (trivox doctor RESULT/rig.toml RESULT)"
        for camera in summary.cameras
        if camera.joints_used < _IDLE_CAMERA < _BUSY_CAMERA < best
    ]
    shares = shares_of_adult(poses.points_mm, poses.valid, poses.skeleton)
    if len(shares) and not _LEAST_OF_ADULT < (size := float(shares.median())) < _MOST_OF_ADULT:
        sentences.append(
            f"arms and legs are {size:.2g} times an adult's: the calibration's lengths are in another unit or scale "
            "(--units; trivox doctor RESULT/rig.toml RESULT tells the factor)"
        )
    if summary.bone_spread_mm is not None and summary.bone_spread_mm > _WILD_BONES_MM:
        sentences.append(
            f"limb bones vary by {summary.bone_spread_mm:.0f} mm, more than any person's: views and calibration "
            "contradict each other; trivox doctor RESULT/rig.toml RESULT tells whether cameras are exchanged, late, or "
            "calibrated wrongly, and which"
        )
    return sentences


def _listed(losses: Sequence[Loss]) -> str:
    """Frames in words, the first few."""
    spans = [f"{loss.first} to {loss.last}" if loss.last > loss.first else str(loss.first) for loss in losses]
    more = f" and {len(spans) - _MOST_SPANS} times more" if len(spans) > _MOST_SPANS else ""
    return f"frames {', '.join(spans[:_MOST_SPANS])}{more}"


def bone_spread_mm(poses: Poses) -> float | None:
    """Standard deviation of limb bone lengths over time, mean over bones and people; None where none is seen twice."""
    pairs = [poses.skeleton.indices(bone) for bone in poses.skeleton.limb_bones]
    if not pairs:
        return None
    parent, child = torch.tensor(pairs).T
    both = poses.valid[:, :, parent] & poses.valid[:, :, child]
    lengths_mm = (poses.points_mm[:, :, parent] - poses.points_mm[:, :, child]).norm(dim=-1).double()
    lengths_mm = torch.where(both, lengths_mm, 0.0)
    count = both.sum(0)
    mean = (lengths_mm * both).sum(0) / count.clamp_min(1)
    variance = ((lengths_mm - mean) ** 2 * both).sum(0) / count.clamp_min(1)
    enough = count >= 2
    return float(variance.sqrt()[enough].mean()) if bool(enough.any()) else None


def _median(values: Tensor) -> float | None:
    return float(np.median(values.double().numpy())) if values.numel() else None


def read_summary(saved: Mapping[str, Any], path: Path) -> Summary:
    """The `Summary` whose fields a result folder has kept in `path`. Raises `InputError` for anything else."""
    try:
        return TypeAdapter(Summary).validate_json(json.dumps(saved), strict=True)
    except (ValidationError, RecursionError) as error:
        raise InputError(f"{path} is not a summary that trivox wrote; the folder is not a whole result") from error


def summary_table(summary: Summary) -> str:
    """For people to read."""
    people = "1 person" if summary.people == 1 else f"{summary.people} people"
    rows = [
        f"{summary.frames} frames at {summary.fps:g} frames/s, {people}, {summary.joints_valid:.1%} of joints found",
        f"{'camera':<16}{'joints used':>12}{'reprojection (median)':>24}",
    ]
    for camera in summary.cameras:
        rows.append(f"{camera.name:<16}{camera.joints_used:>12.1%}{_pixels(camera.median_reprojection_px):>24}")
    rows.append(f"{'all':<28}{_pixels(summary.median_reprojection_px):>24}")
    if summary.bone_spread_mm is not None:
        rows.append(f"limb bones vary by {summary.bone_spread_mm:.1f} mm (standard deviation over time)")
    return "\n".join(rows)


def _pixels(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} px"
