"""Frames of a running job, kept so that an interrupted job goes on where it stopped.

Without a folder the frames stay in memory. With one, the survey's parts and every hundred frames become files in
`OUT/unfinished`, beside `job.json`, which tells what is being computed: the same command continues, another one is
refused. Memory then holds at most a hundred frames, however long the recording.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar

import torch

from trivox.base.atomic import atomic_write
from trivox.base.identity import is_same_work
from trivox.errors import InputError
from trivox.files.npz import Archive, read_npz, write_npz
from trivox.files.text import read_json
from trivox.geometry.tensors import TensorDataclass
from trivox.people.candidates import Candidates
from trivox.people.followed import Followed

Kept = TypeVar("Kept", bound=TensorDataclass)

_FRAMES_PER_FILE = 100


class Recording:
    """Results of frames 0, 1, 2, ... in order. `job` identifies the computation: plain JSON values."""

    def __init__(self, out: Path | None, job: dict[str, Any]) -> None:
        self._folder = None if out is None else out / "unfinished"
        self._buffer: list[Followed] = []
        self._kept: list[Followed] = []
        self.done = 0
        if self._folder is not None:
            self._continue_or_begin(self._folder, job)

    def append(self, frame: Followed) -> None:
        self._buffer.append(frame)
        if len(self._buffer) == _FRAMES_PER_FILE:
            self.flush()

    def flush(self) -> None:
        """Write out what is buffered."""
        if not self._buffer:
            return
        part = Followed.stack(self._buffer)
        if self._folder is None:
            self._kept.append(part)
        else:
            _save(part, self._folder / _part_name(self.done))
        # In this order: Ctrl-C between the two must not make the buffer count twice.
        buffered, self._buffer = len(self._buffer), []
        self.done += buffered

    def parts(self) -> Iterator[Followed]:
        """All frames in order, a hundred at a time (an interruption leaves a shorter part)."""
        if self._folder is None:
            yield from self._kept
        else:
            yield from (_load(path, Followed) for path in self._part_paths())

    def last_frames(self, count: int) -> Followed | None:
        """The newest frames of an earlier run, at most `count` of them."""
        newest: list[Followed] = []
        for path in reversed(self._part_paths()):
            newest.insert(0, _load(path, Followed))
            if sum(len(part.valid) for part in newest) >= count:
                break
        return Followed.concatenated(newest)[-count:] if newest else None

    def survey_parts(self) -> list[Candidates]:
        """What an earlier run saw of who is there."""
        if self._folder is None:
            return []
        return [_load(path, Candidates) for path in sorted(self._folder.glob("survey_*.npz"))]

    def keep_survey_part(self, part: Candidates) -> None:
        if self._folder is not None:
            _save(part, self._folder / f"survey_{len(list(self._folder.glob('survey_*.npz'))):09d}.npz")

    def forget_survey(self) -> None:
        """Nothing of it is worth keeping, and nothing of it shall stand in the way of other options."""
        if self._folder is not None:
            for path in self._folder.glob("survey_*.npz"):
                path.unlink()

    def finish(self) -> None:
        """Remove the unfinished files, once the results stand; what else lies in their folder stays."""
        if self._folder is not None:
            _remove_parts(self._folder)

    def _part_paths(self) -> list[Path]:
        return [] if self._folder is None else sorted(self._folder.glob("frames_*.npz"))

    def _continue_or_begin(self, folder: Path, job: dict[str, Any]) -> None:
        description = folder / "job.json"
        earlier = _read_job(description) if description.exists() else None
        same = is_same_work(earlier, job)
        if not same and (self._part_paths() or any(folder.glob("survey_*.npz"))):
            raise InputError(
                f"{folder} holds an unfinished job with other videos or options; run that one again to finish it, "
                f"choose another --out, or delete {folder}"
            )
        if earlier != job:
            with atomic_write(description) as temporary:
                temporary.write_text(json.dumps(job, indent=2))
        for path in self._part_paths():
            if path.name != _part_name(self.done):
                raise InputError(f"{path} does not follow the frames before it; delete {folder} to start over")
            self.done += len(_load(path, Followed).points_mm)


def forget_finished(out: Path, job: dict[str, Any]) -> None:
    """Remove what this job left in `OUT/unfinished`, when it was stopped between writing its results and tidying up."""
    folder = out / "unfinished"
    if not (folder / "job.json").exists() or is_same_work(_read_job(folder / "job.json"), job):
        _remove_parts(folder)


def _remove_parts(folder: Path) -> None:
    for pattern in ("*frames_*.npz", "*survey*.npz", "*job*.json"):  # also what a killed run left half-written
        for path in folder.glob(pattern):
            path.unlink()
    with suppress(OSError):
        folder.rmdir()


def _part_name(first_frame: int) -> str:
    return f"frames_{first_frame:09d}.npz"


def _read_job(path: Path) -> Any:
    try:
        return read_json(path)
    except InputError as error:
        raise InputError(f"{error}, or delete {path.parent} to start over") from error


def _save(part: TensorDataclass, path: Path) -> None:
    values = {f.name: getattr(part, f.name) for f in fields(part)}  # pyright: ignore[reportArgumentType]
    write_npz(path, {name: value.numpy() for name, value in values.items() if value is not None})


def _load(path: Path, kind: type[Kept]) -> Kept:
    """What `_save` wrote. A file that lost its end, in a power cut say, costs no more than itself."""
    known = fields(kind)  # pyright: ignore[reportArgumentType]
    names = {f.name for f in known}
    try:
        found = Archive(path).names
        arrays = read_npz(path, *found & names)
    except InputError as error:
        raise InputError(
            f"{path}, a part of earlier work, is damaged; delete it, and any frames_ files after it, and the same "
            "command computes them again"
        ) from error
    if not {f.name for f in known if f.default is MISSING} <= found <= names:
        raise InputError(f"{path} was written by another version of trivox; delete {path.parent} to start over")
    return kind(**{name: torch.from_numpy(array) for name, array in arrays.items()})
