"""Where the volume of each sample goes, from the results of an earlier run."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float32, Int

from trivox.errors import InputError
from trivox.geometry.skeletons import Skeleton, root_points


def centres_of_results(
    points_mm: Float32[np.ndarray, "M J 3"],
    indexes: Int[np.ndarray, "M"],
    skeleton: Skeleton,
    rows: int,
    retain_every_n_frames_in_test: int = 1,
) -> Float32[np.ndarray, "N 3"]:
    """Root joints of the results that belong to the `rows` of a dataset.

    The earlier run took every row of the same selection: its poses are put in the order of `indexes`, and every n-th
    is taken, as the dataset does. Joints besides the root may be missing (NaN). Raises `InputError` where their number
    is another, an index comes twice, or a root is missing.
    """
    if not np.array_equal(np.sort(indexes), np.arange(len(indexes))):
        raise InputError("the indexes of the earlier results are not 0, 1, 2, ... in some order; predict them again")
    ordered = points_mm[np.argsort(indexes)][::retain_every_n_frames_in_test]
    if len(ordered) != rows:
        raise InputError(
            f"the earlier results make {len(ordered)} centres (of {len(points_mm)} poses, every "
            f"{retain_every_n_frames_in_test}th), the dataset has {rows} samples; predict with the same selection"
        )
    if ordered.shape[1] != len(skeleton):
        raise InputError(f"the earlier results have {ordered.shape[1]} joints, not those of {skeleton.name}")
    points = torch.from_numpy(np.ascontiguousarray(ordered))
    roots = root_points(points.nan_to_num(0.0, 0.0, 0.0), torch.isfinite(points).all(-1), skeleton)
    if lost := int((~roots.valid).sum()):
        raise InputError(f"the earlier results have no root for {lost} of {rows} rows (not finite); predict them again")
    return roots.points[:, 0].numpy()
