"""Training samples from a label table: the rows that can be learned from, varied, in batches for several processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Int
from torch.utils.data import DataLoader, Sampler

from trivox.data.batches import ViewBatches
from trivox.data.dataset import Pick, PoseDataset
from trivox.data.labels import Labels
from trivox.data.samples import Sample, collate
from trivox.data.workers import batches_of
from trivox.errors import InputError
from trivox.evaluate_model import Running, Views, dataset_for
from trivox.evaluation_inputs import Rows, labels_of
from trivox.geometry.skeletons import root_points
from trivox.models.configs import Model
from trivox.training.augmentation import varied_boxes, varied_pictures
from trivox.training.config import Augmentation, Experiment, LabelData


def labels_of_data(data: LabelData, model: Model) -> Labels:
    """The rows of the table, with their truth in the joints of the model."""
    table = labels_of(data.labels, data.pictures)
    rows = Rows(part=data.part, split=data.split, damaged=data.damaged, every=data.every)
    return rows.of(table).converted(model.skeleton)


def dataset_of_data(data: LabelData, model: Model) -> PoseDataset:
    """Samples as the model's profile asks for them."""
    views = Views(data.cameras, data.ignore_cameras, data.scale_bbox, data.undistort_images, data.unreadable)
    running = Running(centres="own" if data.centres is None else data.centres)
    return dataset_for(model, labels_of_data(data, model), views, running)


class VariedDataset(PoseDataset):
    """A dataset whose boxes and pictures are varied anew in every epoch; set `epoch` before it is read."""

    def __init__(self, dataset: PoseDataset, options: Augmentation, seed: int) -> None:
        super().__init__(dataset.labels, dataset.options, dataset.centres_mm)
        self.variations, self.seed, self.epoch = options, seed, 0

    def boxes_of(self, row: int) -> Int[np.ndarray, "V 4"]:
        return varied_boxes(super().boxes_of(row), self.variations, (self.seed, self.epoch, row))

    def __getitem__(self, index: int | Pick) -> Sample:
        return teachable(self.varied(index))

    def varied(self, index: int | Pick) -> Sample:
        """The sample as it is, even where no view could be read."""
        sample = super().__getitem__(index)
        return varied_pictures(sample, self.variations, (self.seed, self.epoch, int(sample.row)))


def teachable(sample: Sample) -> Sample:
    """The sample, or one that teaches nothing where no view could be read: black, without a valid joint."""
    if bool(sample.present.any()):
        return sample
    first = torch.arange(len(sample.present)) == 0
    return replace(sample, present=first, valid=torch.zeros_like(sample.valid))


class LabelledBatches:
    """Batches of an epoch, the share of this process of each: the same ones whatever the number of processes.

    A batch of the whole run is cut into equal parts, one for each process: one number of views for all. Raises
    `InputError` where no batch can be filled.
    """

    def __init__(self, experiment: Experiment, data: LabelData, model: Model, share: int, shares: int) -> None:
        dataset = dataset_of_data(data, model)
        known = rows_to_learn_from(dataset, data)
        self.dataset = VariedDataset(dataset, experiment.augmentation, experiment.seed)
        size, views = experiment.optimizer.batch_size, experiment.views
        if len(known) < size:
            raise InputError(
                f"{data.labels} has {len(known)} rows to learn from, a batch has {size} samples; give more rows, or a "
                "smaller optimizer.batch_size"
            )
        self.rows, self.workers = known, experiment.run.workers
        self.batches = ViewBatches(
            dataset.present[known], size, min_views=views.min, max_views=views.max, shuffle=True, drop_last=True,
            seed=experiment.seed,
        )  # fmt: skip
        wanted = experiment.samples_per_epoch
        self.steps = len(self.batches) if wanted is None else min(len(self.batches), max(1, wanted // size))
        self.part = slice(share * size // shares, (share + 1) * size // shares)

    def __len__(self) -> int:
        return self.steps

    def epoch(self, epoch: int, first: int = 0) -> Iterator[Sample]:
        """The batches of an epoch, from the `first` on."""
        self.batches.set_epoch(epoch)
        self.dataset.epoch = epoch
        picks = [
            [Pick(int(self.rows[pick.row]), pick.views) for pick in batch[self.part]]
            for number, batch in enumerate(self.batches)
            if first <= number < self.steps
        ]
        yield from batches_of(
            DataLoader(self.dataset, batch_sampler=_Given(picks), num_workers=self.workers, collate_fn=collate)
        )


class _Given(Sampler[list[Pick]]):
    """Batches that are decided already."""

    def __init__(self, picks: list[list[Pick]]) -> None:
        self.picks = picks

    def __iter__(self) -> Iterator[list[Pick]]:
        return iter(self.picks)

    def __len__(self) -> int:
        return len(self.picks)


def rows_to_learn_from(dataset: PoseDataset, data: LabelData) -> Int[np.ndarray, "n"]:
    """Rows with a view, a known joint, and a place for a cube."""
    labels = dataset.labels
    roots = root_points(torch.from_numpy(labels.points_mm), torch.from_numpy(labels.valid), labels.skeleton)
    has_centre = roots.valid[:, 0].numpy() | (data.centres is not None)
    return np.flatnonzero(dataset.present.any(1) & labels.valid.any(1) & has_centre)
