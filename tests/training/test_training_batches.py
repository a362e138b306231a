"""Batches of several processes are those of one, from labels and from rendered scenes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import VOLUMETRIC, assert_equal, joined, write_dataset, write_experiment

from trivox.train import new_model
from trivox.training.config import Experiment, LabelData, RenderedData, ViewsOptions
from trivox.training.experiment_files import load_experiment
from trivox.training.labelled import LabelledBatches
from trivox.training.rendered import DrawnSamples, RenderedBatches

needs_bodies = pytest.mark.usefixtures("bodies")
RENDERED = {
    "kind": "rendered", "scenes": 4, "instants": 2, "cameras": [2, 3], "size_hw": [96, 128], "occlusion": ["none"],
}  # fmt: skip


def labelled(folder: Path) -> tuple[Experiment, Any]:
    experiment = load_experiment(write_experiment(folder / "e.yaml", write_dataset(folder)))
    assert isinstance(experiment.data, LabelData)
    data = experiment.data
    return experiment, lambda e, *share: LabelledBatches(e, data, new_model(e), *share)


def rendered(folder: Path) -> tuple[Experiment, Any]:
    content = {**VOLUMETRIC, "data": {**RENDERED, "labels": "x"}}
    path = write_experiment(folder / "e.yaml", folder, content)
    path.write_text(path.read_text().replace(f"  labels: {folder}\n", "", 1))
    experiment = load_experiment(path)
    assert isinstance(experiment.data, RenderedData)
    data = experiment.data
    return experiment, lambda e, *share: RenderedBatches(e, data, new_model(e), *share)


def test_shares_make_the_whole(tmp_path: Path) -> None:
    assert_shares_make_the_whole(*labelled(tmp_path))


@needs_bodies
def test_shares_of_rendered_scenes_make_the_whole(tmp_path: Path) -> None:
    assert_shares_make_the_whole(*rendered(tmp_path))


def assert_shares_make_the_whole(experiment: Experiment, made: Any) -> None:
    whole = list(made(experiment, 0, 1).epoch(1))
    shares = [list(made(experiment, share, 2).epoch(1)) for share in (0, 1)]
    assert len(whole) == len(made(experiment, 0, 1)) == 4
    for together, *parts in zip(whole, *shares, strict=True):
        assert_equal(joined(parts), together)
    # In the middle of the epoch, and with a worker process, they go on as they would have.
    workers = replace(experiment, run=replace(experiment.run, workers=2))
    for late, together in zip(made(workers, 0, 1).epoch(1, first=1), whole[1:], strict=True):
        assert_equal(late, together)
    # So they do after another epoch, whose workers they may share, and after one that was left.
    batches = made(workers, 0, 1)
    next(batches.epoch(1))
    assert len(list(batches.epoch(0))) == 4
    for later, together in zip(batches.epoch(1), whole, strict=True):
        assert_equal(later, together)


def test_epochs_vary_order_and_boxes(tmp_path: Path) -> None:
    experiment, made = labelled(tmp_path)
    batches = made(replace(experiment, views=ViewsOptions(min=3, max=3)), 0, 1)
    first, second = ([batch[i] for batch in batches.epoch(epoch) for i in range(2)] for epoch in (0, 1))
    assert [sample.key for sample in first] != [sample.key for sample in second]
    boxes = {sample.key: sample.boxes_px for sample in first}
    assert boxes.keys() == {sample.key for sample in second}
    assert all(not torch.equal(boxes[sample.key], sample.boxes_px) for sample in second)


@needs_bodies
def test_rendered_scenes_show_the_person_and_differ_between_epochs(tmp_path: Path) -> None:
    experiment, made = rendered(tmp_path)
    batches = made(experiment, 0, 1)
    keys = [key for epoch in (0, 1) for batch in batches.epoch(epoch) for key in batch.key]
    assert len(set(keys)) == len(keys) == 16
    for batch in batches.epoch(0):
        assert 2 <= batch.present.shape[1] <= 3
        h, w = batch.images.shape[-2:]
        for view in batch.present.nonzero().tolist():
            sample, camera = view
            pixels = batch.cameras[sample, camera].project(batch.points_mm[sample].double())
            inside = ((pixels > 0) & (pixels < torch.tensor([w, h]))).all(-1)
            assert float(inside.float().mean()) > 0.6
            assert float(batch.images[sample, camera].std()) > 0.01


@needs_bodies
def test_kept_samples_are_those_of_the_world_they_come_from(tmp_path: Path) -> None:
    experiment, _ = rendered(tmp_path)
    assert isinstance(experiment.data, RenderedData)
    kept = DrawnSamples(replace(experiment.data, world="test", scenes=1), new_model(experiment), None)
    assert len(kept) == 2 and kept[1].key == "test/0/1" and kept[1].images.shape[0] == 3
    assert [int(kept[i].row) for i in range(2)] == [0, 1]
