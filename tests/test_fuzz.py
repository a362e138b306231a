"""A slice of `make fuzz`: mutated files of every kind are read or refused, in bounds, and run nothing."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="alarms, pipes and devices are of POSIX systems")


@pytest.mark.filterwarnings("ignore")
def test_mutated_files_are_read_or_refused() -> None:
    spec = importlib.util.spec_from_file_location("fuzz", Path(__file__).parent.parent / "tools" / "fuzz.py")
    assert spec is not None and spec.loader is not None
    fuzz = importlib.util.module_from_spec(spec)
    sys.modules["fuzz"] = fuzz  # where its dataclasses are looked for
    spec.loader.exec_module(fuzz)
    assert list(fuzz.faults(3 * (len(fuzz.KINDS) + len(fuzz.COMMANDS)), 10_000)) == []
