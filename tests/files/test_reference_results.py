"""results.pkl and metric.json: what was written is read, and files of other content are refused in a sentence."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trivox.errors import InputError
from trivox.files.reference_results import (
    load_metric_json,
    load_reference_results,
    save_metric_json,
    save_reference_results,
)

points = hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 20), st.just(3)))


@given(points)
def test_results_come_back(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("results") / "results.pkl"
    save_reference_results(array, path)
    results = load_reference_results(path)
    np.testing.assert_array_equal(results.points_mm, array)
    np.testing.assert_array_equal(results.in_order(), array)


@given(points, st.randoms(), st.sampled_from([">f4", "<f4", ">f8", "<f2"]), st.sampled_from([">i4", "<u2", "<i8"]))
def test_any_order_and_any_number_type(
    tmp_path_factory: pytest.TempPathFactory, array: np.ndarray, random: Any, floats: str, integers: str
) -> None:
    path = tmp_path_factory.mktemp("results") / "results.pkl"
    order = list(range(len(array)))
    random.shuffle(order)
    with np.errstate(all="ignore"):
        kept = array.astype(floats)
    path.write_bytes(pickle.dumps({"keypoints_3d": kept[order], "indexes": np.array(order, integers), "more": [1]}))
    results = load_reference_results(path)
    np.testing.assert_array_equal(results.in_order(), kept)
    assert results.points_mm.dtype.isnative and results.indexes.dtype == np.int64


GOOD = {"keypoints_3d": np.zeros((3, 17, 3), np.float32), "indexes": np.arange(3)}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([GOOD], "no arrays keypoints_3d and indexes"),
        ({"keypoints_3d": GOOD["keypoints_3d"]}, "no arrays keypoints_3d and indexes"),
        (GOOD | {"keypoints_3d": [[0.0]]}, "no arrays keypoints_3d and indexes"),
        (GOOD | {"keypoints_3d": np.zeros((3, 17, 4))}, "expected floats"),
        (GOOD | {"keypoints_3d": np.zeros((3, 51))}, "expected floats"),
        (GOOD | {"keypoints_3d": np.zeros((3, 17, 3), int)}, "expected floats"),
        ({"keypoints_3d": np.zeros((0, 17, 3)), "indexes": np.arange(0)}, "expected floats"),
        (GOOD | {"indexes": np.arange(2)}, "every number from 0 to 2 once"),
        (GOOD | {"indexes": np.arange(1, 4)}, "every number from 0 to 2 once"),
        (GOOD | {"indexes": np.array([0, 1, 1])}, "every number from 0 to 2 once"),
        (GOOD | {"indexes": np.array([0.0, 1, 2])}, "every number from 0 to 2 once"),
        (GOOD | {"joints": ["nose"] * 17}, "17 different names"),
        (GOOD | {"joints": [f"joint {j}" for j in range(16)]}, "17 different names"),
        (GOOD | {"joints": list(range(17))}, "17 different names"),
        (GOOD | {"indexes": np.arange(3)[None]}, "every number from 0 to 2 once"),
    ],
)
def test_other_content_is_refused(tmp_path: Path, content: Any, said: str) -> None:
    (tmp_path / "results.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match=said):
        load_reference_results(tmp_path / "results.pkl")


def test_tables_come_back(tmp_path: Path) -> None:
    tables = {"per_pose_error": {"Average": {"Average": 1.5, "Walking": None}}, "per_pose_error_relative": {"S9": {}}}
    save_metric_json(tables, tmp_path / "metric.json")
    assert load_metric_json(tmp_path / "metric.json") == tables
    assert '"Walking": NaN' in (tmp_path / "metric.json").read_text()


@pytest.mark.parametrize(
    "content",
    [[], {}, {"mpjpe": {}}, {"per_pose_error": 3.0}, {"per_pose_error": {"S9": 3}}]
    + [{"per_pose_error": {"S9": {"Walking": "3"}}}, {"per_pose_error": {"S9": {"Walking": None}}}],
)
def test_other_json_is_refused(tmp_path: Path, content: Any) -> None:
    (tmp_path / "metric.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="no tables per_pose_error or per_pose_error_relative"):
        load_metric_json(tmp_path / "metric.json")


def test_the_real_metric_json_is_read(data: Path) -> None:
    path = data / "learnable_triangulation_formats" / "results_metric.json"
    if not path.is_file():
        pytest.skip(f"no scores of the published system at {path}")
    tables = load_metric_json(path)
    assert tables["per_pose_error"]["S1"]["Average"] is None
    assert 20 < (tables["per_pose_error"]["Average"]["Average"] or 0) < 30
