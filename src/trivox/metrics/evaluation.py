"""Predicted poses against true ones: one number, and the tables behind it.

Four stages: rows and joints that the protocol names; errors of every pose; means over groups of poses (subjects,
actions with their trials merged, all); means per joint. Every mean is one over poses, so that long recordings weigh
more, as in the published tables. Predictions that do not fit the truth raise: they are never cut to fit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trivox.data.labels import Labels
from trivox.errors import InputError
from trivox.geometry.skeletons import Converted, Skeleton, conversion, converted, root_points, skeleton_of
from trivox.metrics.joints import aligned, joint_errors_mm, joints_within, mean_over_joints, relative_to
from trivox.metrics.parts import correct_parts, parts_known, parts_of
from trivox.metrics.protocols import Protocol
from trivox.metrics.truth import Truth, truth_of_labels

Missing = Literal["refuse", "skip"]
AVERAGE = "Average"

PCK_MM = (25.0, 50.0, 100.0, 150.0)
AUC_MM = tuple(float(threshold) for threshold in range(0, 151, 5))


@dataclass(frozen=True)
class Score:
    """Means over a group of poses, in mm and in shares 0..1; None where no pose has such a number.

    `pck` and `auc` are of errors in the protocol's own measure, over all joints, those not found counting as wrong;
    `pck` at `PCK_MM`. `pcp`: correct parts, with errors as they are.
    """

    poses: int
    absolute_mm: float | None
    relative_mm: float | None
    aligned_mm: float | None
    pck: tuple[float | None, ...]
    auc: float | None
    pcp: float | None


@dataclass(frozen=True)
class JointScore:
    """Means over the poses that have this joint."""

    poses: int
    absolute_mm: float | None
    relative_mm: float | None
    aligned_mm: float | None


@dataclass(frozen=True)
class Evaluation:
    """What came out, with every choice that led to it. `scores[subject, action]`; either may be "Average".

    `rows_left_out` tells why and how many; `rows_without_origin` have no relative error.
    """

    protocol: Protocol
    skeleton: str
    predicted_skeleton: str
    joints: tuple[str, ...]
    origin: str
    scores: dict[tuple[str, str], Score]
    by_joint: dict[str, JointScore]
    rows: int
    rows_left_out: dict[str, int]
    rows_without_origin: int
    joints_missing: int

    @property
    def average(self) -> Score:
        """Over all poses."""
        return self.scores[AVERAGE, AVERAGE]

    @property
    def score_mm(self) -> float:
        """The protocol's one number. Raises `InputError` where no pose could be scored."""
        average = self.average
        score = average.absolute_mm if self.protocol.measure == "absolute" else average.relative_mm
        if score is None:
            raise InputError(f"no pose could be scored by {self.protocol.name}; give rows with known {self.origin}")
        return score


def evaluated(
    points_mm: Float[Tensor, "N S 3"],
    truth: Truth | Labels,
    protocol: Protocol,
    *,
    skeleton: Skeleton | None = None,
    found: Bool[Tensor, "N S"] | None = None,
    missing: Missing = "refuse",
) -> Evaluation:
    """Score N predicted poses, one for each row of `truth`, in its order.

    `skeleton` is that of the predictions (that of the truth unless given), `found` the joints that they have (all
    finite ones unless given). Joints that are known but were not found are refused, or, with `missing="skip"`, left
    out of the means and counted as wrong by PCK and PCP. Raises `InputError` for another number of poses, another
    skeleton, missing joints, and for rows without any truth.
    """
    truth = truth_of_labels(truth) if isinstance(truth, Labels) else truth
    skeleton = skeleton or truth.skeleton
    _check_shape(points_mm, truth, skeleton)
    finite = torch.isfinite(points_mm).all(-1)
    found = finite if found is None else found & finite
    rows, left_out = _rows_that_count(truth, protocol)
    chosen = _chosen(points_mm[rows], found[rows], truth, rows, skeleton, protocol)
    lost = int((chosen.valid & ~chosen.found).sum())
    if lost and missing == "refuse":
        raise InputError(
            f"{lost} of {int(chosen.valid.sum())} joints with known truth are missing from the predictions; predict "
            "them all, or skip the missing ones (--missing skip)"
        )
    errors = _errors(chosen, protocol)
    groups = _groups(truth.subjects[rows.numpy()], truth.actions[rows.numpy()], protocol)
    return Evaluation(
        protocol=protocol,
        skeleton=truth.skeleton.name,
        predicted_skeleton=skeleton.name,
        joints=chosen.skeleton.names,
        origin=protocol.origin or truth.skeleton.root,
        scores={group: _score(errors, members) for group, members in groups.items()},
        by_joint=_by_joint(errors, chosen.skeleton.names),
        rows=len(truth),
        rows_left_out=left_out,
        rows_without_origin=int((~chosen.has_origin).sum()),
        joints_missing=lost,
    )


