"""Tables of scores against plain loops, and all the ways in which predictions do not fit their truth."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trivox.errors import InputError
from trivox.geometry.poses import Poses
from trivox.geometry.skeletons import COCO_17, COCO_H36M_22, H36M_17, MPII_16, PANOPTIC_19, Skeleton, skeleton_of
from trivox.metrics import AVERAGE, PROTOCOLS, Truth, evaluated, protocol_named, truth_of_poses
from trivox.metrics.evaluation import AUC_MM, PCK_MM
from trivox.metrics.joints import pa_mpjpe_mm

RELATIVE, ABSOLUTE = PROTOCOLS["human36m-relative"], PROTOCOLS["human36m-absolute"]
TRANSFER = PROTOCOLS["elbows-wrists-knees"]


def truth_of(seed: int, rows: int = 12, share: float = 0.9, skeleton: Skeleton = H36M_17) -> Truth:
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    valid = torch.rand(rows, len(skeleton)) < share
    valid[:, skeleton.indices([skeleton.names[0]])] = True
    subjects, actions = rng.choice(["S9", "S11"], rows), rng.choice(["Walking", "Sitting", "Eating"], rows)
    points = torch.randn(rows, len(skeleton), 3) * 300 + 500
    return Truth(points, valid, skeleton, subjects, actions, torch.from_numpy(rng.random(rows) < 0.3))


def noisy(truth: Truth, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed + 1)
    return truth.points_mm + torch.randn_like(truth.points_mm) * 60


def plain_error(points: torch.Tensor, truth: torch.Tensor, valid: torch.Tensor, origin: int | None) -> float:
    """Of one pose, a joint at a time."""
    if origin is not None and not valid[origin]:
        return math.nan
    p, t = points.double(), truth.double()
    shift = torch.zeros(3).double() if origin is None else p[origin] - t[origin]
    known = [j for j in range(len(valid)) if valid[j]]
    return sum(math.dist((p[j] - shift).tolist(), t[j].tolist()) for j in known) / len(known)


def test_joints_beyond_those_of_the_truth_do_not_count() -> None:
    """A model of 22 joints is scored by the paper's protocol of 17."""
    truth = truth_of(3)
    points = noisy(truth)
    at = list(COCO_H36M_22.indices(H36M_17.names))
    more = torch.full((len(points), len(COCO_H36M_22), 3), 1e6)
    more[:, at] = points
    scored = evaluated(more, truth, RELATIVE, skeleton=COCO_H36M_22)
    assert scored.scores == evaluated(points, truth, RELATIVE).scores
    with pytest.raises(InputError, match="the predictions have the joints of coco17, the truth those of h36m17"):
        evaluated(points, truth, RELATIVE, skeleton=COCO_17)


@given(st.integers(0, 10**6))
@settings(max_examples=8)  # 128 groups each
def test_tables_are_those_of_plain_loops(seed: int) -> None:
    truth = truth_of(seed)
    points = noisy(truth, seed)
    evaluation = evaluated(points, truth, RELATIVE)
    assert set(evaluation.scores) == {
        (s, a) for s in (AVERAGE, *RELATIVE.subjects) for a in (AVERAGE, *RELATIVE.actions)
    }
    pelvis = H36M_17.names.index("pelvis")
    for (subject, action), score in evaluation.scores.items():
        rows = [
            n
            for n in range(len(truth))
            if subject in (AVERAGE, truth.subjects[n]) and action in (AVERAGE, truth.actions[n])
        ]
        assert score.poses == len(rows)
        for field, origin in (("absolute_mm", None), ("relative_mm", pelvis)):
            errors = [plain_error(points[n], truth.points_mm[n], truth.valid[n], origin) for n in rows]
            errors = [error for error in errors if not math.isnan(error)]
            expected = pytest.approx(sum(errors) / len(errors)) if errors else None
            assert getattr(score, field) == expected
        aligned = pa_mpjpe_mm(points[rows], truth.points_mm[rows], truth.valid[rows])
        assert score.aligned_mm == (pytest.approx(float(aligned.nanmean())) if rows else None)
    assert evaluation.score_mm == evaluation.average.relative_mm


