"""Average precision, recall and parts of several people, against VoxelPose's plain loops written out here."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trivox.errors import InputError
from trivox.geometry.skeletons import COCO_17, COCO_H36M_22, H36M_17, PANOPTIC_19, Skeleton, skeleton_of
from trivox.metrics.people import THRESHOLDS_MM
from trivox.metrics.people_evaluation import Scene, evaluated_parts, evaluated_people

J = len(PANOPTIC_19)


def scenes(seed: int, frames: int = 7, people: int = 3, spread_mm: float = 60) -> tuple[Scene, Scene]:
    """Predicted and true: some people and joints are absent, some are predicted twice or out of nothing."""
    torch.manual_seed(seed)
    truth = torch.randn(frames, people, J, 3) * 300 + torch.randn(frames, people, 1, 3) * 1500
    valid = (torch.rand(frames, people, J) < 0.8) & (torch.rand(frames, people, 1) < 0.7)
    valid[0, 0] = True
    near = truth[:, torch.randint(people, (people + 1,))]
    points = near + torch.randn(frames, people + 1, 1, 3) * spread_mm + torch.randn(frames, people + 1, J, 3) * 20
    there = (torch.rand(frames, people + 1, 1) < 0.8).expand(-1, -1, J)
    confidence = torch.rand(frames, people + 1)
    predicted = Scene(points, there & (torch.rand(frames, people + 1, J) < 0.95), confidence, PANOPTIC_19)
    return predicted, Scene(truth, valid, valid.any(-1).float(), PANOPTIC_19)


def plain_list(predicted: Scene, truth: Scene) -> tuple[list[tuple[float, float, int]], int]:
    """(confidence, MPJPE to the nearest, its number) of every predicted person, and how many true ones there are."""
    found, total = [], 0
    for f in range(len(truth.points_mm)):
        real = [g for g in range(truth.valid.shape[1]) if truth.valid[f, g].any()]
        for p in range(predicted.valid.shape[1]) if real else ():
            if not predicted.valid[f, p].any():
                continue
            distances = []
            for g in real:
                joints = [j for j in range(J) if truth.valid[f, g, j] and predicted.valid[f, p, j]]
                each = [
                    math.dist(predicted.points_mm[f, p, j].tolist(), truth.points_mm[f, g, j].tolist()) for j in joints
                ]
                distances.append(sum(each) / len(each) if each else math.inf)
            nearest = int(np.argmin(distances))
            found.append((float(predicted.confidence[f, p]), distances[nearest], total + nearest))
        total += len(real)
    return sorted(found, key=lambda each: -each[0]), total


def plain_ap(found: list[tuple[float, float, int]], total: int, threshold: float) -> tuple[float, float]:
    """The published loop, without its 1e-5 in the denominators."""
    taken: set[int] = set()
    right = []
    for _, error, person in found:
        is_right = error < threshold and person not in taken
        right.append(is_right)
        if is_right:
            taken.add(person)
    true = np.cumsum(right)
    recall, precision = true / total, true / np.arange(1, len(right) + 1)
    for n in range(len(right) - 2, -1, -1):
        precision[n] = max(precision[n], precision[n + 1])
    recall, precision = np.concatenate(([0], recall, [1])), np.concatenate(([0], precision, [0]))
    steps = np.where(recall[1:] != recall[:-1])[0]
    return float(np.sum((recall[steps + 1] - recall[steps]) * precision[steps + 1])), float(recall[-2])


@given(st.integers(0, 10**6))
def test_average_precision_is_that_of_the_published_loop(seed: int) -> None:
    predicted, truth = scenes(seed)
    ours = evaluated_people(predicted, truth)
    found, total = plain_list(predicted, truth)
    assert (ours.people, ours.predicted_people) == (total, len(found))
    for at in ours.at:
        ap, recall = plain_ap(found, total, at.mm)
        assert at.average_precision == pytest.approx(ap) and at.recall == pytest.approx(recall)
    taken: dict[int, float] = {}
    for _, error, person in found:
        if error < 500:
            taken.setdefault(person, error)
    assert ours.recall_at_matched == pytest.approx(len(taken) / total)
    assert ours.mpjpe_mm == (pytest.approx(np.mean(list(taken.values()))) if taken else None)


def test_a_truth_with_more_joints_is_compared_over_those_of_the_predictions() -> None:
    """As that of rendered scenes: the other joints, wherever they are, change nothing."""
    torch.manual_seed(0)
    points, valid = 3000 * torch.rand(4, 2, 22, 3), torch.rand(4, 2, 22) < 0.9
    confidence = torch.rand(4, 2)
    at = list(COCO_H36M_22.indices(COCO_17.names))
    predicted = Scene(points[:, :, at] + 20, valid[:, :, at], confidence, COCO_17)
    plain = Scene(points[:, :, at], valid[:, :, at], confidence, COCO_17)
    assert evaluated_people(predicted, Scene(points, valid, confidence, COCO_H36M_22)) == evaluated_people(
        predicted, plain
    )


def test_perfect_predictions() -> None:
    _, truth = scenes(1)
    ours = evaluated_people(truth, truth)
    assert all(at.average_precision == pytest.approx(1) and at.recall == 1 for at in ours.at)
    assert ours.mpjpe_mm == 0 and ours.mean_average_precision == pytest.approx(1)
    parts = evaluated_parts(truth, truth)
    assert parts.average == 1 and {share for person in parts.by_person for share in person.values()} <= {1.0, None}


@pytest.mark.parametrize("offset_mm", [24.0, 26.0, 60.0, 149.0, 151.0])
def test_a_known_offset_passes_the_thresholds_above_it(offset_mm: float) -> None:
    _, truth = scenes(2)
    moved = Scene(
        truth.points_mm.double() + torch.tensor([0.0, offset_mm, 0]), truth.valid, truth.confidence, PANOPTIC_19
    )
    ours = evaluated_people(moved, truth)
    assert [at.average_precision > 0.5 for at in ours.at] == [mm > offset_mm for mm in THRESHOLDS_MM]
    assert ours.mpjpe_mm == pytest.approx(offset_mm, abs=1e-3)


def test_nobody_predicted_is_no_zero_error() -> None:
    _, truth = scenes(3)
    nobody = Scene(truth.points_mm, torch.zeros_like(truth.valid), truth.confidence, PANOPTIC_19)
    ours = evaluated_people(nobody, truth)
    assert ours.mpjpe_mm is None and all(at.average_precision == at.recall == 0 for at in ours.at)
    assert evaluated_parts(nobody, truth).average == 0


def test_the_order_of_people_does_not_matter() -> None:
    predicted, truth = scenes(4)
    ours = evaluated_people(predicted, truth)
    order = torch.tensor([2, 0, 3, 1])
    shuffled = Scene(
        predicted.points_mm[:, order], predicted.valid[:, order], predicted.confidence[:, order], PANOPTIC_19
    )
    turned = Scene(truth.points_mm.flip(1), truth.valid.flip(1), truth.confidence.flip(1), PANOPTIC_19)
    theirs = evaluated_people(shuffled, turned)
    assert [at.average_precision for at in ours.at] == pytest.approx([at.average_precision for at in theirs.at])
    assert ours.mpjpe_mm == pytest.approx(theirs.mpjpe_mm)


def test_a_person_found_twice_counts_once() -> None:
    _, truth = scenes(5)
    twice = Scene(
        truth.points_mm.repeat(1, 2, 1, 1), truth.valid.repeat(1, 2, 1), truth.confidence.repeat(1, 2), PANOPTIC_19
    )
    ours = evaluated_people(twice, truth)
    assert ours.predicted_people == 2 * ours.people and ours.at[0].recall == 1
    assert 0.5 < ours.at[0].average_precision < 1


@given(st.integers(0, 10**6), st.booleans(), st.floats(0.1, 1.0))
def test_parts_are_those_of_a_plain_loop(seed: int, strict: bool, alpha: float) -> None:
    predicted, truth = scenes(seed)
    ours = evaluated_parts(predicted, truth, alpha, strict)
    sides, bones = ("left", "right"), (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
    pairs = [(f"{side}_{a}", f"{side}_{b}") for side, (a, b) in itertools.product(sides, bones)]
    assert set(ours.by_part) == {"-".join(pair) for pair in pairs}
    for g in range(3):
        right: dict[tuple[str, str], list[bool]] = {pair: [] for pair in pairs}
        for f in range(7):
            distances = []
            for p in range(4):
                joints = [j for j in range(J) if truth.valid[f, g, j] and predicted.valid[f, p, j]]
                each = [
                    math.dist(predicted.points_mm[f, p, j].tolist(), truth.points_mm[f, g, j].tolist()) for j in joints
                ]
                distances.append(sum(each) / len(each) if each else math.inf)
            p = int(np.argmin(distances))
            for pair in pairs:
                a, b = (PANOPTIC_19.names.index(name) for name in pair)
                if not (truth.valid[f, g, a] and truth.valid[f, g, b]):
                    continue
                ends = [
                    math.dist(predicted.points_mm[f, p, j].tolist(), truth.points_mm[f, g, j].tolist())
                    if predicted.valid[f, p, j] and math.isfinite(distances[p])
                    else math.inf
                    for j in (a, b)
                ]
                length = math.dist(truth.points_mm[f, g, a].tolist(), truth.points_mm[f, g, b].tolist())
                right[pair].append((max(ends) if strict else sum(ends) / 2) <= alpha * length)
        for pair, answers in right.items():
            expected = pytest.approx(np.mean(answers)) if answers else None
            assert ours.by_person[g]["-".join(pair)] == expected


def test_what_does_not_fit_is_refused() -> None:
    predicted, truth = scenes(6)
    short = Scene(predicted.points_mm[:-1], predicted.valid[:-1], predicted.confidence[:-1], PANOPTIC_19)
    other = Scene(predicted.points_mm[:, :, :17], predicted.valid[:, :, :17], predicted.confidence, H36M_17)
    nothing = Scene(truth.points_mm, torch.zeros_like(truth.valid), truth.confidence, PANOPTIC_19)
    for evaluated in (evaluated_people, evaluated_parts):
        with pytest.raises(InputError, match="6 predicted instants for 7"):
            evaluated(short, truth)
        with pytest.raises(InputError, match="no person at any instant"):
            evaluated(predicted, nothing)
    with pytest.raises(InputError, match="joints of h36m17, the truth those of panoptic19"):
        evaluated_people(other, truth)
    tail = Skeleton("tails", tuple(f"tail {j}" for j in range(J)), (), "tail 0")
    with pytest.raises(InputError, match="share no limb"):
        evaluated_parts(Scene(predicted.points_mm, predicted.valid, predicted.confidence, tail), truth)


def test_parts_go_by_name() -> None:
    """The same people with their joints in another order, and some of another skeleton."""
    predicted, truth = scenes(7)
    ours = evaluated_parts(predicted, truth)
    order = torch.randperm(J)
    shuffled = skeleton_of([PANOPTIC_19.names[j] for j in order], "another order")
    points, valid = predicted.points_mm[:, :, order], predicted.valid[:, :, order]
    assert evaluated_parts(Scene(points, valid, predicted.confidence, shuffled), truth) == ours
    arms = [j for j, name in enumerate(PANOPTIC_19.names) if name.split("_")[-1] in ("shoulder", "elbow", "wrist")]
    half = skeleton_of([PANOPTIC_19.names[j] for j in arms], "arms")
    only = evaluated_parts(Scene(truth.points_mm[:, :, arms], truth.valid[:, :, arms], truth.confidence, half), truth)
    assert len(only.by_part) == 4 and only.average == 1