@dataclass(frozen=True)
class _Chosen:
    """Rows and joints that count, (n, J); origins are (n, 1, 3)."""

    points_mm: Tensor
    truth_mm: Tensor
    found: Tensor
    valid: Tensor
    origin_mm: Tensor
    true_origin_mm: Tensor
    has_origin: Tensor
    has_true_origin: Tensor
    skeleton: Skeleton


@dataclass(frozen=True)
class _Errors:
    """Of n poses: of their joints (n, J), NaN where there is no such error, and counts of what is right.

    compared  joints that both have.
    of_poses  means of the three errors over these, (n, 3).
    within    joints of each pose within every threshold of AUC and PCK, in the protocol's measure, (n, T),
    counts    out of so many, (n); one that was not found is within none. Parts (n): likewise.
    """

    absolute_mm: Tensor
    relative_mm: Tensor
    aligned_mm: Tensor
    compared: Tensor
    of_poses: Tensor
    within: Tensor
    counts: Tensor
    correct_parts: Tensor
    known_parts: Tensor


def _check_shape(points_mm: Tensor, truth: Truth, skeleton: Skeleton) -> None:
    if len(points_mm) != len(truth):
        raise InputError(
            f"there are {len(points_mm)} predicted poses for {len(truth)} rows of truth; evaluate the same rows that "
            "were predicted (split, stride, damaged scenes)"
        )
    if points_mm.shape[1] != len(skeleton):
        raise InputError(
            f"the predictions have {points_mm.shape[1]} joints, the skeleton {skeleton.name} has {len(skeleton)}; "
            "name the skeleton of the predictions (--skeleton)"
        )


def _rows_that_count(truth: Truth, protocol: Protocol) -> tuple[Tensor, dict[str, int]]:
    known = truth.valid.any(-1)
    undamaged = ~truth.damaged if protocol.without_damaged else torch.ones_like(known)
    reasons = {"without truth": int((~known).sum()), "damaged truth": int((known & ~undamaged).sum())}
    rows = (known & undamaged).nonzero()[:, 0]
    if not len(rows):
        raise InputError(f"none of {len(truth)} rows has a truth that counts by {protocol.name}; give rows that have")
    return rows, {reason: count for reason, count in reasons.items() if count}


def _chosen(
    points_mm: Tensor, found: Tensor, truth: Truth, rows: Tensor, skeleton: Skeleton, protocol: Protocol
) -> _Chosen:
    names = protocol.joints or truth.skeleton.names
    if not protocol.joints and not set(names) <= set(skeleton.names):
        raise InputError(
            f"the predictions have the joints of {skeleton.name}, the truth those of {truth.skeleton.name}; convert "
            "the predictions, or take a protocol of joints that both have, such as elbows-wrists-knees or limbs"
        )
    target = skeleton_of(names, f"{protocol.name} joints") if protocol.joints else truth.skeleton
    for source in (skeleton, truth.skeleton):
        quality = conversion(source, target).quality
        if lacking := [name for name, q in zip(names, quality, strict=True) if q != "exact"]:
            raise InputError(f"{source.name} lacks {', '.join(lacking)}, which {protocol.name} needs; give other poses")
    ours = converted(points_mm.double(), found, skeleton, target)
    theirs = converted(truth.points_mm[rows].double(), truth.valid[rows], truth.skeleton, target)
    zero = _origin(points_mm, found, skeleton, protocol.origin)
    true_zero = _origin(truth.points_mm[rows], truth.valid[rows], truth.skeleton, protocol.origin)
    return _Chosen(
        points_mm=ours.points,
        truth_mm=theirs.points,
        found=ours.valid,
        valid=theirs.valid,
        origin_mm=zero.points,
        true_origin_mm=true_zero.points,
        has_origin=zero.valid & true_zero.valid,
        has_true_origin=true_zero.valid,
        skeleton=target,
    )


