"""DeepLabCut and anipose: a row per frame, columns named by scorer, (individual,) body part and coordinate.

In CSV the names are the first three or four lines, each line begun by what it names. Frames are the row
numbers, or the number that varies in the images' names in files of labels. `likelihood` is the score, also under
other names (`scores.py`); where it is missing (labels), every point with coordinates counts fully. The same
table in HDF5 is read by `deeplabcut_h5.py`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trivox.errors import InputError
from trivox.files.keypoints.detections import Detections, numbers_of_images
from trivox.files.keypoints.scores import is_score_name
from trivox.files.text import read_text

HEADERS = {3: ["scorer", "bodyparts", "coords"], 4: ["scorer", "individuals", "bodyparts", "coords"]}


def read_deeplabcut_csv(path: Path) -> Detections:
    """Read a DeepLabCut or anipose CSV of 2D points. Raises `InputError` for anything else."""
    rows = [row for row in _rows(path) if any(row)]
    depth = next((n for n, names in HEADERS.items() if [row[0] for row in rows[:n]] == names), None)
    if depth is None or len(rows) == depth:
        raise InputError(f"{path} is not a DeepLabCut CSV with frames: lines scorer, bodyparts, coords come first")
    header, body = rows[:depth], rows[depth:]
    # Label files of newer versions split the image's path over columns that have no scorer.
    first = next((i for i, cell in enumerate(header[0][1:], 1) if cell), len(header[0]))
    if any(len(row) != len(header[0]) for row in rows):
        raise InputError(f"{path} has lines of different length; write it again")
    columns = list(zip(*(row[first:] for row in header), strict=True))
    values = np.array([[_number(cell, path) for cell in row[first:]] for row in body])
    return detections_of_table(columns, values, [row[first - 1] for row in body], path)


def _rows(path: Path) -> list[list[str]]:
    try:
        return list(csv.reader(io.StringIO(read_text(path))))
    except csv.Error as error:
        raise InputError(f"{path} is not a CSV file ({error}); give one that DeepLabCut wrote") from error


def _number(cell: str, path: Path) -> float:
    try:
        return float(cell) if cell else np.nan
    except ValueError as error:
        raise InputError(f"{path} has {cell[:40]!r} where a number should be; write it again") from error


def detections_of_table(
    columns: Sequence[tuple[str, ...]], values: np.ndarray, index: Sequence[int | str], path: Path
) -> Detections:
    """A DeepLabCut table: `columns` names each column of `values` `(F, C)`, `index` each row."""
    where = {(c[1] if len(c) == 4 else "", c[-2], c[-1].lower()): i for i, c in enumerate(columns)}
    if len(where) < len(columns) or not columns:
        raise InputError(f"{path} has no columns, or several of one name; keep one scorer per file")
    individuals, parts = (tuple(dict.fromkeys(key[k] for key in where)) for k in (0, 1))
    table = np.column_stack([values.astype(np.float64), np.full(len(values), np.nan), np.ones(len(values))])
    picks = np.array([[_columns_of(where, who, part, path) for part in parts] for who in individuals])
    frames, notes = _frames(index, path)
    people = table[:, picks].reshape(-1, *picks.shape[1:])
    return Detections(list(people), np.repeat(frames, len(individuals)).tolist(), frames, parts, notes)


def _columns_of(where: dict[tuple[str, str, str], int], person: str, part: str, path: Path) -> tuple[int, int, int]:
    """Columns of x, y and score; -2 is a column of NaN, -1 one of ones."""
    x, y = (where.get((person, part, coordinate), -2) for coordinate in "xy")
    if (x < 0) != (y < 0):
        raise InputError(f"{path} has only one of x and y for {part}; write it again")
    others = {key[2]: i for key, i in where.items() if key[:2] == (person, part) and key[2] not in ("x", "y")}
    scores = [name for name in others if name == "likelihood"] or [name for name in others if is_score_name(name)]
    if others and not scores:
        raise InputError(
            f"{path} has the column {next(iter(others))!r} of {part}, expected x, y and likelihood; call it likelihood "
            "if it is the score, else remove it"
        )
    return x, y, others[scores[0]] if scores else -1


def _frames(index: Sequence[int | str], path: Path) -> tuple[list[int], tuple[str, ...]]:
    """Row numbers, or the numbers in the images' names, and notes."""
    texts = [entry for entry in index if isinstance(entry, str)]
    rows = [float(e) if isinstance(e, str) else e for e in index] if all(map(_is_number, texts)) else index
    frames, notes = numbers_of_images(rows, path, "the row")
    if len(set(frames)) < len(frames):
        raise InputError(f"{path} holds a frame twice; give one view per file")
    return frames, notes


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
