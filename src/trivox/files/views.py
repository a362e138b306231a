"""The synchronized views of a rig: the pictures of one instant together.

Frame i of every view is one instant. Image folders with numbered pictures are matched by those numbers, videos that
do not keep step by their times (`synchrony.py`). What does not agree between the views is refused where results would
be wrong, and said in `Views.notes` where it is only less than it could be. A view may lack the picture of an instant.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from weakref import WeakSet

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from trivox.errors import InputError
from trivox.files.frame_numbers import different_starts, natural
from trivox.files.images import ImageFolder, is_image, missing_numbers
from trivox.files.matching import ImageFit, fit_rig, match_cameras, size_text
from trivox.files.synchrony import starts_apart, synchronized
from trivox.files.videos import Video, turned_picture
from trivox.geometry.rig import Rig

_VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mts", ".m2ts", ".ts", ".mpg", ".mpeg", ".wmv")
_AHEAD = 3  # pictures decoded before they are asked for, per view


@dataclass(frozen=True)
class ViewFrames:
    """The pictures of one instant: RGB, upright, in the order of the rig's cameras; sizes may differ.

    None where a view has no picture: none was taken near that time, or it cannot be decoded.
    """

    frame: int
    pictures: list[UInt8[np.ndarray, "_ _ 3"] | None]


@dataclass(frozen=True)
class Views:
    """Videos and image folders opened together.

    `rig` has the cameras of `paths`, in that order, fitted to the stored (unturned) pictures. `frame_count`
    is the number of common instants; `fps` is None where only image folders were given. `notes` are
    sentences for the user. `numbers` are the pictures of each view at each instant, -1 where it has none; None where
    picture i belongs to instant i.
    """

    rig: Rig
    paths: tuple[Path, ...]
    frame_count: int
    fps: float | None
    notes: tuple[str, ...]
    sources: tuple[Video | ImageFolder, ...]
    numbers: tuple[Int64[np.ndarray, "I"], ...] | None = None
    _running: WeakSet[Generator[ViewFrames, None, None]] = field(default_factory=WeakSet, repr=False, compare=False)

    def __enter__(self) -> Views:
        return self

    def __exit__(self, *raised: object) -> None:
        """End every run through `frames` that is still open, and its threads."""
        for run in list(self._running):
            run.close()

    @classmethod
    def open(
        cls,
        rig: Rig,
        paths: Sequence[Path | str],
        *,
        cameras: Sequence[str] | None = None,
        image_fit: ImageFit | None = None,
    ) -> Views:
        """Open a video or image folder per camera; a folder of videos stands for these, in the order of their names.

        Raises `InputError` where they do not go together.
        """
        return cls.unfitted(rig, paths, cameras=cameras).fitted(image_fit)

    @classmethod
    def unfitted(cls, rig: Rig, paths: Sequence[Path | str], *, cameras: Sequence[str] | None = None) -> Views:
        """As `open`, but with the cameras as they are calibrated, whatever the sizes of the pictures."""
        found = tuple(video for path in paths for video in _videos_of(Path(path)))
        rig = match_cameras(rig, found, cameras)
        sources, gaps = _matched_by_number(rig.names, [_opened(path) for path in found])
        fps, numbers, timing = _matched_by_time(rig.names, sources)
        count = _common_count(sources) if numbers is None else len(numbers[0])
        lengths = _length_notes(rig.names, sources, count) if numbers is None else []
        return cls(rig, found, count, fps, (*rig.notes, *gaps, *timing, *lengths), sources, numbers)

    def fitted(self, image_fit: ImageFit | None, *notes: str) -> Views:
        """These views with cameras for their pictures (see `fit_rig`), and further notes on why that fit."""
        fitted = fit_rig(self.rig, self.image_hws, image_fit)
        return replace(self, rig=fitted, notes=(*self.notes, *_fit_notes(self.rig, fitted, image_fit), *notes))

    @property
    def image_hws(self) -> list[tuple[int, int]]:
        """(height, width) of the stored pictures of each view."""
        return [source.info.image_hw for source in self.sources]

    @property
    def damage(self) -> tuple[str, ...]:
        """What is known by now to be missing of the views, for the user; reading finds out more."""
        return tuple(
            f"{name}: {source.damage}; the other views stand in where this one has no picture"
            for name, source in zip(self.rig.names, self.sources, strict=True)
            if source.damage
        )

    def frames(self, start: int = 0, stop: int | None = None, step: int = 1) -> Iterator[ViewFrames]:
        """Instants `start`, `start + step`, ... before `stop` (None: the end).

        Each view is decoded in a thread of its own, a few pictures ahead. The threads end with the iterator,
        however it ends; an error in one of them is raised here when its picture is due.
        """
        stop = self.frame_count if stop is None else min(stop, self.frame_count)
        run = self._run(start, stop, step)
        self._running.add(run)
        return run

    def _run(self, start: int, stop: int, step: int) -> Generator[ViewFrames, None, None]:
        with ExitStack() as stack:
            views: list[_Ahead] = []
            for view, turns in enumerate(self.rig.quarter_turns):
                views.append(_Ahead(self._pictures(view, range(start, stop, step)), turns))
                stack.callback(views[-1].close)
            for frame in range(start, stop, step):
                yield ViewFrames(frame, [view.next() for view in views])

    def _pictures(self, view: int, instants: range) -> Generator[np.ndarray | None, None, None]:
        source = self.sources[view]
        at = instants if self.numbers is None else self.numbers[view][instants.start : instants.stop : instants.step]
        numbers = [int(n) if 0 <= n < source.info.frame_count else -1 for n in at]
        there = [n for n in numbers if n >= 0]
        with closing(source.pictures(there)) as pictures:
            for number in numbers:
                yield next(pictures) if number >= 0 else None


class _Ahead:
    """One view, read in one thread of its own, at most `_AHEAD` pictures before they are asked for."""

    def __init__(self, pictures: Generator[np.ndarray | None, None, None], turns: int) -> None:
        self._pictures, self._turns = pictures, turns
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._waiting: deque[Future[np.ndarray | None]] = deque()
        for _ in range(_AHEAD):
            self._waiting.append(self._thread.submit(self._read))

    def _read(self) -> np.ndarray | None:
        picture = next(self._pictures, None)
        return None if picture is None else turned_picture(picture, self._turns)

    def next(self) -> np.ndarray | None:
        picture = self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(self._read))
        return picture

    def close(self) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._waiting.clear()
        self._pictures.close()


def refuse_names_alone(videos: Sequence[Path | str], cameras: Sequence[str]) -> None:
    """Names say which of the given videos is whose; without videos they would be ignored."""
    if cameras and not videos:
        raise InputError("camera names are given, and no videos that they belong to; give the videos, too, or no names")


def _fit_notes(rig: Rig, fitted: Rig, image_fit: ImageFit | None) -> list[str]:
    if rig.cameras.image_hw is None or fitted.cameras.image_hw is None:
        return []
    sizes = zip(rig.names, rig.cameras.image_hw.tolist(), fitted.cameras.image_hw.tolist(), strict=True)
    return [
        f"{name} is calibrated for {size_text(old)}, its pictures are {size_text(new)}: fitted by {image_fit}"
        for name, old, new in sizes
        if old != new
    ]


def _videos_of(path: Path) -> list[Path]:
    """The videos in a folder that has some, and is no folder of pictures; else the path itself."""
    if not path.is_dir():
        return [path]
    files = [file for file in path.iterdir() if file.is_file() and not file.name.startswith(".")]
    videos = [file for file in files if file.suffix.lower() in _VIDEO_SUFFIXES]
    if len(videos) <= sum(is_image(file) for file in files):
        return [path]
    return sorted(videos, key=lambda video: natural(video.name))


def _opened(path: Path) -> Video | ImageFolder:
    if not path.is_dir():
        return Video(path, partial=True)
    folder = ImageFolder(path)
    if not folder.is_sequence:
        few = ", ".join(picture.name for picture in folder.paths[:3])
        raise InputError(
            f"the pictures in {path} do not follow each other by their names ({few}); give those of a video, which "
            "differ in their number only, as 000001.jpg"
        )
    return folder


def _matched_by_time(
    names: Sequence[str], sources: Sequence[Video | ImageFolder]
) -> tuple[float | None, tuple[np.ndarray, ...] | None, Sequence[str]]:
    """Instants per second, the pictures of each view at each of them (None: picture i at instant i), and notes.

    Image folders, and videos without any rate, have no times: their pictures are counted.
    """
    clocks = [source.clock if isinstance(source, Video) else None for source in sources]
    timed = [(name, clock) for name, clock in zip(names, clocks, strict=True) if clock is not None]
    if not timed:
        return None, None, ()
    own_names, own_clocks = [name for name, _ in timed], [clock for _, clock in timed]
    synchrony = synchronized(own_names, own_clocks)
    if synchrony is None:
        return float(1 / own_clocks[0].period_s), None, starts_apart(own_names, own_clocks)
    matched = iter(synchrony.numbers)
    counted = np.arange(len(synchrony.numbers[0]))
    numbers = tuple(
        np.where(counted < source.info.frame_count, counted, -1) if clock is None else next(matched)
        for source, clock in zip(sources, clocks, strict=True)
    )
    return float(synchrony.rate), numbers, synchrony.notes


def _matched_by_number(
    names: Sequence[str], sources: Sequence[Video | ImageFolder]
) -> tuple[tuple[Video | ImageFolder, ...], list[str]]:
    """Image folders cut to the numbers they share, and what was left out; other sources as they are."""
    pictures = [(name, source) for name, source in zip(names, sources, strict=True) if isinstance(source, ImageFolder)]
    doubts = [f"{name}: {folder.doubt}" for name, folder in pictures if folder.doubt]
    folders = [folder for _, folder in pictures if folder.numbers]
    if len(folders) < len(sources):
        return tuple(sources), doubts + [note for name, folder in pictures for note in _gap_notes(name, folder)]
    shifts, starts = different_starts([folder.numbers or () for folder in folders], names)
    folders = [folder.renumbered(shift) for folder, shift in zip(folders, shifts, strict=True)]
    numbers = [set(folder.numbers or ()) for folder in folders]
    shared, seen = sorted(set.intersection(*numbers)), sorted(set.union(*numbers))
    if not shared:
        spans = [f"{name} {min(own)} to {max(own)}" for name, own in zip(names, numbers, strict=True)]
        raise InputError(
            f"the image folders share no picture number ({', '.join(spans)}); "
            "give the pictures of one instant one number"
        )
    notes = doubts + starts
    notes += [
        f"{name} lacks the pictures numbered {_listed(sorted(set(seen) - own))}: these instants are left out"
        for name, own in zip(names, numbers, strict=True)
        if len(own) < len(seen)
    ]
    steps = {b - a for a, b in zip(seen, seen[1:], strict=False)}
    skipped = missing_numbers(tuple(seen))
    if len(steps) > 1 and not skipped:
        notes.append(f"the pictures have uneven numbers ({_listed(seen)}): they are taken as if they came evenly")
    if skipped:
        notes.append(f"no view has the pictures numbered {_listed(skipped)}")
    return tuple(folder.with_numbers(shared) for folder in folders), notes


def _gap_notes(name: str, folder: ImageFolder) -> list[str]:
    """What may be wrong with a folder whose pictures are taken in order, whatever their numbers are."""
    if folder.missing:
        return [f"{name} lacks the pictures numbered {_listed(folder.missing)}: its later ones may be early"]
    numbers = folder.numbers or ()
    if len({b - a for a, b in zip(numbers, numbers[1:], strict=False)}) > 1:
        return [f"{name} has pictures at uneven numbers ({_listed(numbers)}): they are taken in order, without gaps"]
    return []


def _listed(numbers: Sequence[int]) -> str:
    few = ", ".join(map(str, numbers[:5]))
    return few if len(numbers) <= 5 else f"{few} and {len(numbers) - 5} more"


def _common_count(sources: Sequence[Video | ImageFolder]) -> int:
    """Instants of all views. One that damage cut short ends none, as long as two others go on."""
    counts = sorted(source.info.frame_count for source in sources)
    whole = [source.info.frame_count for source in sources if not _is_cut(source)]
    return min([*whole, counts[-2]])


def _is_cut(source: Video | ImageFolder) -> bool:
    return isinstance(source, Video) and source.cut is not None


def _length_notes(names: Sequence[str], sources: Sequence[Video | ImageFolder], used: int) -> list[str]:
    counts = {name: source.info.frame_count for name, source in zip(names, sources, strict=True)}
    longest = max(counts.values())
    if used == longest:
        return []
    cut = [name for name, source in zip(names, sources, strict=True) if _is_cut(source)]
    short = [f"{name} has {count}" for name, count in counts.items() if count < longest and name not in cut]
    short = short or [f"{name} has {count}" for name, count in counts.items() if count < longest]
    return [f"{', '.join(short)} frames, the longest {longest}: only the first {used} instants are used"]


def turned_points(
    points_px: Float[Tensor, "*b N 2"], quarter_turns: int, image_hw: tuple[int, int]
) -> Float[Tensor, "*b N 2"]:
    """Where points of an upright picture lie in the stored one, which has size `image_hw` (height, width).

    Undoes what `Views.frames` does to a picture: a clockwise quarter turn sends (x, y) to (h - y, x).
    """
    x, y = points_px.unbind(-1)
    h, w = image_hw
    stored = {0: (x, y), 1: (y, h - x), 2: (w - x, h - y), 3: (w - y, x)}[quarter_turns % 4]
    return torch.stack(stored, dim=-1)
