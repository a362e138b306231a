"""The same files are the same work wherever they lie and whenever they were copied; other content is not."""

import os
import shutil
from pathlib import Path

import pytest

from trivox.base.identity import identity, is_same_work


def test_moved_copied_and_touched_files_are_the_same(tmp_path: Path) -> None:
    video = tmp_path / "cam1.mp4"
    video.write_bytes(bytes(range(256)) * 2000)
    before = identity(video)
    moved = tmp_path / "elsewhere" / "cam1.mp4"
    moved.parent.mkdir()
    shutil.copyfile(video, moved)
    os.utime(moved, (1, 1))
    assert before["path"] != identity(moved)["path"]
    assert is_same_work({"videos": {"cam1": before}}, {"videos": {"cam1": identity(moved)}})


@pytest.mark.parametrize("at", [0, 70_000 - 1, -1])
def test_other_content_or_name_is_other_work(tmp_path: Path, at: int) -> None:
    video = tmp_path / "cam1.mp4"
    data = bytearray(70_000)
    video.write_bytes(data)
    before = identity(video)
    data[at] ^= 1
    video.write_bytes(data)
    assert not is_same_work(before, identity(video))
    data[at] ^= 1
    (tmp_path / "cam2.mp4").write_bytes(data)
    assert not is_same_work(before, identity(tmp_path / "cam2.mp4"))
    video.write_bytes(data + b"\0")
    assert not is_same_work(before, identity(video))


def test_folders_go_by_all_their_files(tmp_path: Path) -> None:
    folder = tmp_path / "cam1"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.jpg").write_bytes(name.encode() * 100)
    before = identity(folder)
    shutil.copytree(folder, tmp_path / "copy" / "cam1")
    (tmp_path / "copy" / "cam1" / "._a.jpg").write_bytes(b"of the Finder")
    assert is_same_work(before, identity(tmp_path / "copy" / "cam1"))
    (folder / "b.jpg").write_bytes(b"B" * 100)
    assert not is_same_work(before, identity(folder))


def test_other_paths_in_a_description_count(tmp_path: Path) -> None:
    assert not is_same_work({"model": {"path": "a"}}, {"model": {"path": "b"}})
