"""The experiments that come along, each begun on a small dataset in the layout that it is for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from runs import records, write_table
from tables import human36m_labels, panoptic_labels, small_labels

from trivox.data.labels import Labels
from trivox.models.checkpoints import load_model
from trivox.train import train
from trivox.training.config import LabelData, RenderedData
from trivox.training.experiment_files import load_experiment
from trivox.training.kept import KeptScenes
from trivox.training.new_models import new_model
from trivox.training.rendered import RenderedBatches, scene_options

EXPERIMENTS = Path(__file__).parent.parent.parent / "experiments"
PATHS = sorted(EXPERIMENTS.glob("*.yaml"))
LABELLED = [path for path in PATHS if isinstance(load_experiment(path).data, LabelData)]
RENDERED = [path for path in PATHS if path not in LABELLED]
TABLES: dict[str, Callable[[Path], Labels]] = {
    "human36m": human36m_labels,
    "panoptic": panoptic_labels,
    "own": small_labels,
}
# The same experiment, but small: another depth, few channels, small pictures and cubes, one batch.
SMALL = {
    "epochs": 1, "samples_per_epoch": 2, "optimizer.batch_size": 2, "evaluation.batch_size": 4,
    "run": {"device": "cpu", "workers": 0, "tensorboard": False},
}  # fmt: skip


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small datasets by the names that experiments begin with, each with a file that splits its frames."""
    root = tmp_path_factory.mktemp("data")
    for name, made in TABLES.items():
        labels = made(root / name)
        write_table(labels, root / name)
        first, second = (recording.name for recording in labels.recordings)
        (root / name / "frames.yaml").write_text(yaml.safe_dump({"train": [first], "test": [second]}))
    return root


def small(path: Path, tables: Path) -> list[str]:
    """Overrides for an experiment over labels."""
    experiment, folder = load_experiment(path), tables / path.stem.partition("_")[0]
    changes: dict[str, Any] = {**SMALL, "model.weights": None, "evaluation.data.cameras": []}
    for data in ("data", "evaluation.data"):
        changes[f"{data}.labels"] = str(folder / "labels.json")
        if "split" in path.read_text():
            changes[f"{data}.split"] = str(folder / "frames.yaml")
    if experiment.model.backbone.kind == "pose_resnet":
        changes |= {"model.backbone.depth": 18, "model.image_hw": [128, 128]}
    if experiment.model.method == "volumetric":
        changes |= {"model.cube.size": 8, "model.v2v": {"width": 4, "depth": 1}}
    return [f"{key}={json.dumps(value)}" for key, value in changes.items()]


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("path", LABELLED, ids=lambda path: path.stem)
def test_experiments_over_labels_begin_and_end(path: Path, tables: Path, tmp_path: Path) -> None:
    overrides, given = small(path, tables), load_experiment(path)
    last = train(path, out=tmp_path / "run", overrides=overrides)
    (step,), (score,) = records(tmp_path / "run"), records(tmp_path / "run", "evaluation")
    assert np.isfinite([step["loss"], score["score_mm"]]).all() and score["poses"] == 4
    expected = {"human36m": "human36m-relative", "panoptic": "panoptic-relative", "own": "absolute"}
    assert score["protocol"] == expected[path.stem.partition("_")[0]]
    model = load_model(last)
    assert model.skeleton.names == new_model(load_experiment(path, overrides)).skeleton.names
    assert given.model.backbone.kind == ("movenet" if path.stem == "own_data" else "pose_resnet")


@pytest.mark.parametrize("path", RENDERED, ids=lambda path: path.stem)
def test_experiments_over_rendered_scenes_are_put_together(path: Path, tmp_path: Path) -> None:
    """Up to the first scene that would be drawn: the model, and what is asked of the world."""
    overrides = ["model.weights=null"]  # those of another run
    if "motion:" in path.read_text():
        overrides += [f"{data}.motion={tmp_path}" for data in ("data", "evaluation.data")]
    experiment = load_experiment(path, overrides)
    model, held_out = new_model(experiment), experiment.evaluation
    assert isinstance(experiment.data, RenderedData) and held_out is not None
    assert isinstance(held_out.data, RenderedData)
    for data in (experiment.data, held_out.data):
        assert all(scene_options(data, occlusion).frames == data.instants for occlusion in data.occlusion)
        if data.kept is not None:
            assert KeptScenes(data, model, experiment.augmentation, experiment.seed).settings()["data"]["instants"]
    assert held_out.views is None or held_out.views <= held_out.data.cameras[1]
    if experiment.data.kept is None:
        assert len(RenderedBatches(experiment, experiment.data, model, 0, 1)) == 128
