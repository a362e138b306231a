"""Which samples form a batch, and which of their views.

Training on random subsets of views makes a network that works with any number of cameras. All samples of a batch have
one number of views; which views each sample has is drawn among those that are there. Everything follows from a seed
and the epoch, whatever the number of workers.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool
from torch.utils.data import Sampler

from trivox.data.dataset import Pick


class ViewBatches(Sampler[list[Pick]]):
    """A batch sampler for a `PoseDataset` whose views are `present` (N, V).

    min_views, max_views  the number of views of a batch is drawn evenly from this range. Without a maximum it goes up
                          to all views, without a minimum every batch has the most.
    shuffle               draw the order of samples anew in every epoch.
    drop_last             leave out the last batch where it is not full.
    share, shares         this process takes every `shares`-th batch, from `share` on; all take equally many.

    Call `set_epoch` before every epoch. A sample with fewer views than its batch keeps its missing ones, masked.
    """

    def __init__(
        self,
        present: Bool[np.ndarray, "N V"],
        batch_size: int,
        *,
        min_views: int | None = None,
        max_views: int | None = None,
        shuffle: bool = False,
        drop_last: bool = False,
        seed: int = 0,
        share: int = 0,
        shares: int = 1,
    ) -> None:
        views = present.shape[1]
        self.high = min(views if max_views is None else max_views, views)
        self.low = self.high if min_views is None else min(min_views, views)
        assert 1 <= self.low <= self.high, "at least one view, and no more than the maximum"
        assert batch_size >= 1 and 0 <= share < shares
        self.present, self.batch_size, self.seed, self.epoch = present, batch_size, seed, 0
        self.shuffle, self.drop_last = shuffle, drop_last
        self.share, self.shares = share, shares

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        whole, rest = divmod(len(self.present), self.batch_size)
        batches = whole + (rest > 0 and not self.drop_last)
        return batches // self.shares if self.drop_last else -(-batches // self.shares)

    def __iter__(self) -> Iterator[list[Pick]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        rows = rng.permutation(len(self.present)) if self.shuffle else np.arange(len(self.present))
        starts = range(0, len(rows), self.batch_size)
        for number in range(self.share, len(self) * self.shares, self.shares):
            # Shares of unequal number begin again from the first batch.
            start = starts[number % len(starts)]
            yield self._batch(rows[start : start + self.batch_size], number)

    def _batch(self, rows: np.ndarray, number: int) -> list[Pick]:
        """Drawn from the batch's own generator, so that no share has to draw for the others."""
        rng = np.random.default_rng([self.seed, self.epoch, number])
        count = int(rng.integers(self.low, self.high + 1))
        return [Pick(int(row), self._views(int(row), count, rng)) for row in rows]

    def _views(self, row: int, count: int, rng: np.random.Generator) -> tuple[int, ...]:
        """`count` views in the order of the cameras: those that are there first."""
        there = np.flatnonzero(self.present[row])
        if len(there) >= count:
            return tuple(sorted(rng.choice(there, count, replace=False).tolist()))
        missing = np.flatnonzero(~self.present[row])
        return tuple(sorted([*there.tolist(), *missing[: count - len(there)].tolist()]))
