"""Which frame a file or picture is, from its name: of the numbers in the names of a series, the one that counts.

`0_v2.jpg, 1_v2.jpg` are frames 0 and 1, and `clip2_000001_keypoints_2d.json` is frame 1 beside
`clip2_000002_keypoints_2d.json`. Programs put a version, a camera, a size, a score, a time stamp or a hash behind the
frame as well as before it, so no place in the name can be relied on.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_LARGEST = 2**63 - 1
_CLOCK_DIGITS = 10  # seconds since 1970 have so many
_DATE = re.compile(
    r"(?<!\d)(?:19|20)\d\d([-_.:]?)[01]\d\1[0-3]\d(?:[-_.T ]{0,2}[0-2]\d([-_.:h]?)[0-5]\d(?:[-_.:m]?[0-6]\d)?)?(?!\d)"
)
_SIZE = re.compile(r"(?<![0-9A-Za-z])\d{2,5}[xX]\d{2,5}(?![0-9A-Za-z])")


@dataclass(frozen=True)
class FrameNumbers:
    """The frame of each name, None for a name that tells none, and a sentence where another choice is possible."""

    numbers: tuple[int | None, ...]
    doubt: str | None = None


def frame_numbers(names: Sequence[str]) -> FrameNumbers:
    """The frame number of each of the `names` of one series (paths and suffixes do not count).

    A number of one name and one of another belong together where the names are alike behind them, or before them; so
    those in a hash do not. Where several vary, the one that counts frames differs from name to name and rises in
    natural order. Of several such, dates, clocks and sizes do not count frames; a number that leaves frames out tells
    more than one that merely numbers the files, and one of slightly uneven steps, a clock, less; then the one of the
    smallest steps, filled up with zeros, and the last is taken.

    A single name, or names that differ in no number, give the longest number outside of hashes (counters are filled up
    with zeros), among equally long ones one that stands alone before one that follows a letter (`3_v2`), then the last.
    """
    stems = [_stem(name) for name in names]
    series = sorted({stem for stem in stems if _runs(stem)}, key=natural)
    columns = _columns(series)
    varying = [column for column in columns if len(set(column.values)) > 1]
    if varying:
        best, doubt = _counting(varying, series)
        frame_of: dict[str, int | None] = dict(zip(series, best.values, strict=True))
        return FrameNumbers(tuple(frame_of.get(stem) for stem in stems), doubt)
    told = bool(columns) or len(series) == 1
    return FrameNumbers(tuple(_of_single(stem) if told else None for stem in stems))


def natural(name: str) -> list[tuple[str, int]]:
    """`a10b` -> [("a", 10), ("b", -1)]: the order of file managers."""
    return [(text.lower(), int(digits or -1)) for text, digits in re.findall(r"(\D*)(\d*)", name)]


def _stem(name: str) -> str:
    return re.sub(r"\.[A-Za-z]\w*$", "", re.split(r"[\\/]", name)[-1])


def _runs(stem: str) -> list[re.Match[str]]:
    return list(re.finditer(r"[0-9]+", stem))


@dataclass(frozen=True)
class _Column:
    """A number that every name of a series has: `digits` as it stands there, and whether it is part of `other` things
    (a date, a size, a hash, a clock)."""

    digits: tuple[str, ...]
    other: bool

    @property
    def values(self) -> tuple[int, ...]:
        return tuple(map(int, self.digits))

    @property
    def steps(self) -> tuple[int, ...]:
        return tuple(b - a for a, b in pairwise(self.values))

    @property
    def padded(self) -> bool:
        return len({len(run) for run in self.digits}) == 1 and any(run[0] == "0" for run in self.digits)

    @property
    def is_even(self) -> bool:
        """Whether it leaves out nothing that the steps could tell: as a number of the files does."""
        return max(self.steps) == min(self.steps)

    @property
    def ticks(self) -> bool:
        """Whether its steps differ by as little as those of a clock that is rounded."""
        least = min(self.steps)
        return least >= 4 and 0 < max(self.steps) - least <= max(1.0, 0.1 * least)

    def keeps_pace_with(self, other: _Column, slack: float = 1.3) -> bool:
        """Whether both leave out the same frames, but for the unrest of a clock."""
        ratios = [own / its for own, its in zip(self.steps, other.steps, strict=True)]
        return max(ratios) < slack * min(ratios)


def _columns(series: Sequence[str]) -> list[_Column]:
    """The numbers that the names have in common: all of names that differ in numbers only, else those behind which the
    names are alike, since programs mostly put the frame last, else those before which they are."""
    before = _alike([{_shape(stem[: run.start()]): run for run in _runs(stem)} for stem in series])
    if len({_shape(stem) for stem in series}) < 2:
        return before
    behind = _alike([{_shape(stem[run.end() :]): run for run in _runs(stem)} for stem in series])
    return behind if any(not column.other for column in behind) else before


def _alike(rows: Sequence[dict[str, re.Match[str]]]) -> list[_Column]:
    """The columns of the texts that every row has, in the order of the first row."""
    texts = [text for text in rows[0] if all(text in row for row in rows)] if rows else []
    columns = [[row[text] for row in rows] for text in texts]
    return [_column(runs) for runs in columns if all(_fits(run[0]) for run in runs)]


def _fits(digits: str) -> bool:
    return len(digits) < 20 and int(digits) <= _LARGEST


def _shape(text: str) -> str:
    return re.sub(r"[0-9]+", "#", text)


def _column(runs: Sequence[re.Match[str]]) -> _Column:
    return _Column(tuple(run[0] for run in runs), all(_is_other(run) for run in runs))


def _is_other(run: re.Match[str]) -> bool:
    if len(run[0]) >= _CLOCK_DIGITS and run[0][0] != "0":
        return True
    around = [match.span() for pattern in (_DATE, _SIZE) for match in pattern.finditer(run.string)]
    return any(start <= run.start() and run.end() <= end for start, end in (*around, *_hashes(run.string)))


def _counting(varying: Sequence[_Column], series: Sequence[str]) -> tuple[_Column, str | None]:
    """The column of the frames, and a sentence where another one rises as well and leaves out other frames."""
    rising = [column for column in varying if min(column.steps) > 0]
    if not rising:
        return next((c for c in reversed(varying) if len(set(c.values)) == len(series)), varying[-1]), None
    counters = [column for column in rising if not column.other] or rising
    steady = [column for column in counters if not column.ticks] or counters
    telling = [column for column in steady if not column.is_even] or steady
    # Of two names anything keeps pace with anything.
    alike = len(series) > 2 and all(column.keeps_pace_with(telling[0]) for column in telling)
    best = min(reversed(telling), key=lambda c: (0 if alike else not c.padded, min(c.steps), not c.padded))
    # A clock counts no frames, but jumps where some were lost.
    clocks = [column for column in rising if len(column.digits[0]) >= _CLOCK_DIGITS]
    others = [column for column in counters if not column.keeps_pace_with(best)]
    others += [column for column in clocks if not column.keeps_pace_with(best, 1.5)]
    return best, _doubt(best, others[0], series) if others else None


def _doubt(best: _Column, other: _Column, series: Sequence[str]) -> str:
    pace = [math.log(own / its) for own, its in zip(best.steps, other.steps, strict=True)]
    at = max(range(len(pace)), key=lambda i: abs(pace[i] - pace[0]))
    return (
        f"two numbers rise in the names, but not together, as from {series[at]} to {series[at + 1]}: "
        f"{best.digits[at + 1]} is taken as the frame, not {other.digits[at + 1]}"
    )


def _of_single(stem: str) -> int | None:
    hashes = _hashes(stem)
    runs = [run for run in _runs(stem) if _fits(run[0])]
    runs = [run for run in runs if not any(start <= run.start() < end for start, end in hashes)]
    ranked = [(len(run[0]), not stem[: run.start()][-1:].isalpha(), run.start(), int(run[0])) for run in runs]
    return max(ranked)[-1] if ranked else None


def _hashes(stem: str) -> list[tuple[int, int]]:
    """Where hashes stand: hexadecimal words, long, with digits and letters mixed as in no word with a number."""
    words = [word for word in re.finditer(r"[0-9A-Za-z]+", stem) if re.fullmatch(r"[0-9a-fA-F]{8,}", word[0])]
    return [word.span() for word in words if sum(a.isdigit() != b.isdigit() for a, b in pairwise(word[0])) >= 4]


def different_starts(views: Sequence[Sequence[int]], names: Sequence[str]) -> tuple[list[int], list[str]]:
    """What to add to the rising frame numbers of each view so that views which count alike, but from 1 and from 0,
    number an instant alike; and sentences on views whose numbers begin elsewhere.

    Programs count from 0 or from 1. Only that is mended, and only where a view has as many frames as another, with the
    same gaps; whether two views that are farther apart began at different instants, their numbers cannot tell.
    """
    shapes = [tuple(frame - own[0] for frame in own) for own in views]
    common = max(set(shapes), key=lambda shape: (shapes.count(shape), len(shape)))
    firsts = {own[0] for own, shape in zip(views, shapes, strict=True) if shape == common}
    usual = min(firsts)
    shifts, notes = [0] * len(views), []
    for v, (own, shape, name) in enumerate(zip(views, shapes, names, strict=True)):
        if shape != common or own[0] == usual:
            continue
        if (own[0], usual) == (1, 0):
            shifts[v] = -1
            notes.append(f"{name} counts its {len(own)} frames from 1, other views theirs from 0: its 1 is taken as 0")
        else:
            notes.append(
                f"the frames of {name} are {own[0]} to {own[-1]}, as many and with the same gaps as the {usual} to "
                f"{usual + common[-1]} of other views: if they are the same instants, number them alike"
            )
    return shifts, notes
