"""What an evaluation by the published system leaves behind: results.pkl and metric.json.

results.pkl is a pickled `defaultdict(list)` of `keypoints_3d` (N, J, 3) in millimetres and `indexes` (N), the place
of each row in the loader's order. Which joints they are it does not say; a file that trivox writes does (`joints`,
their names) where the published programs would take their number for other ones.

metric.json holds two tables of errors, `per_pose_error` and `per_pose_error_relative`, each by subject and action with
"Average" among both, NaN where there is no frame.
"""

from __future__ import annotations

import json
import math
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int64

from trivox.base.atomic import atomic_write
from trivox.errors import InputError
from trivox.files.npy import pickled_for_every_numpy
from trivox.files.safe_pickle import load_pickle
from trivox.files.text import read_json

ErrorTable = dict[str, dict[str, float | None]]
"""Subject -> action -> error in mm; None where there is no frame."""

METRICS = ("per_pose_error", "per_pose_error_relative")


@dataclass(frozen=True)
class ReferenceResults:
    """Row `i` is the prediction for row `indexes[i]` of the dataset; world millimetres. `joints`: names, if told."""

    points_mm: Float[np.ndarray, "N J 3"]
    indexes: Int64[np.ndarray, "N"]
    joints: tuple[str, ...] | None = None

    def in_order(self) -> Float[np.ndarray, "N J 3"]:
        """The predictions in the order of the dataset."""
        return self.points_mm[self.indexes.argsort()]


def load_reference_results(path: Path) -> ReferenceResults:
    """Read results.pkl; nothing in it is executed. Raises `InputError` for anything else.

    Every row of a dataset must be there once: a file of one of several workers, or with rows twice, is refused.
    """
    content = load_pickle(path)
    points, indexes = (content.get(key) for key in ("keypoints_3d", "indexes")) if _is_dict(content) else (None, None)
    if not isinstance(points, np.ndarray) or not isinstance(indexes, np.ndarray):
        raise InputError(f"{path} has no arrays keypoints_3d and indexes; give a results.pkl of an evaluation")
    if points.dtype.kind != "f" or points.ndim != 3 or points.shape[2] != 3 or not points.size:
        raise InputError(
            f"{path}: keypoints_3d is {points.dtype} of shape {points.shape}, expected floats (N, J, 3); write it again"
        )
    rows = np.arange(len(points))
    if indexes.dtype.kind not in "iu" or indexes.shape != rows.shape or not np.array_equal(np.sort(indexes), rows):
        raise InputError(
            f"{path}: indexes should hold every number from 0 to {len(points) - 1} once; write all rows of the dataset "
            "into one file"
        )
    joints = content.get("joints")
    if joints is not None and not _are_names(joints, points.shape[1]):
        raise InputError(f"{path}: joints should be {points.shape[1]} different names; write it again")
    points_mm = points.astype(points.dtype.newbyteorder("="))
    return ReferenceResults(points_mm, indexes.astype(np.int64), None if joints is None else tuple(joints))


def save_reference_results(
    points_mm: Float[np.ndarray, "N J 3"], path: Path, joints: tuple[str, ...] | None = None
) -> None:
    """Write predictions in the order of their dataset, readable by the published programs and any NumPy."""
    rows = np.arange(len(points_mm), dtype=np.int64)
    content: dict[str, Any] = defaultdict(list, {"keypoints_3d": points_mm.astype(np.float32), "indexes": rows})
    if joints is not None:
        content["joints"] = list(joints)
    with atomic_write(path) as temporary:
        temporary.write_bytes(pickled_for_every_numpy(content))


def save_metric_json(tables: Mapping[str, ErrorTable], path: Path) -> None:
    """Write the tables as the published system does: indented by 4, keys sorted, `NaN` where there is no frame."""
    numbers = {
        name: {
            subject: {action: math.nan if value is None else value for action, value in row.items()}
            for subject, row in table.items()
        }
        for name, table in tables.items()
    }
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(numbers, indent=4, sort_keys=True))


def load_metric_json(path: Path) -> dict[str, ErrorTable]:
    """Read the tables of a metric.json. Raises `InputError` for anything else."""
    content = read_json(path)
    tables = {name: content[name] for name in METRICS if _is_dict(content) and name in content}
    if not tables or not all(_is_table(table) for table in tables.values()):
        raise InputError(f"{path} has no tables {' or '.join(METRICS)} of numbers; give a metric.json of an evaluation")
    return {
        name: {
            subject: {action: None if math.isnan(value) else float(value) for action, value in row.items()}
            for subject, row in table.items()
        }
        for name, table in tables.items()
    }


def _are_names(joints: Any, count: int) -> bool:
    is_list = isinstance(joints, list) and all(isinstance(name, str) for name in joints)
    return is_list and len(joints) == len(set(joints)) == count


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)


def _is_table(table: Any) -> bool:
    rows = table.values() if isinstance(table, dict) else [None]
    return all(isinstance(row, dict) and all(_is_error(v) for v in row.values()) for row in rows)


def _is_error(value: Any) -> bool:
    """A number that a float can hold, NaN among them."""
    return isinstance(value, int | float) and not abs(value) > sys.float_info.max
