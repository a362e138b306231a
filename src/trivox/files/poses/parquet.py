"""Parquet (parquet.apache.org): a long table, one row per frame, person and joint, for data frames and databases.

The columns are those of the .csv; coordinates of a missing joint are null. The schema's metadata, key `trivox`, is the
head of our JSON: units, axes, up, fps, joints, bones. Numbers are kept in full; the covariance is not.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from trivox.base.atomic import atomic_write
from trivox.errors import InputError
from trivox.files.npz import to_numpy
from trivox.files.poses.document import described
from trivox.geometry.poses import Poses


def save_parquet(poses: Poses, path: Path) -> None:
    """Write all rows. Raises `InputError`, also where pyarrow is missing."""
    try:
        import pyarrow as pa
        from pyarrow.parquet import write_table
    except ImportError as error:
        raise InputError(f"{path} is Parquet, which needs pyarrow; run: pip install 'trivox[export]'") from error
    frame, person, joint = (index.ravel() for index in np.indices(poses.valid.shape))
    frames = to_numpy(poses.frames)
    missing = ~to_numpy(poses.valid).ravel()
    coordinates = to_numpy(poses.points_mm.double()).reshape(-1, 3).T
    table = pa.table(
        {
            "frame": pa.array(frames[frame]),
            "time_s": pa.array(frames[frame] / poses.fps),
            "person": pa.array(person.astype(np.int32)),
            "joint": pa.DictionaryArray.from_arrays(joint.astype(np.int32), list(poses.skeleton.names)),
            **{f"{axis}_mm": pa.array(x, mask=missing) for axis, x in zip("xyz", coordinates, strict=True)},
            "confidence": pa.array(to_numpy(poses.confidence.double()).ravel()),
            "valid": pa.array(~missing),
        }
    )
    head = {key: value for key, value in described(poses).items() if key not in ("layout", "frames")}
    with atomic_write(path) as temporary:
        write_table(table.replace_schema_metadata({"trivox": json.dumps(head)}), temporary)
