"""Scores against the published system (`golden/datasets`): tables over subjects and actions, and joint sets."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden.cases import Case, read_json
from golden.collected import GOLDEN, each_case

from trivox.geometry.skeletons import COCO_17, H36M_17, MPII_16, PANOPTIC_19, Skeleton
from trivox.metrics import AVERAGE, PROTOCOLS, Protocol, Truth, evaluated

TRAINED_ON = {"S1", "S5", "S6", "S7", "S8"}
DAMAGED = {("S9", "Greeting-2"), ("S9", "SittingDown-2"), ("S9", "Waiting-1")}

# The first sixteen joints, cut off as the published code did, are a skeleton of that name.
SKELETONS = {"mpii": MPII_16, "human36m": H36M_17}


def score_cases(dataset: str) -> dict[str, Case]:
    path = GOLDEN / "datasets" / f"{dataset}_evaluate.json"
    return {name: case | {"case": name} for name, case in read_json(path).items()} if path.is_file() else {}


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def limit_mm() -> float:
    return read_json(GOLDEN / "tolerances.json")["scores_mm"]["atol"]


def check_table(ours: dict[str, dict[str, float | None]], theirs: dict[str, dict[str, float]]) -> None:
    """Entry by entry; no frame is None here and NaN there."""
    assert ours.keys() == theirs.keys()
    for subject, row in theirs.items():
        assert ours[subject].keys() == row.keys()
        for action, value in row.items():
            mine = ours[subject][action]
            assert (mine is None) == math.isnan(value), (subject, action)
            assert mine is None or mine == pytest.approx(value, abs=limit_mm(), rel=0), (subject, action)


def human36m_truth(options: dict[str, Any]) -> Truth:
    """The rows that the published loader would give, chosen here row by row."""
    labels = arrays_of(GOLDEN / "datasets" / "human36m_labels_plain.npz")
    subjects = labels["subject_names"][labels["table_subject_idx"]]
    trials = labels["action_names"][labels["table_action_idx"]]
    train = [i for i, subject in enumerate(subjects) if subject in TRAINED_ON]
    test = [i for i, subject in enumerate(subjects) if subject not in TRAINED_ON]
    if not options.get("with_damaged_actions"):
        test = [i for i in test if (subjects[i], trials[i]) not in DAMAGED]
    test = test[:: options.get("retain_every_n_frames_in_test", 1)]
    rows = (train if options.get("train") else []) + (test if options.get("test") else [])
    skeleton = SKELETONS[options["kind"]]
    points = torch.from_numpy(labels["table_keypoints"][rows, : len(skeleton)])
    actions = np.array([trial.rsplit("-", 1)[0] for trial in trials[rows]])
    damaged = torch.tensor([(subjects[i], trials[i]) in DAMAGED for i in rows])
    return Truth(points, torch.ones(points.shape[:2], dtype=torch.bool), skeleton, subjects[rows], actions, damaged)


def human36m_protocol(options: dict[str, Any]) -> tuple[Protocol, Skeleton | None]:
    """The protocol and the skeleton of the predictions (None: that of the truth)."""
    published = PROTOCOLS["human36m-relative"]
    transfers = {"transfer_cmu_to_human36m": COCO_17, "transfer_human36m_to_human36m": None}
    for transfer, skeleton in transfers.items():
        if options.get(transfer):
            names = {"subjects": published.subjects, "actions": published.actions, "measure": "relative"}
            return replace(PROTOCOLS["elbows-wrists-knees"], **names), skeleton
    assert not any(options.values()), f"no such option of evaluation is known: {options}"
    return published, None


@each_case(score_cases("human36m"))
def test_human36m_scores(case: Case) -> None:
    predictions = arrays_of(GOLDEN / "datasets" / "human36m_evaluate.npz")[f"{case['case']}.predictions"]
    protocol, skeleton = human36m_protocol(case["evaluate_options"])
    evaluation = evaluated(torch.from_numpy(predictions), human36m_truth(case["options"]), protocol, skeleton=skeleton)
    fields = {"per_pose_error": "absolute_mm", "per_pose_error_relative": "relative_mm"}
    assert fields.keys() == case["metrics"].keys()
    for name, field in fields.items():
        table: dict[str, dict[str, float | None]] = {}
        for (subject, action), score in evaluation.scores.items():
            table.setdefault(subject, {})[action] = getattr(score, field)
        check_table(table, case["metrics"][name])
    assert evaluation.score_mm == pytest.approx(case["scalar"], abs=limit_mm(), rel=0)


PANOPTIC_SCORES: dict[str, tuple[str, str, str | None, bool, Skeleton]] = {
    # predictions, field, origin, only joints of positive confidence, skeleton of the predictions
    "per_pose_error": ("predictions", "absolute_mm", None, False, PANOPTIC_19),
    "per_pose_error_relative_to_body_centre": ("predictions", "relative_mm", "pelvis", False, PANOPTIC_19),
    "per_pose_error_relative_to_neck": ("predictions", "relative_mm", "neck", False, PANOPTIC_19),
    "per_pose_error_confident_joints": ("predictions", "absolute_mm", None, True, PANOPTIC_19),
    "per_pose_error_relative_to_body_centre_confident_joints": (
        *("predictions", "relative_mm", "pelvis", True, PANOPTIC_19),
    ),
    "six_joints_from_human36m_17": ("predictions_h36m17", "absolute_mm", None, False, H36M_17),
    "six_joints_from_coco_17": ("predictions_coco17", "absolute_mm", None, False, COCO_17),
}


@pytest.mark.parametrize("name", PANOPTIC_SCORES)
@each_case(score_cases("panoptic"))
def test_panoptic_scores(name: str, case: Case) -> None:
    """Scores are in centimetres there, and linear in the unit. All of the case's scores are known here."""
    assert case["metrics"].keys() == PANOPTIC_SCORES.keys()
    which, field, origin, confident, skeleton = PANOPTIC_SCORES[name]
    arrays = arrays_of(GOLDEN / "datasets" / "panoptic_evaluate.npz")
    labels = arrays_of(GOLDEN / "datasets" / "panoptic_labels_plain.npz")
    rows = arrays[f"{case['case']}.table_row"]
    points, confidence = np.split(labels["table_keypoints"][rows], [3], axis=-1)
    sequences = labels["action_names"][labels["table_action_idx"][rows]]
    valid = torch.from_numpy(confidence[..., 0] > 0)
    truth = Truth(
        torch.from_numpy(points),
        valid if confident else torch.ones_like(valid),
        PANOPTIC_19,
        np.full(len(rows), ""),
        sequences,
        torch.zeros(len(rows), dtype=torch.bool),
    )
    base = PROTOCOLS["panoptic-absolute" if skeleton == PANOPTIC_19 else "elbows-wrists-knees"]
    protocol = replace(base, actions=tuple(labels["action_names"].tolist()), origin=origin or base.origin)
    predictions = torch.from_numpy(arrays[f"{case['case']}.{which}"])
    evaluation = evaluated(predictions, truth, protocol, skeleton=skeleton)
    table = {AVERAGE: {action: getattr(score, field) for (_, action), score in evaluation.scores.items()}}
    check_table(table, case["metrics"][name])
