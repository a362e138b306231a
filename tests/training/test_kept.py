"""Scenes kept as a frozen backbone sees them: the same samples as freshly drawn ones, and the same answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from runs import assert_equal, joined

from trivox.benchmark import by_model, errors_of, ransac
from trivox.data.samples import Sample, collate
from trivox.errors import InputError
from trivox.evaluate_model import ask
from trivox.geometry.skeletons import COCO_17, COCO_H36M_22, H36M_17, converted
from trivox.models.configs import V2VConfig
from trivox.models.volumetric import Volumetric
from trivox.train import new_model
from trivox.training.config import (
    AlgebraicOptions,
    CubeOptions,
    Evaluating,
    Experiment,
    MoveNetOptions,
    OptimizerOptions,
    RenderedData,
    RunOptions,
    VolumetricOptions,
)
from trivox.training.kept import KeptBatches, KeptForScoring, KeptScenes, KeptSceneSamples
from trivox.training.processes import Processes
from trivox.training.rendered import RenderedScenes
from trivox.training.scoring import HeldOut

pytestmark = pytest.mark.usefixtures("bodies")
MOVENET = MoveNetOptions(name="lightning")


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """Two small scenes, drawn."""
    kept = tmp_path_factory.mktemp("kept")
    data = RenderedData(scenes=2, instants=3, cameras=(2, 3), size_hw=(96, 128), occlusion=("none",), kept=kept)
    model = VolumetricOptions(
        skeleton="coco_h36m22",
        image_hw=(192, 192),
        backbone=MOVENET,
        inputs="both",
        cube=CubeOptions(side_mm=2200, size=8),
        v2v=V2VConfig(width=4, depth=1),
    )
    made = Experiment(
        model=model, data=data, optimizer=OptimizerOptions(batch_size=2, backbone_lr=0), run=RunOptions(workers=0)
    )
    scenes_of(made).draw(workers=0)
    return made


def scenes_of(experiment: Experiment) -> KeptScenes:
    data = cast(RenderedData, experiment.data)
    return KeptScenes(data, new_model(experiment), experiment.augmentation, experiment.seed)


def drawn(experiment: Experiment) -> list[Sample]:
    data, model = cast(RenderedData, experiment.data), new_model(experiment)
    scenes = RenderedScenes(data, model, data.scenes, data.first, experiment.augmentation, experiment.seed)
    return [sample for scene in range(2) for sample in scenes[scene]]


def test_kept_samples_are_the_drawn_ones(experiment: Experiment) -> None:
    kept = KeptSceneSamples(scenes_of(experiment))
    assert len(kept) == 6
    for i, fresh in enumerate(drawn(experiment)):
        sample = kept[i]
        assert (sample.key, int(sample.row)) == (fresh.key, int(fresh.row))
        for name in ("present", "points_mm", "valid", "boxes_px", "has_centre"):
            torch.testing.assert_close(getattr(sample, name), getattr(fresh, name), rtol=0, atol=1e-3)
        torch.testing.assert_close(sample.centre_mm, fresh.centre_mm, rtol=0, atol=1e-2)
        torch.testing.assert_close(sample.cameras.K, fresh.cameras.K)


def test_models_say_the_same_of_kept_samples(experiment: Experiment) -> None:
    kept = KeptSceneSamples(scenes_of(experiment))
    algebraic = AlgebraicOptions(skeleton="coco17", image_hw=(192, 192), backbone=MOVENET)
    for options, within_mm in ((experiment.model, 1.0), (algebraic, 5.0)):
        torch.manual_seed(0)
        model = new_model(replace(experiment, model=options)).eval()
        for i, fresh in enumerate(drawn(experiment)[:2]):
            place = {"centre_mm": fresh.centre_mm[None]} if isinstance(model, Volumetric) else {}
            with torch.inference_mode():
                ours, theirs = (ask(model, collate([sample]), **place) for sample in (kept[i], fresh))
            assert torch.equal(ours.valid, theirs.valid)
            assert float((ours.points_mm - theirs.points_mm)[ours.valid].norm(dim=-1).median()) < within_mm


def test_models_of_other_joints_learn_from_the_same_files(experiment: Experiment) -> None:
    other = replace(experiment, model=replace(experiment.model, skeleton="h36m17"))
    ours, theirs = KeptSceneSamples(scenes_of(other))[0], KeptSceneSamples(scenes_of(experiment))[0]
    expected = converted(theirs.points_mm, theirs.valid, COCO_H36M_22, H36M_17).points
    torch.testing.assert_close(ours.points_mm, expected, rtol=0, atol=1e-3)


def test_shares_make_the_whole_and_epochs_differ(experiment: Experiment) -> None:
    kept = scenes_of(experiment)
    whole = list(KeptBatches(experiment, kept, 0, 1).epoch(0))
    parts = zip(*(KeptBatches(experiment, kept, share, 2).epoch(0) for share in (0, 1)), strict=True)
    for batch, shared in zip(whole, parts, strict=True):
        assert_equal(joined([replace(part, looked=None) for part in shared]), batch)
    assert len({key for batch in whole for key in batch.key}) == 6
    assert [b.key for b in whole] != [b.key for b in KeptBatches(experiment, kept, 0, 1).epoch(1)]
    assert [b.key for b in whole[1:]] == [b.key for b in KeptBatches(experiment, kept, 0, 1).epoch(0, first=1)]


def test_scoring_has_one_number_of_views(experiment: Experiment) -> None:
    kept = scenes_of(experiment)
    assert {len(KeptForScoring(kept, views)[i].present) for i in range(6) for views in (None,)} == {3}
    assert {len(KeptForScoring(kept, 2)[i].present) for i in range(6)} == {2}


@pytest.mark.parametrize("method", ["volumetric", "algebraic"])
def test_ransac_beside_a_model_is_that_of_the_benchmark(experiment: Experiment, method: str) -> None:
    """Both counted by the benchmark's own way, over COCO's joints of the same detections."""
    algebraic = AlgebraicOptions(skeleton="coco17", image_hw=(192, 192), backbone=MOVENET)
    made = experiment if method == "volumetric" else replace(experiment, model=algebraic)
    torch.manual_seed(0)
    model, kept = new_model(made).eval(), scenes_of(made)
    alone = Processes(SimpleNamespace(barrier=lambda: None), 0, 1)
    held_out = HeldOut(Evaluating(data=made.data, views=3, ransac=True), model, alone, workers=0)
    record = held_out.record(model, alone)
    # Thresholds in pixels of 256 are three quarters of them in pictures of 192.
    methods = {"ransac": (lambda batch: ransac(batch, 9.0, 6.0), COCO_17), "model": (by_model(model), model.skeleton)}
    errors = errors_of(methods, kept, 3)
    both = errors["ransac"].found & errors["model"].found
    assert bool(both.any())
    for name, key in (("ransac", "ransac_mm"), ("model", "beside_ransac_mm")):
        poses = (errors[name].absolute_mm * both).sum(-1) / both.sum(-1)
        assert record[key] == pytest.approx(float(poses[both.any(-1)].double().mean()), rel=1e-5)
    assert record["ratio_to_ransac"] == record["beside_ransac_mm"] / record["ransac_mm"]
    assert (record["score_mm"] == pytest.approx(record["beside_ransac_mm"])) == (method == "algebraic")


def test_what_is_there_is_not_drawn_again(experiment: Experiment) -> None:
    kept = scenes_of(experiment)
    before = kept.path(0).stat().st_mtime_ns
    kept.path(1).unlink()
    kept.draw(workers=0)
    assert kept.path(1).is_file() and kept.path(0).stat().st_mtime_ns == before


def test_other_settings_are_refused(experiment: Experiment) -> None:
    data = cast(RenderedData, experiment.data)
    with pytest.raises(InputError, match="other settings"):
        scenes_of(replace(experiment, data=replace(data, occlusion=("heavy",)))).draw(workers=0)
    scenes_of(replace(experiment, data=replace(data, scenes=1))).draw(workers=0)


def test_a_backbone_that_learns_is_refused(experiment: Experiment) -> None:
    learning = replace(experiment, optimizer=OptimizerOptions(batch_size=2))
    with pytest.raises(InputError, match="backbone_lr"):
        KeptBatches(learning, scenes_of(experiment), 0, 1)
    kept = scenes_of(experiment)
    with torch.no_grad():
        next(kept.model.backbone.parameters()).add_(0.01)  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(InputError, match="as it was published"):
        kept.draw(workers=0)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_file_is_named_in_one_sentence(experiment: Experiment, workers: int, tmp_path: Path) -> None:
    data = replace(cast(RenderedData, experiment.data), kept=tmp_path)
    damaged = replace(experiment, data=data, run=RunOptions(workers=workers))
    for scene in range(2):
        scenes_of(damaged).path(scene).write_bytes(b"no tensors")
    with pytest.raises(InputError, match=r"train-000000\d.safetensors cannot be read \(.*\); remove it") as caught:
        list(KeptBatches(damaged, scenes_of(damaged), 0, 1).epoch(0))
    assert "Traceback" not in str(caught.value)