def _origin(points_mm: Tensor, valid: Tensor, skeleton: Skeleton, joint: str | None) -> Converted:
    return root_points(points_mm.double(), valid, skeleton if joint is None else replace(skeleton, root=joint))


def _errors(chosen: _Chosen, protocol: Protocol) -> _Errors:
    compared = chosen.found & chosen.valid
    ours, theirs = chosen.points_mm, chosen.truth_mm
    absolute = joint_errors_mm(ours, theirs)
    relative = joint_errors_mm(relative_to(ours, chosen.origin_mm), relative_to(theirs, chosen.true_origin_mm))
    relative = torch.where(chosen.has_origin, relative, torch.nan)
    is_absolute = protocol.measure == "absolute"
    measured = absolute if is_absolute else relative
    counting = chosen.valid if is_absolute else chosen.valid & chosen.has_true_origin
    found = torch.where(compared & ~measured.isnan(), measured, torch.inf)
    parts = [chosen.skeleton.indices(bone) for bone in parts_of(chosen.skeleton)]
    known = parts_known(chosen.valid, parts)
    correct = correct_parts(ours, theirs, parts) & parts_known(chosen.found, parts) & known
    in_shape = joint_errors_mm(aligned(ours, theirs, compared), theirs)
    return _Errors(
        absolute_mm=absolute,
        relative_mm=relative,
        aligned_mm=in_shape,
        compared=compared,
        of_poses=torch.stack([mean_over_joints(e, compared) for e in (absolute, relative, in_shape)], dim=-1),
        within=joints_within(found, counting, torch.tensor(AUC_MM + PCK_MM, dtype=torch.float64)),
        counts=counting.sum(-1),
        correct_parts=correct.sum(-1),
        known_parts=known.sum(-1),
    )


def _groups(subjects: np.ndarray, actions: np.ndarray, protocol: Protocol) -> dict[tuple[str, str], Tensor]:
    """Rows of every subject and action, and of all of them; names that are unknown make no group."""
    names = [
        (AVERAGE, *dict.fromkeys((*known, *sorted(set(found) - {""}))))
        for known, found in ((protocol.subjects, subjects.tolist()), (protocol.actions, actions.tolist()))
    ]
    members = [
        {name: torch.from_numpy((column == name) | (name == AVERAGE)) for name in of_column}
        for of_column, column in zip(names, (subjects, actions), strict=True)
    ]
    return {(s, a): members[0][s] & members[1][a] for s in names[0] for a in names[1]}


def _score(errors: _Errors, members: Bool[Tensor, "n"]) -> Score:
    rows = members.nonzero()[:, 0]
    absolute, relative, in_shape = map(_mean, errors.of_poses[rows].unbind(-1))
    shares = errors.within[rows].sum(0) / errors.counts[rows].sum()
    return Score(
        poses=len(rows),
        absolute_mm=absolute,
        relative_mm=relative,
        aligned_mm=in_shape,
        pck=tuple(_mean(share) for share in shares[len(AUC_MM) :]),
        auc=_mean(shares[: len(AUC_MM)]),
        pcp=_mean((errors.correct_parts[rows].sum() / errors.known_parts[rows].sum())[None]),
    )


def _by_joint(errors: _Errors, names: tuple[str, ...]) -> dict[str, JointScore]:
    scores = {}
    for j, name in enumerate(names):
        has = errors.compared[:, j]
        of_joint = (values[has, j] for values in (errors.absolute_mm, errors.relative_mm, errors.aligned_mm))
        scores[name] = JointScore(int(has.sum()), *map(_mean, of_joint))
    return scores


def _mean(values: Tensor) -> float | None:
    """Mean of those that are numbers; None where there are none."""
    numbers = values[~values.isnan()]
    return float(numbers.mean()) if numbers.numel() else None
