"""Text of strangers: one reader of YAML, which follows no aliases and reads no more than such a file has."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import trivox
from trivox.data.scene_folders import read_stated
from trivox.data.splits import read_split
from trivox.errors import InputError
from trivox.files import text
from trivox.files.calibrations import load_rig
from trivox.files.reference_configs import read_reference_training
from trivox.files.text import read_json, read_text, read_yaml
from trivox.training.experiment_files import load_experiment

SOURCES = Path(trivox.__file__).parent


def stated(path: Path) -> object:
    return read_stated(path.rename(path.with_name("dataset.yaml")).parent)


READERS: list[Callable[[Path], Any]] = [
    read_yaml,
    read_split,
    stated,
    load_experiment,
    read_reference_training,
    load_rig,
]
ALIASES = "a: &a [x, x]\n" + "".join(f"{name}: &{name} [*{up}, *{up}]\n" for up, name in zip("abcde", "bcdef"))  # noqa: B905


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (ALIASES, "alias"),
        ("a: 1\n" * 300_000, "larger than|more than"),
        ("[" * 5000, "YAML|TOML|JSON"),
        ("a: [", "YAML"),
    ],
    ids=["aliases", "large", "deep", "broken"],
)
def test_every_yaml_is_guarded(tmp_path: Path, read: Callable[[Path], Any], content: str, said: str) -> None:
    (tmp_path / "file.yaml").write_text(content)
    with pytest.raises(InputError, match=said):
        read(tmp_path / "file.yaml")


def test_there_is_no_other_way_to_read_yaml() -> None:
    """Only the guarded loader, and the one of calibrations that is made of it, meet texts."""
    reading = re.compile(r"yaml\.(\w*load\w*|parse|compose|scan)\(")
    calls = [(path.name, call) for path in SOURCES.rglob("*.py") for call in reading.findall(path.read_text("utf-8"))]
    assert calls == [("documents.py", "load")]


def test_texts_have_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text('"12345"')
    assert (read_text(tmp_path / "file", 7), read_json(tmp_path / "file")) == ('"12345"', "12345")
    with pytest.raises(InputError, match="larger"):
        read_text(tmp_path / "file", 6)
    with (tmp_path / "sparse.json").open("wb") as file:
        file.truncate(text._LARGEST_TEXT + 1)
    with pytest.raises(InputError, match="larger"):
        read_json(tmp_path / "sparse.json")


def test_ends_of_lines_and_marks_of_all_systems(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xef\xbb\xbfa\r\nb\rc\n")
    assert read_text(tmp_path / "file") == "a\nb\nc\n"
