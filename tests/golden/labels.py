"""Label files of the golden folder and their twins without pickle."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def plain(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a twin: names, `cameras_FIELD`, `table_FIELD`."""
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)
