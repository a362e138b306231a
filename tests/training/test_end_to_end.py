"""From a label table to people in videos: both methods on the paper's backbone, and runs that build on each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dots import DotNetworks, draw, rig_of, walk  # pyright: ignore[reportMissingImports]  # tests/people
from runs import ALGEBRAIC, VOLUMETRIC, assert_same_run, losses, records, write_dataset, write_experiment

from trivox.cli import main
from trivox.data.open_labels import load_labels
from trivox.files.calibrations import save_rig
from trivox.files.reference_results import load_reference_results
from trivox.files.results import load_result
from trivox.geometry.skeletons import COCO_17, root_points
from trivox.models.checkpoints import load_model
from trivox.models.pose_resnet import PoseResNet
from trivox.people.networks import Networks
from trivox.train import Run, new_model, train
from trivox.training.config import LabelData
from trivox.training.experiment_files import load_experiment
from trivox.training.labelled import LabelledBatches

pytestmark = pytest.mark.usefixtures("one_thread", "narrow")
# Every weight of the backbone learns, with statistics of its own: nothing of it is as it came.
POSE_RESNET: dict[str, Any] = {
    "model__backbone": {"kind": "pose_resnet", "depth": 18},
    "samples_per_epoch": 4,
    "run__checkpoint_steps": 9,
    "evaluation__protocol": "absolute",
    "evaluation__batch_size": 2,
}
OPTIMIZERS: dict[str, Any] = {
    "algebraic": {"lr": 1e-5, "batch_size": 2, "batch_norm": "live"},
    "volumetric": {"lr": 1e-3, "backbone_lr": 1e-4, "batch_size": 2, "ema": 0.9, "batch_norm": "live"},
}
CONTENTS = {"algebraic": ALGEBRAIC, "volumetric": VOLUMETRIC}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module", params=["algebraic", "volumetric"])
def method(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def experiment(method: str, dataset: Path) -> Path:
    changes = POSE_RESNET | {"optimizer": OPTIMIZERS[method]}
    return write_experiment(dataset.parent / f"{method}.yaml", dataset, CONTENTS[method], **changes)


@pytest.fixture(scope="module")
def finished(method: str, experiment: Path, narrow: None) -> Path:
    """A run of the paper's method on its own kind of backbone, with a learned part in every group."""
    out = experiment.parent / method
    train(experiment, out=out)
    return out


def run_command(*words: object) -> int:
    with pytest.raises(SystemExit) as code:
        main([str(word) for word in words])
    return int(code.value.code or 0)


def evaluated(out: Path, *words: object) -> dict[str, Any]:
    assert run_command("evaluate", "--protocol", "absolute", "--workers", 0, "--out", out, *words) == 0
    return json.loads((out / "evaluation.json").read_text())


def test_the_backbone_learns_too(experiment: Path, finished: Path) -> None:
    assert len(losses(finished)) == 4 and all(np.isfinite(losses(finished)))
    torch.manual_seed(3)
    first, last = new_model(load_experiment(experiment)).state_dict(), load_model(finished / "last.safetensors")
    assert isinstance(last.backbone, PoseResNet)
    named = ("backbone.conv1.weight", "backbone.layer4.1.bn2.running_mean", "backbone.deconv_layers.0.weight")
    assert all(not torch.equal(first[name], last.state_dict()[name]) for name in named)


