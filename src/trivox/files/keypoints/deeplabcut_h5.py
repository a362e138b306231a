"""DeepLabCut and anipose tables in HDF5, as pandas writes them through PyTables, read with h5py.

pandas has two layouts. "fixed" keeps the names of columns as plain data sets: the distinct names of each
level and, per column, the number of its name. "table" keeps them as a pickle in an attribute of the table;
that is read as text by `pickled_labels.py`, never executed. Columns of one type form a block; a file may have
several.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from trivox.errors import InputError
from trivox.files.hdf5 import BROKEN, array_of, member, opened_hdf5, text_of
from trivox.files.keypoints.deeplabcut import HEADERS, detections_of_table
from trivox.files.keypoints.detections import Detections
from trivox.files.keypoints.pickled_labels import labels_from

Labels = list[tuple[Any, ...]]


def read_deeplabcut_h5(path: Path) -> Detections:
    """Read a DeepLabCut or anipose HDF5 file of 2D points. Raises `InputError` for anything else."""
    try:
        with opened_hdf5(path) as file:
            group = _frame_group(file, path)
            fixed = text_of(group.attrs["pandas_type"]) == "frame"
            columns, values, index = _fixed(group) if fixed else _table(group)
    except BROKEN as error:
        raise InputError(
            f"{path} is not a DeepLabCut HDF5 file that can be read ({error}); give its CSV instead"
        ) from error
    shape = (len(index), len(columns))
    if values.shape != shape or values.dtype.kind not in "fiu" or not all(len(c) in HEADERS for c in columns):
        raise InputError(f"{path} does not hold columns of scorer, bodyparts, coords; give a file of 2D points")
    return detections_of_table(columns, values, index, path)


def _frame_group(file: h5py.File, path: Path) -> h5py.Group:
    """The group of the table of points; DeepLabCut calls it df_with_missing."""
    members = [member(file, str(name)) for name in file]
    groups = [g for g in members if isinstance(g, h5py.Group) and "pandas_type" in g.attrs]
    frames = [g for g in groups if text_of(g.attrs["pandas_type"]) in ("frame", "frame_table")]
    named = [g for g in frames if g.name == "/df_with_missing"] or frames
    if len(named) != 1:
        raise InputError(f"{path} has {len(named)} pandas tables, expected one; give a DeepLabCut file of 2D points")
    return named[0]


def _fixed(group: h5py.Group) -> tuple[Labels, np.ndarray, list[Any]]:
    columns: Labels = []
    blocks: list[np.ndarray] = []
    for block in range(int(text_of(group.attrs["nblocks"]))):
        columns += _axis(group, f"block{block}_items")
        blocks.append(array_of(member(group, f"block{block}_values")))
    return columns, np.concatenate(blocks, axis=1), [row[-1] for row in _axis(group, "axis1")]


def _axis(group: h5py.Group, axis: str) -> Labels:
    """The labels of an axis, a tuple per entry: one value, or one of each level."""
    if text_of(group.attrs[f"{axis}_variety"]) != "multi":
        return [(value,) for value in _strings(array_of(member(group, axis)))]
    levels = []
    for level in range(int(text_of(group.attrs[f"{axis}_nlevels"]))):
        names = _strings(array_of(member(group, f"{axis}_level{level}")))
        levels.append([names[i] for i in array_of(member(group, f"{axis}_label{level}")).tolist() if i >= 0])
    return list(zip(*levels, strict=True))


def _table(group: h5py.Group) -> tuple[Labels, np.ndarray, list[Any]]:
    table = member(group, "table")
    rows = array_of(table)
    columns: Labels = []
    blocks: list[np.ndarray] = []
    for name in rows.dtype.names or ():
        if name.startswith("values_block_"):
            columns += labels_from(np.asarray(table.attrs[f"{name}_kind"]).tobytes())
            blocks.append(rows[name])
    return columns, np.concatenate(blocks, axis=1), _strings(rows["index"])


def _strings(data: np.ndarray) -> list[Any]:
    """Values as Python objects, byte strings decoded."""
    return [v.decode() if isinstance(v, bytes) else v for v in data.tolist()]
