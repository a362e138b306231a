"""People in predicted scenes against true ones, when nobody says who is who: average precision, recall, and parts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trivox.errors import InputError
from trivox.geometry.skeletons import Skeleton
from trivox.metrics.parts import ALPHA, correct_parts, parts_known, parts_of
from trivox.metrics.people import (
    MATCHED_MM,
    THRESHOLDS_MM,
    average_precision,
    first_finds,
    in_order_of_confidence,
    matches,
    pairwise_mpjpe_mm,
    recall,
)
from trivox.metrics.truth import has_all_of


@dataclass(frozen=True)
class Scene:
    """P people in each of F instants; who has no joint is not there. `confidence` orders them for precision."""

    points_mm: Float[Tensor, "F P J 3"]
    valid: Bool[Tensor, "F P J"]
    confidence: Float[Tensor, "F P"]
    skeleton: Skeleton


@dataclass(frozen=True)
class AtThreshold:
    """Of predicted people whose MPJPE is below `mm`."""

    mm: float
    average_precision: float
    recall: float


@dataclass(frozen=True)
class PeopleEvaluation:
    """Shares 0..1. `mpjpe_mm`: of the people found at `MATCHED_MM`; None where nobody is.

    `mean_average_precision`: the mean over the thresholds.
    """

    skeleton: str
    instants: int
    people: int
    predicted_people: int
    at: tuple[AtThreshold, ...]
    mean_average_precision: float
    recall_at_matched: float
    mpjpe_mm: float | None


@dataclass(frozen=True)
class PartsEvaluation:
    """Shares 0..1 of correct parts: `by_person[p][part]` for each person of the truth, None where it was never seen.

    `average` is the mean over people, as tables of Shelf and Campus have it; `by_part` is over all instants.
    """

    skeleton: str
    alpha: float
    strict: bool
    instants: int
    by_person: tuple[dict[str, float | None], ...]
    person_averages: tuple[float | None, ...]
    by_part: dict[str, float | None]
    average: float


def evaluated_people(predicted: Scene, truth: Scene) -> PeopleEvaluation:
    """Average precision and recall of F instants, over the joints of the predictions where the truth has more.

    Raises `InputError` where the two do not fit each other.
    """
    if has_all_of(truth.skeleton, predicted.skeleton):
        truth = _with_joints_of(truth, predicted.skeleton)
    _check(predicted, truth)
    found = in_order_of_confidence(
        matches(predicted.points_mm, predicted.valid, predicted.confidence, truth.points_mm, truth.valid)
    )
    people = int(truth.valid.any(-1).sum())
    finds = {mm: first_finds(found, mm) for mm in (*THRESHOLDS_MM, MATCHED_MM)}
    at = tuple(AtThreshold(mm, average_precision(finds[mm], people), recall(finds[mm], people)) for mm in THRESHOLDS_MM)
    errors_mm = found.error_mm[finds[MATCHED_MM]]
    return PeopleEvaluation(
        skeleton=truth.skeleton.name,
        instants=int(truth.valid.any((-2, -1)).sum()),
        people=people,
        predicted_people=len(found.person),
        at=at,
        mean_average_precision=sum(each.average_precision for each in at) / len(at),
        recall_at_matched=recall(finds[MATCHED_MM], people),
        mpjpe_mm=float(errors_mm.mean()) if len(errors_mm) else None,
    )


def evaluated_parts(predicted: Scene, truth: Scene, alpha: float = ALPHA, strict: bool = False) -> PartsEvaluation:
    """PCP of every person of the truth, each against the predicted person nearest to it at that instant.

    Where nobody was predicted, or an end of a part was not found, the part is wrong. Parts go by the names of their
    ends: where the skeletons differ, those that both have count.
    """
    _check_instants(predicted, truth)
    shared = set(predicted.skeleton.names) & set(truth.skeleton.names)
    bones = [bone for bone in parts_of(truth.skeleton) if set(bone) <= shared]
    if not bones:
        raise InputError(
            f"{predicted.skeleton.name} and {truth.skeleton.name} share no limb, so there are no parts to count; "
            "predict the joints of the truth"
        )
    predicted = _with_joints_of(predicted, truth.skeleton)
    pairs = [truth.skeleton.indices(bone) for bone in bones]
    nearest = _nearest(predicted, truth)
    correct = correct_parts(nearest.points_mm, truth.points_mm, pairs, alpha, strict)
    correct = correct & parts_known(nearest.valid, pairs)
    known = parts_known(truth.valid, pairs)
    if not bool(known.any()):
        raise InputError("the truth has no part with both of its ends at any instant; give one that has")
    names = [f"{parent}-{child}" for parent, child in bones]
    by_person = tuple(_shares(correct[:, p], known[:, p], names) for p in range(truth.valid.shape[1]))
    averages = tuple(_share(correct[:, p], known[:, p]) for p in range(truth.valid.shape[1]))
    seen = [average for average in averages if average is not None]
    return PartsEvaluation(
        skeleton=truth.skeleton.name,
        alpha=alpha,
        strict=strict,
        instants=int(truth.valid.any((-2, -1)).sum()),
        by_person=by_person,
        person_averages=averages,
        by_part=_shares(correct.flatten(0, 1), known.flatten(0, 1), names),
        average=sum(seen) / len(seen),
    )


def _with_joints_of(scene: Scene, skeleton: Skeleton) -> Scene:
    """The same people with the joints of `skeleton`, those that have exactly that name."""
    if scene.skeleton.names == skeleton.names:
        return scene
    has = torch.tensor([name in scene.skeleton.names for name in skeleton.names])
    at = torch.tensor([scene.skeleton.names.index(n) if n in scene.skeleton.names else 0 for n in skeleton.names])
    return Scene(scene.points_mm[:, :, at], scene.valid[:, :, at] & has, scene.confidence, skeleton)


def _check(predicted: Scene, truth: Scene) -> None:
    _check_instants(predicted, truth)
    if predicted.skeleton.names != truth.skeleton.names:
        raise InputError(
            f"the predictions have the joints of {predicted.skeleton.name}, the truth those of {truth.skeleton.name}; "
            "predict the joints of the truth"
        )


def _check_instants(predicted: Scene, truth: Scene) -> None:
    if len(predicted.points_mm) != len(truth.points_mm):
        raise InputError(
            f"there are {len(predicted.points_mm)} predicted instants for {len(truth.points_mm)} of truth; evaluate "
            "the frames that were predicted"
        )
    if not bool(truth.valid.any()):
        raise InputError("the truth has no person at any instant; give one that has")


def _nearest(predicted: Scene, truth: Scene) -> Scene:
    """For every true person the predicted one that is nearest over the joints both have; none where there is none."""
    pairs = pairwise_mpjpe_mm(predicted.points_mm, predicted.valid, truth.points_mm, truth.valid)
    error, person = pairs.min(1)
    instant = torch.arange(len(person))[:, None]
    valid = predicted.valid[instant, person] & error.isfinite()[..., None]
    return Scene(predicted.points_mm[instant, person], valid, predicted.confidence[instant, person], truth.skeleton)


def _shares(correct: Tensor, known: Tensor, names: list[str]) -> dict[str, float | None]:
    return {name: _share(correct[..., i], known[..., i]) for i, name in enumerate(names)}


def _share(correct: Tensor, known: Tensor) -> float | None:
    return float(correct[known].double().mean()) if bool(known.any()) else None
