"""Training samples straight from the synthetic world: worker processes draw scenes while the network learns.

Drawing many instants of a scene is cheap, drawing one is not; but a batch should hold scenes that have nothing in
common. So every place of a batch has scenes of its own: place p of the run's batch of B samples sees scenes p, p + B,
p + 2B, ... of the epoch, each for as many batches as it has instants. Processes share the places, so that the same
batches come out of any number of processes and workers, and every epoch has scenes that were never seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from trivox.data.boxes import scaled, squared
from trivox.data.crops import cut_for_model
from trivox.data.samples import Sample, collate, views_selected
from trivox.data.workers import batches_of
from trivox.errors import InputError
from trivox.geometry.skeletons import Skeleton, root_points
from trivox.models.configs import Model
from trivox.models.volumetric import Volumetric
from trivox.synthetic.scene import Occlusion, SceneOptions
from trivox.synthetic.shots import Shot, shots
from trivox.synthetic.worlds import scene_number
from trivox.training.augmentation import varied_boxes, varied_pictures
from trivox.training.config import Augmentation, Experiment, RenderedData
from trivox.training.labelled import teachable

_UNVARIED = Augmentation()


def scene_options(data: RenderedData, occlusion: Occlusion) -> SceneOptions:
    """What is asked of the synthetic world. Raises `InputError` for what it does not have."""
    return SceneOptions(
        cameras=data.cameras,
        rigs=cast(Any, data.rigs),
        frames=data.instants,
        fps=data.fps,
        image_hw=data.size_hw,
        motion=data.motion,
        occlusion=occlusion,
        effects=data.effects,
        calibration_noise=data.calibration_noise,
        time_offset_ms=data.time_offset_ms,
    )


def check_up(model: Model) -> None:
    """Refuse a model of another world than that of rendered scenes, whose z points up."""
    if isinstance(model, Volumetric) and model.cube.up != "z":
        raise InputError(f"in rendered scenes z points up, the model's is {model.cube.up}; set model.cube.up to z")


class RenderedScenes(Dataset[list[Sample]]):
    """Item n: samples of all instants of scene `first` + n, of the person that the rig looks at.

    Cut and varied for a model; joints in its skeleton, a sample's row is its scene times the instants, plus its own.
    """

    def __init__(
        self,
        data: RenderedData,
        model: Model,
        scenes: int,
        first: int,
        vary: Augmentation,
        seed: int,
        skeleton: Skeleton | None = None,
    ) -> None:
        check_up(model)
        self.data, self.scenes, self.first = data, scenes, first
        self.options = [scene_options(data, occlusion) for occlusion in data.occlusion]
        self.skeleton = skeleton or model.skeleton
        self.image_hw, self.profile = model.image_hw, model.profile
        self.variations, self.seed = vary, seed
        for number in (first, first + scenes - 1):
            scene_number(number, data.world)

    def __len__(self) -> int:
        return self.scenes

    def later(self, count: int) -> RenderedScenes:
        """Those that come so many scenes later."""
        scenes = copy(self)
        scenes.first += count
        return scenes

    def __getitem__(self, index: int) -> list[Sample]:
        number = self.first + index
        found = shots([number], self.options[number % len(self.options)], self.data.world, self.skeleton)
        return [self._sample(shot, index * self.data.instants + i) for i, shot in enumerate(found)]

    def _sample(self, shot: Shot, row: int) -> Sample:
        seed = (self.seed, self.first, row)
        boxes = np.rint(shot.boxes_px[0].numpy()).astype(np.int64)
        boxes = varied_boxes(scaled(squared(boxes), self.data.scale_bbox), self.variations, seed)
        present = shot.inside[0] & torch.from_numpy((boxes[:, 2:] > boxes[:, :2]).all(-1))
        images = torch.zeros(len(boxes), 3, *self.image_hw)
        for view in np.flatnonzero(present.numpy()):
            left, top, right, bottom = boxes[view].tolist()
            box = (left, top, right, bottom)
            cut_for_model(shot.pictures[view], box, images[view].numpy(), self.profile.resampling)
        cameras = self.profile.recorded(shot.cameras).cropped(torch.from_numpy(boxes).double())
        points_mm = shot.points_mm[0].float()
        valid = torch.isfinite(points_mm).all(-1)
        root = root_points(points_mm, valid, self.skeleton)
        sample = Sample(
            images=images,
            present=present,
            cameras=cameras.resized(self.image_hw),
            boxes_px=torch.from_numpy(boxes),
            points_mm=points_mm,
            valid=valid,
            centre_mm=root.points[0],
            has_centre=root.valid[0],
            row=torch.tensor(row),
            key=shot.key,
        )
        return varied_pictures(sample, self.variations, seed)


class RenderedBatches:
    """Batches of an epoch, the share of this process of each. `scenes` is rounded up to fill the last batch."""

    def __init__(self, experiment: Experiment, data: RenderedData, model: Model, share: int, shares: int) -> None:
        self.data, self.experiment = data, experiment
        size = experiment.optimizer.batch_size
        self.rounds = -(-data.scenes // size)
        steps = self.rounds * data.instants
        wanted = experiment.samples_per_epoch
        self.steps = steps if wanted is None else min(steps, max(1, wanted // size))
        self._needed = -(-self.steps // data.instants)
        self.places = range(share * size // shares, (share + 1) * size // shares)
        self._scenes = RenderedScenes(
            data, model, self.rounds * size, data.first, experiment.augmentation, experiment.seed
        )
        self._drawn: Iterator[list[Sample]] = iter(())
        self._ready_for: tuple[int, int] | None = None
        scene_number(data.first + experiment.epochs * len(self._scenes) - 1, data.world)

    def __len__(self) -> int:
        return self.steps

    def epoch(self, epoch: int, first: int = 0) -> Iterator[Sample]:
        """The batches of an epoch, from the `first` on.

        Epochs that follow each other share their worker processes, which go on drawing while a model is evaluated.
        """
        experiment, seed, instants = self.experiment, self.experiment.seed, self.data.instants
        begun = first // instants
        if self._ready_for != (epoch, begun):
            self._drawn = self._drawing(epoch, begun)
        self._ready_for = None
        for r in range(begun, self._needed):
            of_places = [next(self._drawn) for _ in self.places]
            turns = [_turns(seed, epoch, r, place, instants) for place in self.places]
            for i in range(instants):
                if first <= r * instants + i < self.steps:
                    batch = [samples[turn[i]] for samples, turn in zip(of_places, turns, strict=True)]
                    yield collate(with_views(batch, experiment, self.data.cameras[1], epoch, r * instants + i))
        self._ready_for = (epoch + 1, 0)

    def _drawing(self, epoch: int, begun: int) -> Iterator[list[Sample]]:
        """The scenes of this process from a round of an epoch on, until the last epoch."""
        size, workers = self.experiment.optimizer.batch_size, self.experiment.run.workers
        order = (
            (e, r * size + place)
            for e in range(epoch, self.experiment.epochs)
            for r in range(begun if e == epoch else 0, self._needed)
            for place in self.places
        )
        ahead = -(-len(self.places) // workers) if workers else None
        loader = DataLoader(
            _ScenesOfEpochs(self._scenes), sampler=order, batch_size=None, num_workers=workers,  # pyright: ignore[reportArgumentType]
            prefetch_factor=ahead, collate_fn=_as_is,
        )  # fmt: skip
        return batches_of(loader)


class _ScenesOfEpochs(Dataset[list[Sample]]):
    """Item (e, n): samples of scene n of epoch e, where `first` are those of epoch 0."""

    def __init__(self, first: RenderedScenes) -> None:
        self.first = first

    def __getitem__(self, place: tuple[int, int]) -> list[Sample]:
        epoch, number = place
        return self.first.later(epoch * len(self.first))[number]


def _as_is(samples: list[Sample]) -> list[Sample]:
    return samples


def _turns(seed: int, epoch: int, r: int, place: int, instants: int) -> np.ndarray:
    """In which order a place of the batch sees the instants of its scene."""
    return np.random.default_rng([seed, epoch, r, place]).permutation(instants)


def with_views(batch: list[Sample], experiment: Experiment, most: int, epoch: int, number: int) -> list[Sample]:
    """One number of views for the whole batch of the run, of at most so many; each sample draws among those it has."""
    low = experiment.views.min or most
    high = min(experiment.views.max or most, most)
    rng = np.random.default_rng([experiment.seed, epoch, number])
    count = int(rng.integers(min(low, high), high + 1))
    return [teachable(chosen(sample, count, (experiment.seed, epoch, number))) for sample in batch]


def chosen(sample: Sample, count: int, seed: tuple[int, ...]) -> Sample:
    """`count` views of a sample: those that are there first, black ones where there are not as many."""
    rng = np.random.default_rng([*seed, int(sample.row)])
    order = rng.permutation(len(sample.present))
    order = order[np.argsort(~sample.present.numpy()[order], kind="stable")]
    views = np.sort(order[:count])
    short = count - len(views)
    picked = views_selected(sample, torch.from_numpy(np.concatenate([views, np.zeros(max(short, 0), np.int64)])))
    if short <= 0:
        return picked
    added = torch.arange(count) >= len(views)
    return replace(
        picked,
        present=picked.present & ~added,
        images=torch.where(added[:, None, None, None], 0.0, picked.images),
    )


class DrawnSamples(Dataset[Sample]):
    """Scenes for evaluation, drawn once, as bytes. Every sample has so many views, black where there is none."""

    def __init__(self, data: RenderedData, model: Model, views: int | None) -> None:
        scenes = RenderedScenes(data, model, data.scenes, data.first, _UNVARIED, 0)
        self.samples: list[Sample] = []
        self.pictures: list[Tensor] = []
        for index in range(len(scenes)):
            for sample in scenes[index]:
                padded = chosen(sample, views or data.cameras[1], (0,))
                self.pictures.append((padded.images * 255).round().byte())
                self.samples.append(replace(padded, images=padded.images[..., :0, :0]))

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return replace(self.samples[index], images=self.pictures[index].float() / 255)
