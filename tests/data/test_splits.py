"""Parts of a dataset: the protocol's, or those of a file that splits frames; no frame in two of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import small_labels

from trivox.data.labels import Labels
from trivox.data.splits import FrameRange, read_split, rows_of_parts
from trivox.errors import InputError


def written(folder: Path, text: str) -> Path:
    path = folder / "split.yaml"
    path.write_text(text)
    return path


def test_a_split_names_whole_recordings_and_half_open_ranges(tmp_path: Path) -> None:
    path = written(tmp_path, "train:\n  - walk: [[0, 2], [3, 4]]\nval:\n  - walk:\n    - [2, 3]\n  - sit\n")
    labels = small_labels()
    split = read_split(path)
    train = rows_of_parts(labels, ["train"], split=split)
    test = rows_of_parts(labels, ["test"], split=split)
    assert labels.frames[train].tolist() == [0, 0, 1, 1, 3, 3]
    assert labels.frames[test].tolist() == [2, 2, 40000, 40001, 40002, 40003]
    both = rows_of_parts(labels, ["test", "train"], split=split)
    assert both.tolist() == [*train.tolist(), *test.tolist()]


def test_parts_may_be_mappings_and_test_may_be_called_test(tmp_path: Path) -> None:
    split = read_split(written(tmp_path, "train: {walk: [[0, 3]]}\ntest: [sit]\n"))
    assert split[0] == FrameRange("train", "walk", 0, 3) and split[1].recording == "sit"
    assert split[1].part == "test" and split[1].start == 0 and split[1].stop > 10**15


@given(st.data())
def test_rows_are_those_whose_own_frame_lies_in_a_range_of_their_own_recording(data: st.DataObject) -> None:
    """Row by row, against a plain loop: ranges of one recording select nothing of another."""
    labels = small_labels()
    number = st.integers(0, 6)
    ranges = [
        FrameRange("train", data.draw(st.sampled_from(["walk", "sit"])), start, start + data.draw(st.integers(1, 4)))
        for start in data.draw(st.lists(number | st.integers(39998, 40004), min_size=1, max_size=4))
    ]
    expected = [
        i
        for i in range(len(labels))
        if any(
            labels.recordings[labels.recording[i]].name == r.recording and r.start <= labels.frames[i] < r.stop
            for r in ranges
        )
    ]
    if not expected:
        with pytest.raises(InputError, match="no frame"):
            rows_of_parts(labels, ["train"], split=ranges)
    else:
        assert rows_of_parts(labels, ["train"], split=ranges).tolist() == expected


def damaged_labels() -> Labels:
    labels = small_labels()
    walk, sit = labels.recordings
    return replace(labels, recordings=(replace(walk, part="test", damaged=True), sit))


def test_damaged_recordings_leave_the_test_before_its_stride_counts() -> None:
    labels = damaged_labels()
    kept = rows_of_parts(labels, ["test"], retain_every_n_frames_in_test=3)
    assert labels.frames[kept].tolist() == [40000, 40003]
    everything = rows_of_parts(labels, ["test"], with_damaged_actions=True, retain_every_n_frames_in_test=3)
    assert everything.tolist() == [0, 3, 6, 9]


def test_damaged_recordings_and_strides_do_not_concern_training() -> None:
    labels = small_labels()
    walk, sit = labels.recordings
    labels = replace(labels, recordings=(replace(walk, damaged=True), sit))
    assert len(rows_of_parts(labels, ["train"], retain_every_n_frames_in_test=5)) == 8


def test_a_part_without_rows_is_said() -> None:
    labels = small_labels()
    nowhere = replace(labels, recordings=tuple(replace(r, part="") for r in labels.recordings))
    with pytest.raises(InputError, match="no recording of small .*walk, sit.*splits frames"):
        rows_of_parts(nowhere, ["train"])
    with pytest.raises(InputError, match="testing part of the split"):
        rows_of_parts(labels, ["test"], split=[FrameRange("train", "walk", 0, 9)])


@pytest.mark.parametrize(
    "text",
    ["train:\n- a: [[0, 10]]\nval:\n- a: [[9, 12]]", "train: [a]\ntest: [{a: [[5, 6]]}]"]
    + ["train:\n- a: [[0, 100]]\n- a: [[10, 20]]\nval:\n- a: [[50, 60]]"],
)
def test_ranges_that_overlap_would_leak(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="both training and test"):
        read_split(written(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "training: [a]", "train: 3", "train:\n- a: 5", "train:\n- a: [[5, 5]]", "train:\n- a: [[-1, 5]]"]
    + ["train:\n- a: [[1, 2, 3]]", "train:\n- a: [[1.5, 2]]", "train:\n- a: [[x, y]]", "train: [", "\t"]
    + ["train: &a [x]\ntest: *a", "!!python/object/apply:os.system ['true']", "train:\n- a: [[true, 3]]"],
)
def test_a_malformed_split_is_one_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"split\.yaml"):
        read_split(written(tmp_path, text))


def test_real_splits_of_the_published_system_are_read(data: Path) -> None:
    folder = data / "learnable_triangulation_formats"
    for path in sorted(folder.glob("*frames.yaml")):
        ranges = read_split(path)
        assert {r.part for r in ranges} == {"train", "test"} and all(r.start < r.stop for r in ranges)
        assert any(r.stop > np.iinfo(np.int16).max for r in ranges) or path.name.startswith("example")


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.yaml"):
        read_split(tmp_path / "nothing.yaml")