@given(st.integers(0, 10**6))
def test_joints_and_their_shares_are_those_of_plain_loops(seed: int) -> None:
    truth = truth_of(seed)
    points = noisy(truth, seed)
    evaluation = evaluated(points, truth, PROTOCOLS["absolute"])
    everything = []
    for j, name in enumerate(H36M_17.names):
        errors = [
            math.dist(points[n, j].tolist(), truth.points_mm[n, j].tolist())
            for n in range(len(truth))
            if truth.valid[n, j]
        ]
        everything += errors
        score = evaluation.by_joint[name]
        assert score.poses == len(errors)
        assert score.absolute_mm == (pytest.approx(np.mean(errors), rel=1e-5) if errors else None)
    shares = [np.mean([error <= mm for error in everything]) for mm in PCK_MM]
    assert evaluation.average.pck == pytest.approx(shares)
    shares = [np.mean([error <= mm for error in everything]) for mm in AUC_MM]
    assert evaluation.average.auc == pytest.approx(np.mean(shares))


def test_a_known_shift_is_the_absolute_error_and_no_other() -> None:
    truth = truth_of(1, share=1.0)
    evaluation = evaluated(truth.points_mm + torch.tensor([30.0, 0, 40]), truth, PROTOCOLS["absolute"])
    average = evaluation.average
    assert average.absolute_mm == pytest.approx(50, abs=1e-4)
    assert average.relative_mm == pytest.approx(0, abs=1e-4) and average.aligned_mm == pytest.approx(0, abs=1e-3)
    assert average.pck == (0, pytest.approx(average.pck[1]), 1, 1)
    perfect = evaluated(truth.points_mm, truth, PROTOCOLS["absolute"]).average
    assert perfect.absolute_mm == 0 and perfect.pck == (1, 1, 1, 1) and perfect.auc == 1 and perfect.pcp == 1


def test_damaged_rows_are_left_out_and_counted() -> None:
    truth = truth_of(2, rows=30, share=1.0)
    points = noisy(truth)
    points[truth.damaged] += 10_000
    without = evaluated(points, truth, ABSOLUTE)
    assert without.rows_left_out == {"damaged truth": int(truth.damaged.sum())}
    assert without.score_mm < 200 < evaluated(points, truth, replace(ABSOLUTE, without_damaged=False)).score_mm
    kept = ~truth.damaged
    subset = Truth(
        truth.points_mm[kept],
        truth.valid[kept],
        H36M_17,
        truth.subjects[kept.numpy()],
        truth.actions[kept.numpy()],
        truth.damaged[kept],
    )
    assert evaluated(points[kept], subset, ABSOLUTE).scores == without.scores


def test_joints_are_found_by_name_whatever_their_order() -> None:
    truth = truth_of(3, share=1.0)
    order = torch.randperm(17)
    other = skeleton_of([H36M_17.names[j] for j in order], "another order")
    points = noisy(truth)
    ours = evaluated(points[:, order], truth, RELATIVE, skeleton=other)
    assert ours.scores == evaluated(points, truth, RELATIVE).scores
    assert (ours.skeleton, ours.predicted_skeleton) == ("h36m17", "another order")


@pytest.mark.parametrize("source", [PANOPTIC_19, COCO_17], ids=lambda s: s.name)
def test_the_transfer_takes_elbows_wrists_and_knees_by_name(source: Skeleton) -> None:
    """Written out by hand: positions of right wrist, right elbow, left wrist, left elbow, right knee, left knee."""
    positions = {"panoptic19": [11, 10, 5, 4, 13, 7], "coco17": [10, 8, 9, 7, 14, 13]}[source.name]
    truth = truth_of(4, share=1.0)
    points = torch.full((12, len(source), 3), 9999.0)
    points[:, positions] = truth.points_mm[:, [10, 11, 15, 14, 1, 4]] + torch.tensor([0.0, 3, 4])
    evaluation = evaluated(points, truth, TRANSFER, skeleton=source)
    assert evaluation.score_mm == pytest.approx(5, abs=1e-3)
    assert evaluation.average.relative_mm == pytest.approx(0, abs=1e-3)
    assert evaluation.joints == TRANSFER.joints and evaluation.origin == "right_wrist"


def test_coco_has_its_pelvis_between_the_hips() -> None:
    truth = truth_of(5, share=1.0, skeleton=COCO_17)
    points = noisy(truth)
    hips = [11, 12]
    zero, true_zero = points[:, hips].mean(1, keepdim=True), truth.points_mm[:, hips].mean(1, keepdim=True)
    errors = ((points - zero) - (truth.points_mm - true_zero)).norm(dim=-1)
    assert evaluated(points, truth, PROTOCOLS["relative"]).score_mm == pytest.approx(float(errors.mean()), rel=1e-5)


@pytest.mark.parametrize("rows", [0, 1, 11, 13, 24])
def test_another_number_of_poses_is_refused(rows: int) -> None:
    truth = truth_of(6)
    with pytest.raises(InputError, match=f"{rows} predicted poses for 12 rows"):
        evaluated(torch.zeros(rows, 17, 3), truth, RELATIVE)


