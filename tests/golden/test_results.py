"""results.pkl and metric.json against the published system (`golden/results`)."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from golden.cases import Case, read_json
from golden.collected import GOLDEN, each_case
from golden.test_scores import human36m_protocol, human36m_truth, limit_mm, score_cases

from trivox.evaluation_report import metric_tables
from trivox.files.reference_results import (
    load_metric_json,
    load_reference_results,
    save_metric_json,
    save_reference_results,
)
from trivox.metrics import evaluated

RESULTS = GOLDEN / "results"


def result_files() -> dict[str, Case]:
    return {path.stem: {"path": path} for path in sorted(RESULTS.glob("*.pkl"))}


def plain() -> dict[str, np.ndarray]:
    with np.load(RESULTS / "results_plain.npz", allow_pickle=False) as arrays:
        return dict(arrays)


@each_case(result_files())
def test_results_are_read_as_they_are(case: Case) -> None:
    expected, results = plain(), load_reference_results(case["path"])
    prefix = "shuffled_" if "shuffled" in case["path"].stem else ""
    np.testing.assert_array_equal(results.points_mm, expected[f"{prefix}keypoints_3d"])
    np.testing.assert_array_equal(results.indexes, expected[f"{prefix}indexes"])
    assert results.indexes.dtype == np.int64


@each_case(result_files())
def test_in_order_they_are_the_centres_of_a_later_run(case: Case) -> None:
    """Cases are named by file and stride: every n-th row, after rows have been put in order."""
    with np.load(RESULTS / "pred_results_expected.npz", allow_pickle=False) as arrays:
        expected = {name.rpartition(".")[0]: arrays[name] for name in arrays.files if name.endswith("keypoints_3d")}
    assert expected
    for name, points in expected.items():
        source = "results_shuffled" if name.startswith("shuffled") else "results"
        if case["path"].stem == source:
            stride = int(name.rpartition("_")[2])
            np.testing.assert_array_equal(load_reference_results(case["path"]).in_order()[::stride], points)


@each_case(result_files())
def test_results_are_written_as_the_stock_unpickler_reads_them(case: Case, tmp_path: Path) -> None:
    ours = load_reference_results(case["path"])
    save_reference_results(ours.in_order(), tmp_path / "results.pkl")
    written = pickle.loads((tmp_path / "results.pkl").read_bytes())
    original = pickle.loads((RESULTS / "results.pkl").read_bytes())
    assert type(written) is type(original) and written.default_factory is list and written.keys() == original.keys()
    for key, array in original.items():
        assert written[key].dtype == array.dtype
        np.testing.assert_array_equal(written[key], array)


@each_case({"metric": {"path": RESULTS / "metric.json"}} if RESULTS.is_dir() else {})
def test_metric_json_is_that_of_the_results(case: Case, tmp_path: Path) -> None:
    """Rows of the case that the README names: the same layout to the letter, the same numbers within tolerance."""
    described = next(c for c in score_cases("human36m").values() if c["metrics"].keys() and is_of(c))
    truth, (protocol, _) = human36m_truth(described["options"]), human36m_protocol(described["evaluate_options"])
    points = torch.from_numpy(load_reference_results(RESULTS / "results.pkl").points_mm)
    save_metric_json(metric_tables(evaluated(points, truth, protocol)), tmp_path / "metric.json")
    ours, theirs = (path.read_text().splitlines() for path in (tmp_path / "metric.json", case["path"]))
    assert len(ours) == len(theirs)
    for mine, its in zip(ours, theirs, strict=True):
        name, _, value = mine.partition(": ")
        its_name, _, its_value = its.partition(": ")
        assert name == its_name
        if value.strip(",") not in ("NaN", "{", ""):
            assert float(value.strip(",")) == pytest.approx(float(its_value.strip(",")), abs=limit_mm(), rel=0)
        else:
            assert value == its_value
    assert load_metric_json(tmp_path / "metric.json").keys() == load_metric_json(case["path"]).keys()


def is_of(case: Case) -> bool:
    """Whether metric.json has the scores of this case."""
    ours, theirs = (
        json.dumps(case["metrics"], sort_keys=True),
        json.dumps(read_json(RESULTS / "metric.json"), sort_keys=True),
    )
    return ours == theirs


@each_case({"metric": {"path": RESULTS / "metric.json"}} if RESULTS.is_dir() else {})
def test_metric_json_is_read(case: Case) -> None:
    theirs = read_json(case["path"])
    for name, table in load_metric_json(case["path"]).items():
        for subject, row in table.items():
            for action, value in row.items():
                assert theirs[name][subject][action] == value or (
                    value is None and math.isnan(theirs[name][subject][action])
                )
