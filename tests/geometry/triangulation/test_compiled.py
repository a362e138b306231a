"""The cache of machine code: kept while no source is newer, dropped as soon as one is."""

from __future__ import annotations

import os
import time
from pathlib import Path

from trivox.geometry.triangulation.compiled import _forget_outdated, compiled


def test_code_older_than_any_source_of_the_folder_is_dropped(tmp_path: Path) -> None:
    old, new, other = (tmp_path / name for name in ("k.f-1.py.nbi", "k.f-2.py.nbi", "k.g-1.py.nbi"))
    for path, age in ((old, 1.0), (new, time.time() + 60), (other, 1.0)):
        path.touch()
        os.utime(path, (age, age))
    _forget_outdated(tmp_path, "f")
    assert not old.exists() and new.exists() and other.exists()


def test_functions_without_a_file_are_compiled_without_cache() -> None:
    """As where no cache folder can be written to."""
    names: dict = {}
    exec("def double(x):\n    return 2 * x", names)
    assert compiled(names["double"])(4.0) == 8.0
