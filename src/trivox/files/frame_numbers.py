"""Which frame a file or picture is, from its name: of the numbers in the names of a series, the one that varies.

`0_v2.jpg, 1_v2.jpg` are frames 0 and 1, and `clip2_000001_keypoints_2d.json` is frame 1 beside
`clip2_000002_keypoints_2d.json`. Programs put a version, a camera, a size or the kind of their content behind the frame
as well as before it, so no place in the name can be relied on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_MOST_DIGITS = 18  # what fits 64 bits


def frame_numbers(names: Sequence[str]) -> list[int | None]:
    """The frame number of each of the `names` of one series (paths and suffixes do not count); None without any.

    Where several numbers vary, the one that counts frames differs from name to name; of several such, a frame counter
    spans less than a time stamp does, and comes last. A single name, or names that differ in no number, give the
    longest number (counters are filled up with zeros), among equally long ones one that stands alone before one that
    follows a letter (`3_v2`), then the last.
    """
    stems = [_stem(name) for name in names]
    rows = [[run for run in re.findall(r"[0-9]+", stem) if len(run) <= _MOST_DIGITS] for stem in stems]
    distinct = {stem: row for stem, row in zip(stems, rows, strict=True) if row}
    lengths = {len(row) for row in distinct.values()}
    if len(lengths) > 1:  # not one series: programs mostly put the frame last
        return [int(row[-1]) if row else None for row in rows]
    columns = [[int(run) for run in column] for column in zip(*distinct.values(), strict=True)]
    varying = [c for c, column in enumerate(columns) if len(set(column)) > 1]
    counting = [c for c in varying if len(set(columns[c])) == len(columns[c])]
    if counting:
        best = min(counting, key=lambda c: (max(columns[c]) - min(columns[c]), -c))
    elif varying:
        best = varying[-1]
    else:
        return [_single(stem) for stem in stems]
    return [int(row[best]) if row else None for row in rows]


def _stem(name: str) -> str:
    return re.sub(r"\.[A-Za-z]\w*$", "", re.split(r"[\\/]", name)[-1])


def _single(stem: str) -> int | None:
    runs = [run for run in re.finditer(r"[0-9]+", stem) if len(run[0]) <= _MOST_DIGITS]
    ranked = [(len(run[0]), not stem[: run.start()][-1:].isalpha(), run.start(), int(run[0])) for run in runs]
    return max(ranked)[-1] if ranked else None
