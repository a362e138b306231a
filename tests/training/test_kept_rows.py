"""Rows of a label table kept as a frozen backbone sees them: what training sees, without looking again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runs import VOLUMETRIC, losses, picture_paths, records, write_dataset, write_experiment

from trivox.data.open_labels import load_labels, save_labels
from trivox.errors import InputError
from trivox.evaluate_model import ask
from trivox.geometry.skeletons import COCO_17, H36M_17, converted
from trivox.models.configs import Model
from trivox.train import new_model, train
from trivox.training.config import Experiment, LabelData
from trivox.training.experiment_files import load_experiment
from trivox.training.kept import KeptBatches
from trivox.training.kept_rows import KeptRows
from trivox.training.processes import start
from trivox.training.scoring import HeldOut

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"))


def made(path: Path, labels: Path, **changes: Any) -> tuple[Experiment, Model]:
    kept: dict[str, Any] = {"data__kept": str(path.with_name("kept")), "model__inputs": "both"}
    experiment = load_experiment(write_experiment(path, labels, **kept | changes))
    return experiment, new_model(experiment)


def rows_of(experiment: Experiment, model: Model) -> KeptRows:
    assert isinstance(experiment.data, LabelData)
    return KeptRows.to_learn_from(experiment.data, model, experiment.augmentation, experiment.seed)


def test_models_say_the_same_of_kept_rows(dataset: Path, tmp_path: Path) -> None:
    """Half precision of what the backbone said is all that differs; a missing view stays missing."""
    torch.manual_seed(0)
    experiment, model = made(tmp_path / "e.yaml", dataset)
    kept = rows_of(experiment, model)
    kept.draw(workers=0)
    model.eval()
    samples = kept.opened()
    assert (
        len(samples) == 8
        and [bool(sample.present.all()) for sample in map(samples.__getitem__, range(8))].count(False) == 1
    )
    for row in (0, 3):
        ours, fresh = samples[row], kept.dataset.varied(row)
        assert (ours.key, int(ours.row)) == (fresh.key, int(fresh.row)) == (kept.dataset.labels.key(row), row)
        for name in ("present", "boxes_px", "points_mm", "valid", "centre_mm", "has_centre"):
            assert torch.equal(getattr(ours, name), getattr(fresh, name)), name
        for name in ("K", "R", "t_mm", "distortion", "image_hw"):
            assert torch.equal(getattr(ours.cameras, name), getattr(fresh.cameras, name)), name
        assert ours.cameras.distortion_model == fresh.cameras.distortion_model
        with torch.inference_mode():
            found, expected = (
                ask(model, batch, centre_mm=batch.centre_mm).points_mm
                for batch in (replace(s, key="").map(lambda t: t[None]) for s in (ours, fresh))
            )
        assert float((found - expected).norm(dim=-1).max()) < 1.0


def test_truth_and_joints_are_those_of_the_table(dataset: Path, tmp_path: Path) -> None:
    """Corrected truth, and other joints, learn from files that are there."""
    experiment, model = made(tmp_path / "e.yaml", dataset)
    rows_of(experiment, model).draw(workers=0)
    labels = load_labels(dataset)
    labels.points_mm[2] += 25.0
    save_labels(labels, dataset.parent / "corrected.json")
    other, its = made(tmp_path / "o.yaml", dataset.parent / "corrected.json", model__skeleton="h36m17")
    kept = rows_of(other, its)
    before = {path.name: path.stat().st_mtime_ns for path in kept.folder.glob("*.safetensors")}
    kept.draw(workers=0)
    assert before == {path.name: path.stat().st_mtime_ns for path in kept.folder.glob("*.safetensors")}
    truth = converted(torch.from_numpy(labels.points_mm[2]), torch.from_numpy(labels.valid[2]), COCO_17, H36M_17)
    assert torch.equal(kept.opened()[2].points_mm, truth.points)


def test_what_decides_the_pictures_has_to_be_the_same(dataset: Path, tmp_path: Path) -> None:
    experiment, model = made(tmp_path / "e.yaml", dataset)
    rows_of(experiment, model).draw(workers=0)
    labels = load_labels(dataset)
    labels.boxes_px[0, 0] -= 7
    save_labels(labels, dataset.parent / "boxes.json")
    for path, changes in (
        (dataset.parent / "boxes.json", {}),
        (dataset, {"augmentation__brightness": 0.1}),
        (dataset, {"data__cameras": ["left", "right"]}),
        (dataset, {"data__scale_bbox": 1.1}),
        (dataset, {"seed": 4}),
    ):
        with pytest.raises(InputError, match="keeps rows that were drawn with other settings"):
            rows_of(*made(tmp_path / "e.yaml", path, **changes)).draw(workers=0)
    rows_of(*made(tmp_path / "e.yaml", dataset, augmentation__shift_cubes_mm=9.0, views={"min": 3})).draw(workers=0)


def test_shares_make_the_whole(dataset: Path, tmp_path: Path) -> None:
    experiment, model = made(tmp_path / "e.yaml", dataset)
    kept = rows_of(experiment, model)
    kept.draw(workers=0)
    whole = list(KeptBatches(experiment, kept, 0, 1).epoch(1))
    parts = zip(*(KeptBatches(experiment, kept, share, 2).epoch(1) for share in (0, 1)), strict=True)
    assert sorted(key for batch in whole for key in batch.key) == sorted(map(kept.dataset.labels.key, range(8)))
    for batch, shared in zip(whole, parts, strict=True):
        assert batch.key == tuple(key for part in shared for key in part.key)
        assert torch.equal(batch.cameras.K, torch.cat([part.cameras.K for part in shared]))
    assert len(KeptBatches(replace(experiment, samples_per_epoch=1), kept, 0, 1)) == 1, "a batch, as of pictures"


def test_a_run_over_kept_rows_learns_and_scores_like_one_that_looks(dataset: Path, tmp_path: Path) -> None:
    """Scored on the same rows as pictures; and pictures are needed no more once they were seen."""
    folders = {"data__kept": str(tmp_path / "train"), "evaluation__data__kept": str(tmp_path / "test")}
    folder = write_dataset(tmp_path / "data")
    experiment = write_experiment(tmp_path / "e.yaml", folder, VOLUMETRIC, **folders)
    train(experiment, out=tmp_path / "run")
    weights = {"model__weights": str(tmp_path / "run" / "last.safetensors"), "optimizer__lr": 1e-30, "epochs": 1}
    train(write_experiment(tmp_path / "again.yaml", folder, **weights), out=tmp_path / "again")
    ours, looked = records(tmp_path / "run", "evaluation")[-1], records(tmp_path / "again", "evaluation")[0]
    assert ours["poses"] == looked["poses"] == 4 and ours["protocol"] == looked["protocol"]
    assert ours["score_mm"] == pytest.approx(looked["score_mm"], abs=1.0)
    for path in picture_paths(load_labels(folder), 0):
        path.unlink()
    train(experiment, out=tmp_path / "blind")
    assert losses(tmp_path / "blind") == losses(tmp_path / "run") and np.isfinite(losses(tmp_path / "run")).all()


def test_a_table_is_scored_with_so_many_views(dataset: Path, tmp_path: Path) -> None:
    """Those that are there first (these rows have two of three), and the same of pictures as of kept rows."""
    kept: dict[str, Any] = {"evaluation__data__kept": str(tmp_path / "kept")}
    for views in (1, 2):
        looked, read = (
            held_out(write_experiment(tmp_path / "e.yaml", dataset, None, evaluation__views=views, **where)).dataset
            for where in ({}, kept)
        )
        for row in range(4):
            sample, again = looked[row], read[row]
            assert sample.key == again.key and sample.present.tolist() == again.present.tolist() == [True] * views
            assert torch.equal(sample.cameras.K, again.cameras.K) and torch.equal(sample.boxes_px, again.boxes_px)


def held_out(path: Path) -> HeldOut:
    experiment = load_experiment(path)
    assert experiment.evaluation is not None
    return HeldOut(experiment.evaluation, new_model(experiment), start(experiment), 0)


def test_a_picture_that_is_missing_is_named(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "data")
    picture_paths(load_labels(folder), 5)[0].unlink()
    with pytest.raises(InputError, match="walk/000002/p.*000002.jpg"):
        rows_of(*made(tmp_path / "e.yaml", folder)).draw(workers=0)
