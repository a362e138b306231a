"""Batches: every sample once, one number of views each, the same again from the same seed and epoch."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from trivox.data.batches import ViewBatches
from trivox.data.dataset import Pick

PRESENT = np.random.default_rng(3).random((23, 5)) > 0.25


def batches(epoch: int = 0, **options: object) -> list[list[Pick]]:
    sampler = ViewBatches(PRESENT, 4, **options)  # type: ignore[arg-type]
    sampler.set_epoch(epoch)
    found = list(sampler)
    assert len(found) == len(sampler)
    return found


def test_every_sample_comes_once_and_in_order_unless_shuffled() -> None:
    rows = [pick.row for batch in batches() for pick in batch]
    assert rows == list(range(23))
    shuffled = [pick.row for batch in batches(shuffle=True) for pick in batch]
    assert shuffled != rows and sorted(shuffled) == rows


def test_without_limits_all_views_are_asked_for_in_the_order_of_the_cameras() -> None:
    assert {pick.views for batch in batches() for pick in batch} == {(0, 1, 2, 3, 4)}


def test_a_batch_has_one_number_of_views_and_all_numbers_occur() -> None:
    counts = []
    for epoch in range(8):
        for batch in batches(epoch, shuffle=True, min_views=2, max_views=4):
            sizes = {len(pick.views) for pick in batch}
            assert len(sizes) == 1
            counts += sizes
    assert set(counts) == {2, 3, 4}


def test_views_are_drawn_among_those_that_are_there() -> None:
    seen: set[tuple[int, ...]] = set()
    for epoch in range(40):
        for pick in itertools.chain(*batches(epoch, min_views=2, max_views=2)):
            there = PRESENT[pick.row]
            assert len(set(pick.views)) == 2 and sorted(pick.views) == list(pick.views)
            assert there[list(pick.views)].sum() == min(2, there.sum())
            if pick.row == 0:
                seen.add(pick.views)
    there = np.flatnonzero(PRESENT[0])
    assert seen == set(itertools.combinations(there.tolist(), 2))


def test_seed_and_epoch_decide_everything() -> None:
    options = {"shuffle": True, "min_views": 1, "max_views": 5}
    assert batches(3, seed=1, **options) == batches(3, seed=1, **options)
    assert batches(3, seed=1, **options) != batches(4, seed=1, **options)
    assert batches(3, seed=1, **options) != batches(3, seed=2, **options)


@pytest.mark.parametrize("drop_last", [False, True])
def test_shares_are_equally_long_and_together_the_whole(drop_last: bool) -> None:
    options = {"shuffle": True, "min_views": 1, "max_views": 5, "drop_last": drop_last}
    alone = batches(2, **options)
    shares = [batches(2, **options, share=i, shares=4) for i in range(4)]
    assert {len(share) for share in shares} == {1 if drop_last else 2}
    dealt = [batch for turn in zip(*shares, strict=True) for batch in turn]
    whole = alone[: len(dealt)]
    assert dealt[: len(whole)] == whole
    # The rest repeats rows from the start, so that no process waits for the others.
    assert [pick.row for batch in dealt[len(alone) :] for pick in batch] == (
        [] if drop_last else [pick.row for batch in alone[: len(dealt) - len(alone)] for pick in batch]
    )


def test_a_range_wider_than_the_cameras_is_cut_to_them() -> None:
    assert {len(pick.views) for batch in batches(min_views=9, max_views=31) for pick in batch} == {5}
    assert {len(pick.views) for batch in batches(max_views=2) for pick in batch} == {2}
