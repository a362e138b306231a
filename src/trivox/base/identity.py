"""Whether files are those that earlier work was made from: by name, size and content, wherever they lie by now.

Neither the path nor the time of change counts: both change where data is moved, copied or unpacked. Of large files the
content is asked at both ends only, where containers have their index and recordings end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Bytes at either end that are looked at: of one file, and of each of the many in a folder.
_END, _END_IN_FOLDER = 2**16, 2**12


def identity(path: Path) -> dict[str, Any]:
    """A file, or a folder with its files, as JSON values; where it lies is told, too, and is no part of what it is."""
    files = [path]
    if path.is_dir():
        files = sorted(entry for entry in path.iterdir() if entry.is_file() and not entry.name.startswith("."))
    digest, size = hashlib.sha256(), 0
    for file in files:
        own, length = _ends(file, _END_IN_FOLDER if path.is_dir() else _END)
        digest.update(f"{file.name if path.is_dir() else ''}\n{length}\n{own}\n".encode("utf-8", "surrogateescape"))
        size += length
    return {
        "path": str(path.resolve()),
        "name": path.resolve().name,
        "files": len(files),
        "bytes": size,
        "sha256_of_ends": digest.hexdigest(),
    }


def is_same_work(described: Any, other: Any) -> bool:
    """Whether two descriptions of work, of JSON values, are of the same, wherever its files lie."""
    if not isinstance(described, Mapping) or not isinstance(other, Mapping):
        return described == other
    names = [value.keys() - ({"path"} if "sha256_of_ends" in value else set()) for value in (described, other)]
    return names[0] == names[1] and all(is_same_work(described[name], other[name]) for name in names[0])


def _ends(file: Path, length: int) -> tuple[str, int]:
    """The digest of the first and last bytes, and the size."""
    with file.open("rb") as opened:
        digest = hashlib.sha256(opened.read(length))
        size = opened.seek(0, 2)
        opened.seek(max(length, size - length))
        digest.update(opened.read(length))
    return digest.hexdigest(), size
