"""Tables of given boxes: `cmu-bboxes.npy`, Human3.6M's `bboxes-*.npy`, and folders of detections.

    Panoptic    dict[sequence][camera]         (frames, 5): left, top, right, bottom, score; row f is frame f
    Human3.6M   dict[subject][trial][camera]   (frames, 4): top, left, bottom, right
    folder      SEQUENCE/DETECTOR-detections/CAMERA.json, each a list of rows as Panoptic's

In memory all are `BoxTable`: (recording, camera) -> (frames, 4) left, top, right, bottom, cut to whole pixels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from trivox.errors import InputError
from trivox.files.npy import write_npy_object
from trivox.files.safe_pickle import load_npy
from trivox.files.text import numbers, read_json

BoxTable = dict[tuple[str, str], np.ndarray]
_LARGEST = 2**31


def read_panoptic_boxes(path: Path) -> BoxTable:
    """A `.npy` table, or a folder of detections. Raises `InputError` where it is neither."""
    if path.is_dir():
        return {key: _whole(rows[:, :4], path) for key, rows in detections_in(path).items()}
    sequences = _dict(load_npy(path), path)
    return {
        (str(sequence), str(camera)): _whole(_rows(boxes, 5, path)[:, :4], path)
        for sequence, cameras in sequences.items()
        for camera, boxes in _dict(cameras, path).items()
    }


def read_human36m_boxes(path: Path) -> BoxTable:
    """A `.npy` table; recordings are called "S1/Walking-1"."""
    return {
        (f"{subject}/{trial}", str(camera)): _whole(_rows(boxes, 4, path)[:, [1, 0, 3, 2]], path)
        for subject, trials in _dict(load_npy(path), path).items()
        for trial, cameras in _dict(trials, path).items()
        for camera, boxes in _dict(cameras, path).items()
    }


def detections_in(folder: Path) -> dict[tuple[str, str], np.ndarray]:
    """(sequence, camera) -> (frames, 5) float64 of all `SEQUENCE/*-detections/CAMERA.json` in a folder."""
    files = sorted(folder.glob("*/*-detections/*.json"))
    if not files:
        raise InputError(f"{folder} holds no SEQUENCE/DETECTOR-detections/CAMERA.json; check the path")
    return {
        (file.parent.parent.name, file.stem): _rows(numbers(read_json(file), file, "boxes"), 5, file) for file in files
    }


def write_panoptic_boxes(boxes: dict[tuple[str, str], np.ndarray], path: Path) -> None:
    """Write (frames, 5) arrays as the table `cmu-bboxes.npy` of the published system."""
    table: dict[str, dict[str, np.ndarray]] = {}
    for (sequence, camera), rows in boxes.items():
        table.setdefault(sequence, {})[camera] = rows
    write_npy_object(path, table)


def box_at(table: BoxTable, recording: str, camera: str, frames: np.ndarray) -> Int64[np.ndarray, "N 4"]:
    """Boxes of these frames; zero where the table has none."""
    rows = table.get((recording, camera))
    found = np.zeros((len(frames), 4), np.int64)
    if rows is not None and len(rows):
        there = frames < len(rows)
        found[there] = rows[frames[there]]
    return found


def _dict(value: Any, path: Path) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{path} is no table of boxes: it should be dictionaries within each other; check the file")
    return value


def _rows(value: Any, columns: int, path: Path) -> np.ndarray:
    rows = np.asarray(value)
    if rows.dtype.kind not in "iuf" or rows.ndim != 2 or rows.shape[1] != columns:
        raise InputError(f"{path}: boxes are {rows.dtype} of shape {rows.shape}, expected (frames, {columns}) numbers")
    return rows


def _whole(rows: np.ndarray, path: Path) -> Int64[np.ndarray, "F 4"]:
    if rows.size and not (np.isfinite(rows).all() and np.abs(rows).max() < _LARGEST):
        raise InputError(f"{path} has boxes beyond any picture; correct the table")
    return np.trunc(rows).astype(np.int64)
