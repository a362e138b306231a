"""Label files of the published system: written, read back, and read with suspicion."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tables import human36m_labels, panoptic_labels

from trivox.data.human36m import read_human36m_npy, recording_of, write_human36m_npy
from trivox.data.labels import Labels
from trivox.data.panoptic import read_panoptic_npy, write_panoptic_npy
from trivox.data.panoptic import recording_of as sequence_of
from trivox.errors import InputError
from trivox.files.npy import pickled_for_every_numpy, write_npy_object
from trivox.geometry.skeletons import PANOPTIC_19

Write = Callable[[Labels, Path], None]
Read = Callable[[Path, Path], Labels]
BOTH = [
    pytest.param(panoptic_labels, write_panoptic_npy, read_panoptic_npy, id="panoptic"),
    pytest.param(human36m_labels, write_human36m_npy, read_human36m_npy, id="human36m"),
]


@pytest.mark.parametrize(("made", "write", "read"), BOTH)
def test_a_table_comes_back(tmp_path: Path, made: Callable[[], Labels], write: Write, read: Read) -> None:
    labels = made()
    write(labels, tmp_path / "labels.npy")
    again = read(tmp_path / "labels.npy", labels.pictures.root)
    assert again.recordings == labels.recordings and again.camera_names == labels.camera_names
    for name in ("recording", "frames", "people", "valid", "boxes_px", "present"):
        assert np.array_equal(getattr(again, name), getattr(labels, name)), name
    np.testing.assert_allclose(again.points_mm, labels.points_mm, rtol=1e-6)
    np.testing.assert_allclose(again.confidence, labels.confidence, rtol=1e-6)
    there = torch.from_numpy(labels.has_camera)
    for name in ("K", "R", "t_mm", "distortion"):
        ours, theirs = getattr(again.cameras, name)[there], getattr(labels.cameras, name)[there]
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    assert again.cameras.distortion_model == labels.cameras.distortion_model
    assert again.up is not None and labels.up is not None and torch.equal(again.up, labels.up)


def test_both_generations_of_numpy_can_read_what_is_written() -> None:
    """NumPy's own unpickler takes it, and no name in it is one that only NumPy 2 has."""
    content = {"a": np.arange(6.0).reshape(2, 3), "text": "numpy._core.multiarray", "n": np.float32(2)}
    pickled = pickled_for_every_numpy(np.array(content, dtype=object))
    assert pickled.count(b"numpy._core") == 1  # the text
    again = pickle.loads(pickled).item()
    assert np.array_equal(again["a"], content["a"]) and again["text"] == content["text"]


def damaged(content: dict[str, Any], how: str) -> dict[str, Any]:
    table = content["table"].copy()
    content = content | {"table": table}
    match how:
        case "no table":
            del content["table"]
        case "a table of numbers":
            content["table"] = np.zeros(3)
        case "joints of another skeleton":
            content["table"] = np.zeros(3, [("keypoints", "f4", (16, 4)), ("action_idx", "i1")])
        case "an index beyond the names":
            table["action_idx"][0] = 100
        case "an index below 0":
            table["action_idx"][0] = -1
        case "a point at infinity":
            table["keypoints"][0, 0, 0] = np.inf
        case "a point beyond all measure":
            table["keypoints"][0, 0, 0] = 3e38
        case "a camera that is no number":
            content["cameras"] = content["cameras"].copy()
            content["cameras"]["K"][0, 0, 0, 0] = np.nan
        case "cameras of another shape":
            content["cameras"] = content["cameras"][:, :1]
        case "names that repeat":
            content["camera_names"] = ["a", "a", "b"]
        case "names that are numbers":
            content["camera_names"] = [1, 2, 3]
    return content


@pytest.mark.parametrize(
    "how",
    ["no table", "a table of numbers", "joints of another skeleton", "an index beyond the names", "an index below 0"]
    + [
        "a point at infinity",
        "a point beyond all measure",
        "a camera that is no number",
        "cameras of another shape",
        "names that repeat",
    ]
    + ["names that are numbers"],
)
@pytest.mark.parametrize(("made", "write", "read"), BOTH)
def test_a_damaged_table_is_refused(
    tmp_path: Path, made: Callable[[], Labels], write: Write, read: Read, how: str
) -> None:
    path = tmp_path / "labels.npy"
    write(made(), path)
    content = np.load(path, allow_pickle=True).item()
    write_npy_object(path, damaged(content, how))
    with pytest.raises(InputError, match=r"labels\.npy"):
        read(path, tmp_path)


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("this must never run",))


@pytest.mark.parametrize("read", [read_panoptic_npy, read_human36m_npy])
def test_a_hostile_table_runs_nothing(tmp_path: Path, read: Read, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "labels.npy", np.array({"table": Hostile()}, dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"labels\.npy"):
        read(tmp_path / "labels.npy", tmp_path)
    np.save(tmp_path / "list.npy", np.arange(3))
    with pytest.raises(InputError, match="no dictionary"):
        read(tmp_path / "list.npy", tmp_path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda labels: labels.converted(PANOPTIC_19), "skeleton"),
        (lambda labels: replace(labels, cameras=replace(labels.cameras, distortion_model="opencv")), "lens"),
        (lambda labels: replace(labels, valid=np.zeros_like(labels.valid)), "joints are missing"),
        (lambda labels: replace(labels, people=labels.people + 1), "several people"),
        (lambda labels: replace(labels, recordings=(sequence_of("a"), sequence_of("b"))), "trial"),
        (
            lambda labels: replace(
                labels, recordings=(recording_of("S1", "Walking-1"), recording_of("S1", "Eating-1"))
            ),
            "cameras of S1 differ",
        ),
    ],
)
def test_what_a_human36m_file_cannot_say_is_refused(
    tmp_path: Path, change: Callable[[Labels], Labels], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        write_human36m_npy(change(human36m_labels()), tmp_path / "labels.npy")
    assert not (tmp_path / "labels.npy").exists()


def test_the_protocol_knows_its_parts_and_the_damaged_recordings() -> None:
    assert recording_of("S9", "Greeting-2").damaged and not recording_of("S11", "Greeting-2").damaged
    assert recording_of("S9", "Greeting-2").part == "test" and recording_of("S8", "Greeting-2").part == "train"
    assert recording_of("S5", "WalkingDog-1").action == "WalkingDog"
    assert sequence_of("171204_pose6").part == "test" and sequence_of("160422_haggling1").part == ""
