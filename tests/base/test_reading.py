"""Only regular files are opened, and no more is read than a file of the kind has."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from trivox.base.reading import check_regular, open_regular, read_bytes
from trivox.errors import InputError

posix = pytest.mark.skipif(os.name != "posix", reason="pipes and devices with names are of POSIX systems")


def test_a_file_and_a_link_to_one_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for name in ("file", "link"):
        assert read_bytes(tmp_path / name, 5) == b"12345"
        assert check_regular(tmp_path / name).st_size == 5
        with pytest.raises(InputError, match="larger than"):
            read_bytes(tmp_path / name, 4)


@posix
@pytest.mark.parametrize("read", [check_regular, open_regular, lambda path: read_bytes(path, 10)])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read) -> None:
    monkeypatch.chdir(tmp_path)  # names of sockets have to be short
    os.mkfifo("pipe")
    Path("endless").symlink_to("/dev/zero")
    Path("circle").symlink_to("circle")
    Path("folder").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
    for name, said in {
        "pipe": "a pipe or a device",
        "endless": "a pipe or a device",
        "socket": "a pipe or a device",
        "folder": "it is a folder",
        "circle": "cannot read",
        "nothing": "there is no file",
        "zero\0byte": "cannot read",
        "folder/x" * 1000: "cannot read",
    }.items():
        with pytest.raises(InputError, match=said):
            read(Path(name))
