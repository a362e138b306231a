"""A file is written whole or not at all, and what cannot be written says what to do."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from trivox.base.atomic import atomic_write
from trivox.errors import InputError

ADVICE = {
    errno.ENOSPC: "free the space or choose another folder",
    errno.EDQUOT: "free the space or choose another folder",
    errno.EROFS: "choose a folder that you may write to",
    errno.EACCES: "choose a folder that you may write to",
    errno.EIO: "choose another folder",
}


def test_a_file_takes_its_name_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file.txt"
    with atomic_write(target) as temporary:
        temporary.write_text("whole")
        assert not target.exists() and (temporary.parent, temporary.suffix) == (target.parent, ".txt")
    assert target.read_text() == "whole" and list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("code", ADVICE)
def test_each_failure_has_its_advice(tmp_path: Path, code: int) -> None:
    (tmp_path / "file").write_text("before")
    with pytest.raises(InputError) as refused, atomic_write(tmp_path / "file") as temporary:
        temporary.write_text("after")
        raise OSError(code, os.strerror(code))
    assert str(refused.value) == f"cannot write {tmp_path / 'file'}: {os.strerror(code)}; {ADVICE[code]}"
    assert (tmp_path / "file").read_text() == "before" and len(list(tmp_path.iterdir())) == 1


def test_what_stands_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    for path, advice in {
        tmp_path / "file" / "below": "a file stands where a folder is needed",
        tmp_path / "file" / "further" / "below": "a file stands where a folder is needed",
        tmp_path / "folder": "a folder has that name",
        tmp_path / ("x" * 300): "choose a shorter name",
    }.items():
        with pytest.raises(InputError, match=advice), atomic_write(path) as temporary:
            temporary.write_text("new")
    assert (tmp_path / "file").read_text() == "mine" and len(list(tmp_path.iterdir())) == 2


def test_file_and_name_are_on_the_disk_when_it_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content before the name, the name before the return: whatever a power cut leaves is whole."""
    done: list[str] = []
    target, replace = tmp_path / "file.txt", os.replace

    def synced(descriptor: int) -> None:
        done.append("folder" if os.path.samestat(os.fstat(descriptor), tmp_path.stat()) else "content")

    def renamed(source: Path, to: Path) -> None:
        done.append("name")
        replace(source, to)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    with atomic_write(target) as temporary:
        temporary.write_text("whole")
    assert done == ["content", "name", "folder"] if os.name == "posix" else ["content", "name"]


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "No such file or directory", "another file"),
        PermissionError(errno.EACCES, "Permission denied", "another file"),
        OSError(errno.ENOSPC, "No space left on device", "another disk"),
        ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
        OSError("not of a file at all"),
    ],
)
def test_an_error_of_the_caller_goes_through_as_it_is(tmp_path: Path, error: OSError) -> None:
    with pytest.raises(OSError) as raised, atomic_write(tmp_path / "file"):
        raise error
    assert raised.value is error and not list(tmp_path.iterdir())


def test_an_error_of_this_file_is_that_it_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write"), atomic_write(tmp_path / "file") as temporary:
        temporary.mkdir()
        temporary.write_text("a folder stands there")
    with pytest.raises(InputError, match="cannot write"), atomic_write(tmp_path / "other"):
        pass  # nothing was written
