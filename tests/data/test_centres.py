"""Centres of an earlier run belong to the rows of the dataset, or are refused."""

from __future__ import annotations

import numpy as np
import pytest

from trivox.data.centres import centres_of_results
from trivox.errors import InputError
from trivox.geometry.skeletons import COCO_17, H36M_17, PANOPTIC_19

RNG = np.random.default_rng(5)
POINTS = RNG.normal(size=(9, 17, 3)).astype(np.float32) * 500
INDEXES = RNG.permutation(9)


def test_every_nth_is_that_of_the_dataset() -> None:
    """Pose i belongs to row INDEXES[i]."""
    pelvis = np.empty((9, 3), np.float32)
    for pose, row in zip(POINTS, INDEXES, strict=True):
        pelvis[row] = pose[H36M_17.names.index("pelvis")]
    for every, rows in ((1, 9), (2, 5), (4, 3)):
        np.testing.assert_array_equal(centres_of_results(POINTS, INDEXES, H36M_17, rows, every), pelvis[::every])


def test_without_a_pelvis_it_is_the_middle_of_the_hips() -> None:
    hips = POINTS[:, COCO_17.indices(("left_hip", "right_hip"))].mean(1)
    np.testing.assert_allclose(centres_of_results(POINTS, np.arange(9), COCO_17, 9), hips, atol=1e-3)


def test_what_does_not_belong_to_the_dataset_is_refused() -> None:
    with pytest.raises(InputError, match="make 9 centres .* 8 samples"):
        centres_of_results(POINTS, INDEXES, H36M_17, 8)
    with pytest.raises(InputError, match="17 joints, not those of panoptic19"):
        centres_of_results(POINTS, INDEXES, PANOPTIC_19, 9)
    with pytest.raises(InputError, match="indexes"):
        centres_of_results(POINTS, np.zeros(9, np.int64), H36M_17, 9)
    with pytest.raises(InputError, match="finite"):
        centres_of_results(np.full_like(POINTS, np.nan), INDEXES, H36M_17, 9)


def test_only_the_root_has_to_be_there() -> None:
    """H36M's pelvis is joint 6; what else an earlier run did not find is not asked for."""
    expected = centres_of_results(POINTS, INDEXES, H36M_17, 9)
    partly = POINTS.copy()
    partly[3, :6], partly[5, 7:] = np.nan, np.inf
    assert np.array_equal(centres_of_results(partly, INDEXES, H36M_17, 9), expected)
    partly[3, 6] = np.nan
    with pytest.raises(InputError, match="no root for 1 of 9 rows"):
        centres_of_results(partly, INDEXES, H36M_17, 9)