def test_an_interrupted_run_is_the_same(
    experiment: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Run.step

    def interrupted(run: Run, *given: Any) -> None:
        step(run, *given)
        if run.standing.step == 2:  # in the middle of the second epoch; the last state is of its beginning
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(experiment, out=tmp_path / "run")
    assert len(losses(tmp_path / "run")) == 3
    train(experiment, out=tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", finished)


@pytest.mark.parametrize("name", ["last", "best"])
def test_evaluate_says_what_training_said(
    name: str, dataset: Path, method: str, finished: Path, tmp_path: Path
) -> None:
    """The same numbers by another way: a model file and the command line, in other batches."""
    scores = [record["score_mm"] for record in records(finished, "evaluation")]
    expected = scores[-1] if name == "last" else min(scores)
    centres = ("--centres", "truth") if method == "volumetric" else ()
    words = ("--weights", finished / f"{name}.safetensors", "--labels", dataset, "--batch-size", 4, *centres)
    assert evaluated(tmp_path / "out", *words)["score_mm"] == pytest.approx(expected, rel=1e-5)


def test_predict_takes_what_was_trained(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Networks, "load", classmethod(lambda cls, *_: DotNetworks()))
    rig, truth = rig_of(3), walk(2, 1)
    folders = draw(truth, torch.ones(2, 3, 1, dtype=torch.bool), rig, tmp_path)
    save_rig(rig, tmp_path / "rig.toml")
    weights = finished / "best.safetensors"
    words = ("predict", tmp_path / "rig.toml", *folders, "--weights", weights, "--out", tmp_path / "out", "--fps", 30)
    assert run_command(*words) == 0
    poses = load_result(tmp_path / "out").poses
    assert poses.skeleton == COCO_17 and poses.points_mm.shape == (2, 1, 17, 3) and bool(poses.valid.any())


def test_an_algebraic_run_is_where_cubes_of_a_volumetric_one_are(dataset: Path, tmp_path: Path) -> None:
    """As published: train.pkl and val.pkl of the one are the pelvis of the other."""
    changes = {
        "epochs": 1,
        "samples_per_epoch": 2,
        "model__heatmap_multiplier": 1,
    }  # means of noise are near the middle
    train(write_experiment(tmp_path / "a.yaml", dataset, ALGEBRAIC, **changes), out=tmp_path / "a")
    words = ("--weights", tmp_path / "a" / "best.safetensors", "--labels", dataset, "--missing", "skip")
    for part in ("train", "test"):
        evaluated(tmp_path / part, *words, "--part", part, "--results-pkl", tmp_path / f"{part}.pkl")
    roots = {part: roots_of(tmp_path / f"{part}.pkl") for part in ("train", "test")}
    pelvises: dict[str, Any] = {
        "data__centres": str(tmp_path / "train.pkl"),
        "evaluation__data__centres": str(tmp_path / "test.pkl"),
    }
    experiment = load_experiment(write_experiment(tmp_path / "v.yaml", dataset, epochs=1, **pelvises))

    assert isinstance(experiment.data, LabelData)
    batches = LabelledBatches(experiment, experiment.data, new_model(experiment), 0, 1)
    batch = next(batches.epoch(0))
    assert torch.equal(batch.centre_mm, roots["train"][batch.row]) and bool(batch.has_centre.all())
    points_mm, valid = truth_of(dataset)
    truth = root_points(torch.from_numpy(points_mm), torch.from_numpy(valid), COCO_17).points[:, 0]
    assert not torch.allclose(truth[batch.row], batch.centre_mm, atol=1.0), "heatmaps of noise see nobody"

    train(experiment, out=tmp_path / "v")
    model = tmp_path / "v" / "last.safetensors"
    results = ("--results-pkl", tmp_path / "v.pkl")
    report = evaluated(
        tmp_path / "out", "--weights", model, "--labels", dataset, "--centres", tmp_path / "test.pkl", *results
    )
    (record,) = records(tmp_path / "v", "evaluation")
    assert record["score_mm"] == pytest.approx(report["score_mm"], rel=1e-5)
    found_mm = torch.from_numpy(load_reference_results(tmp_path / "v.pkl").in_order())
    assert float((found_mm - roots["test"][:, None]).abs().amax()) <= 1100, "in cubes of 2200 mm around them"


def truth_of(dataset: Path) -> tuple[np.ndarray, np.ndarray]:
    labels = load_labels(dataset)
    training = labels.selected(np.flatnonzero(labels.recording == 0))
    return training.points_mm, training.valid


def roots_of(results: Path) -> torch.Tensor:
    points_mm = torch.from_numpy(load_reference_results(results).in_order())
    return root_points(points_mm, torch.ones(points_mm.shape[:2], dtype=torch.bool), COCO_17).points[:, 0]


def test_one_view_is_evaluated_where_the_method_can(
    dataset: Path, method: str, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A volume knows a depth from one view; lines of one view cross nowhere."""
    words = ("evaluate", "--weights", finished / "last.safetensors", "--labels", dataset, "--cameras", "left")
    words += ("--protocol", "relative", "--workers", 0, "--out", tmp_path / "out")
    if method == "volumetric":
        assert run_command(*words, "--centres", "truth") == 0
        report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
        assert report["rows"] == 4 and 0 < report["score_mm"] < 2200 * 3**0.5
    else:
        assert run_command(*words) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "Traceback" not in error and not (tmp_path / "out").exists()
