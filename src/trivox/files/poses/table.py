"""poses.csv: one row per frame, person and joint, for spreadsheets and data frames.

It keeps neither `up` nor covariance, and the frame rate only through the times.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from trivox.base.atomic import atomic_write
from trivox.errors import InputError
from trivox.files.joint_names import matched_joints
from trivox.files.text import check_places, read_text, whole
from trivox.geometry.poses import Poses
from trivox.geometry.skeletons import Skeleton

COLUMNS = ["frame", "time_s", "person", "joint", "x_mm", "y_mm", "z_mm", "confidence", "valid"]


def save_csv(poses: Poses, path: Path) -> None:
    """Write all rows; the coordinates of a joint that is not valid are empty."""
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(",".join(COLUMNS) + "\n")
        file.writelines(_lines(poses))


def _lines(poses: Poses) -> Iterator[str]:
    names = poses.skeleton.names
    for f, frame in enumerate(poses.frames.tolist()):
        start = f"{frame},{frame / poses.fps!r}"
        people = zip(poses.points_mm[f].tolist(), poses.confidence[f].tolist(), poses.valid[f].tolist(), strict=True)
        for person, (points, confidence, valid) in enumerate(people):
            for name, (x, y, z), weight, is_valid in zip(names, points, confidence, valid, strict=True):
                place = f"{x:.4f},{y:.4f},{z:.4f}" if is_valid else ",,"
                yield f"{start},{person},{name},{place},{weight:.6g},{int(is_valid)}\n"


def load_csv(path: Path, skeleton: Skeleton | None) -> Poses:
    """Read what `save_csv` wrote, or the like: rows in any order, absent rows are joints not seen."""
    rows = _rows(path)
    frame = np.array([whole(row[0], path, "'frame'") for row in rows])
    person = np.array([whole(row[2], path, "'person'") for row in rows])
    names = list(dict.fromkeys(row[3] for row in rows))
    joints = matched_joints(names, skeleton, path)
    numbers = np.array([[_number(cell, path) for cell in (row[1], *row[4:8])] for row in rows])
    frames, first, row_of = np.unique(frame, return_index=True, return_inverse=True)
    shape = (len(frames), int(person.max()) + 1, len(names))
    place = (row_of, person, np.array([names.index(row[3]) for row in rows]))
    _check_rows(shape, place, path)
    table = np.full((*shape, 4), np.nan)
    table[place] = _places(rows, numbers, path)
    table = joints.picked(table, axis=2)
    valid = np.all(np.isfinite(table), axis=-1)
    check_places(table[valid][:, :3], path)
    table[~valid] = 0
    return Poses(
        *map(torch.from_numpy, (table[..., :3].copy(), valid, table[..., 3].copy(), frames)),
        skeleton=joints.skeleton,
        fps=_rate(frames, numbers[first, 0], path),
    )


def _check_rows(shape: tuple[int, int, int], place: tuple[np.ndarray, ...], path: Path) -> None:
    """Every row has its own place, and there are not absurdly few for the numbers they name."""
    rows = len(place[0])
    if math.prod(shape) > 1000 * rows:
        raise InputError(f"{path} has {rows} rows for {shape} frames, people and joints; write them all")
    if len(set(zip(*(axis.tolist() for axis in place), strict=True))) < rows:
        raise InputError(f"{path} has a joint of one person and frame twice; keep one")


def _places(rows: list[list[str]], numbers: np.ndarray, path: Path) -> np.ndarray:
    """x, y, z and confidence of each row, NaN where its joint is not valid."""
    flags = [row[8] for row in rows]
    if not set(flags) <= {"0", "1"}:
        raise InputError(f"{path} has values of 'valid' other than 0 and 1; correct the file")
    valid = np.array(flags) == "1"
    if not np.isfinite(numbers[valid]).all():
        raise InputError(f"{path} has valid joints without time, coordinates or confidence; correct the file")
    return np.where(valid[:, None], numbers[:, 1:], np.nan)


def _rows(path: Path) -> list[list[str]]:
    try:
        rows = [row for row in csv.reader(io.StringIO(read_text(path))) if row]
    except csv.Error as error:
        raise InputError(f"{path} is not a CSV file ({error}); write it again") from error
    if len(rows) < 2 or rows[0] != COLUMNS or any(len(row) != len(COLUMNS) for row in rows):
        raise InputError(f"{path} is not a table of poses: expected rows of {','.join(COLUMNS)}; write it again")
    return rows[1:]


def _number(cell: str, path: Path) -> float:
    try:
        return float(cell) if cell else np.nan
    except ValueError as error:
        raise InputError(f"{path} has {cell[:40]!r} where a number should be; correct the file") from error


def _rate(frames: np.ndarray, times_s: np.ndarray, path: Path) -> float:
    """Frames per second, from the last frame and its time."""
    fps = frames[-1] / times_s[-1] if times_s[-1] > 0 else np.nan
    if not 0 < fps < np.inf:
        raise InputError(f"{path} has no time after 0, which gives no frame rate; read the .npz instead")
    return float(fps)
