"""A folder of OpenCV's files, one a camera, and what else lies there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from rigs import ring  # pyright: ignore[reportMissingImports]

from trivox.errors import InputError
from trivox.files.calibrations import load_rig, save_rig
from trivox.geometry.rig import Rig

NAMES = ("cam_0", "cam_1", "cam_2", "cam_3")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A file for each camera."""
    path = tmp_path / "calibration"
    path.mkdir()
    for name in NAMES:
        save_rig(Rig(NAMES, ring(4)).selected([name]), path / f"{name}.yml")
        text = (path / f"{name}.yml").read_text()
        camera = text[text.index("name:") :].replace("\n      ", "\n")
        (path / f"{name}.yml").write_text(f"%YAML:1.0\n---\n{camera}")
    return path


def assert_all_four(folder: Path, *notes: str) -> None:
    rig = load_rig(folder, units="mm")
    assert rig.names == NAMES and rig.notes == tuple(f"{folder}: skipped {note}" for note in notes)
    torch.testing.assert_close(rig.cameras.t_mm, ring(4).t_mm, rtol=0, atol=1e-6)


def test_a_folder_of_a_file_for_each_camera(folder: Path):
    assert_all_four(folder)


def test_hidden_files_and_folders_beside_the_cameras(folder: Path):
    for name in NAMES:
        (folder / f"._{name}.yml").write_bytes(bytes(range(256)))
    (folder / ".DS_Store").write_bytes(b"\0\1Bud1")
    (folder / "x.json").mkdir()
    (folder / "skipped.json").write_text("[]")
    (folder / "old.yml").mkdir()
    assert_all_four(folder, "._cam_0.yml, ._cam_1.yml, ._cam_2.yml and 1 more (hidden)", "old.yml (a folder)")


@pytest.mark.parametrize("content", ["[]", "just words", "[1, 2", "<settings a='1'/>", "\x00\x01"])
def test_other_files_beside_the_cameras(folder: Path, content: str):
    (folder / "skipped.yml").write_text(content)
    assert_all_four(folder, "skipped.yml (no OpenCV file of a camera)")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("cam_4.yml", "[]", "not an OpenCV file"),
        ("cam_4.yml", "%YAML:1.0\n---\ncamera_matrix: [1, 2", "not readable as OpenCV YAML"),
        ("cam_10.xml", "<settings/>", "not an OpenCV file"),
        ("left.yml", "", "is empty"),
        ("left.yml", "%YAML:1.0\n---\ncamera_matrix: [1, 2", "not readable as OpenCV YAML"),
        ("left.xml", "<?xml version='1.0'?><opencv_storage><R", "not readable as XML"),
    ],
)
def test_broken_files_of_cameras_are_refused_by_name(folder: Path, name: str, content: str, sentence: str):
    (folder / name).write_text(content)
    with pytest.raises(InputError, match=f"{name}.*{sentence}"):
        load_rig(folder, units="mm")


def test_files_without_intrinsics_beside_the_cameras(folder: Path):
    (folder / "board.yml").write_text("%YAML:1.0\n---\nrows: 5\n")
    rig = load_rig(folder, units="mm")
    assert rig.names == NAMES
    assert rig.notes == ("camera board of calibration has no intrinsics, and is left out",)