@pytest.mark.parametrize("joints", [0, 1, 16, 18, 19])
def test_another_number_of_joints_is_refused(joints: int) -> None:
    with pytest.raises(InputError, match=f"{joints} joints, the skeleton h36m17 has 17"):
        evaluated(torch.zeros(12, joints, 3), truth_of(6), RELATIVE)


@pytest.mark.parametrize("skeleton", [COCO_17, MPII_16, PANOPTIC_19], ids=lambda s: s.name)
def test_another_skeleton_is_refused(skeleton: Skeleton) -> None:
    """COCO's and Human3.6M's 17 joints are not compared because there are 17 of each."""
    points = torch.zeros(12, len(skeleton), 3)
    with pytest.raises(InputError, match=f"joints of {skeleton.name}, the truth those of h36m17"):
        evaluated(points, truth_of(6), RELATIVE, skeleton=skeleton)


def test_joints_that_are_only_near_are_refused() -> None:
    """No head of Panoptic's is Human3.6M's, and a middle of shoulders is no neck."""
    protocol = replace(TRANSFER, name="necks", joints=("neck", "left_knee"))
    with pytest.raises(InputError, match="coco17 lacks neck, which necks needs"):
        evaluated(torch.zeros(12, 17, 3), truth_of(6), protocol, skeleton=COCO_17)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_missing_joints_are_refused_or_counted(value: float) -> None:
    truth = truth_of(7, share=1.0)
    points = noisy(truth)
    points[3, 5, 1] = value
    with pytest.raises(InputError, match="1 of 204 joints with known truth are missing"):
        evaluated(points, truth, RELATIVE)
    absolute = PROTOCOLS["absolute"]
    skipped = evaluated(points, truth, absolute, missing="skip")
    assert skipped.joints_missing == 1 and skipped.by_joint["left_ankle"].poses == 11
    whole = evaluated(noisy(truth), truth, absolute)
    hit = (noisy(truth)[3, 5] - truth.points_mm[3, 5]).norm() <= PCK_MM[-1]
    share, before = skipped.average.pck[-1], whole.average.pck[-1]
    assert share is not None and before is not None and share == pytest.approx(before - float(hit) / 204)
    found = torch.ones(12, 17, dtype=torch.bool)
    found[3, 5] = False
    assert evaluated(noisy(truth), truth, absolute, found=found, missing="skip").scores == skipped.scores


def test_a_joint_without_truth_may_be_missing() -> None:
    truth = truth_of(8, share=0.5)
    points = torch.where(truth.valid[..., None], noisy(truth), torch.nan)
    assert evaluated(points, truth, PROTOCOLS["absolute"]).joints_missing == 0


def test_no_truth_is_no_zero() -> None:
    truth = truth_of(9)
    nothing = replace(truth, valid=torch.zeros_like(truth.valid))
    with pytest.raises(InputError, match="none of 12 rows has a truth"):
        evaluated(noisy(truth), nothing, RELATIVE)
    with pytest.raises(InputError, match="none of 12 rows has a truth that counts by human36m-absolute"):
        evaluated(noisy(truth), replace(truth, damaged=torch.ones(12, dtype=torch.bool)), ABSOLUTE)


def test_rows_without_pelvis_have_no_relative_error() -> None:
    truth = truth_of(10, share=1.0)
    valid = truth.valid.clone()
    valid[:, H36M_17.names.index("pelvis")] = False
    evaluation = evaluated(noisy(truth), replace(truth, valid=valid), RELATIVE)
    assert evaluation.rows_without_origin == 12 and evaluation.average.relative_mm is None
    with pytest.raises(InputError, match="no pose could be scored by human36m-relative"):
        _ = evaluation.score_mm
    valid[5] = True
    one = evaluated(noisy(truth), replace(truth, valid=valid), RELATIVE)
    pelvis = H36M_17.names.index("pelvis")
    assert one.score_mm == pytest.approx(plain_error(noisy(truth)[5], truth.points_mm[5], valid[5], pelvis))


def test_poses_of_several_people_are_no_truth_of_one() -> None:
    points = torch.zeros(3, 2, 17, 3)
    seen = torch.ones(3, 2, 17, dtype=torch.bool)
    poses = Poses(points, seen, seen.double(), torch.arange(3), H36M_17, 25.0)
    with pytest.raises(InputError, match="2 people.*protocol `people`"):
        truth_of_poses(poses)


def test_a_wrong_name_lists_the_right_ones() -> None:
    with pytest.raises(InputError, match="human36m-absolute, human36m-relative, panoptic-absolute"):
        protocol_named("mpjpe")
