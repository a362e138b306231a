"""Experiments as files: those that come along, faults by line, overrides, and configs of the published system."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from trivox.cli import main
from trivox.errors import InputError
from trivox.files.reference_configs import read_reference_config
from trivox.training.config import (
    AlgebraicOptions,
    Experiment,
    LabelData,
    PoseResNetOptions,
    RenderedData,
    VolumetricOptions,
)
from trivox.training.experiment_files import load_experiment, written
from trivox.training.optimization import learning_rates, rate_factor

EXPERIMENTS = Path(__file__).parent.parent.parent / "experiments"
SMALL = """\
seed: 1
model:
  method: volumetric
  backbone: {kind: movenet}
  cube: {size: 32}
data:
  kind: labels
  labels: labels.json
optimizer:
  lr: 1e-4
"""


def loaded(folder: Path, text: str, *overrides: str) -> Experiment:
    (folder / "e.yaml").write_text(text)
    return load_experiment(folder / "e.yaml", overrides)


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_experiments_that_come_along_are_sound_and_come_back(path: Path, tmp_path: Path) -> None:
    experiment = load_experiment(path)
    (tmp_path / "again.yaml").write_text(written(experiment))
    assert load_experiment(tmp_path / "again.yaml") == experiment
    config = experiment.model.config()
    assert config.backbone.joint_confidences == (config.method == "algebraic" and config.use_confidences)


def test_the_papers_rates() -> None:
    """Section 4 of Iskakov et al., ICCV 2019."""
    volumetric = load_experiment(EXPERIMENTS / "human36m_volumetric_softmax.yaml").optimizer
    rates = learning_rates(volumetric)
    assert (rates["backbone"], rates["features"], rates["volume"], volumetric.batch_size) == (1e-4, 1e-3, 1e-3, 5)
    algebraic = load_experiment(EXPERIMENTS / "human36m_algebraic.yaml")
    assert set(learning_rates(algebraic.optimizer).values()) == {1e-5} and algebraic.optimizer.batch_size == 8
    assert (algebraic.loss.joints, algebraic.loss.threshold, algebraic.samples_per_epoch) == ("mse_smooth", 400, 15000)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  lr: 1e-4", "  learning_rate: 1e-4", r"e.yaml, line 10: there is no optimizer.learning_rate; there are lr,"),
        ("  lr: 1e-4", "  batchsize: 4", r"line 10: there is no optimizer.batchsize; did you mean batch_size\?"),
        ("seed: 1", "sed: 1", r"line 1: there is no sed; did you mean seed\?"),
        ("{size: 32}", "{sise: 32}", r"line 5: there is no model.cube.sise; did you mean (size|side_mm)\?"),
        ("{kind: movenet}", "{kind: movenet, nmae: x}", r"line 4: there is no model.backbone.nmae; did you mean name"),
        ("lr: 1e-4", "lr: fast", r"line 10: optimizer.lr is 'fast', but input should be a valid number"),
        ("lr: 1e-4", "lr: -1", r"line 10: optimizer.lr is '-1', but input should be greater than or equal to 0"),
        ("method: volumetric", "method: voluptuous", r"line 2: model.method says which kind it is, .*'volumetric'"),
        ("  labels: labels.json\n", "", r"line 6: data.labels is missing; add it"),
        ("  lr: 1e-4", "  lr: 1e-4\n  freeze_after: 0.5",
         r"line 11: optimizer.freeze_after is for live batch norm, and .* is frozen .*; set batch_norm to live"),
        ("seed: 1", "seed: 1\nviews: {max: 2, min: 3}",
         r"line 2: views.min is 3 and views.max 2; put the smaller number first"),
        ("seed: 1", "seed: 1\nseed: 2", r"line 2: seed stands in line 1 too"),
        ("seed: 1", "seed: [", r"e.yaml is not valid YAML"),
        ("seed: 1", "seed: &a 1\nepochs: *a", "uses aliases"),
    ],
)  # fmt: skip
def test_faults_name_the_line_and_the_nearest_key(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in SMALL
    with pytest.raises(InputError, match=said):
        loaded(tmp_path, SMALL.replace(old, new))


@pytest.mark.parametrize("side", ["1e308", "1e400", ".inf", ".nan", "-2500", "0", "wide", "[2500]"])
def test_a_cube_of_no_possible_side(tmp_path: Path, side: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "e.yaml"
    path.write_text(SMALL.replace("{size: 32}", f"{{size: 32, side_mm: {side}}}"))
    with pytest.raises(SystemExit) as exit_code:
        main(["train", str(path), "--out", str(tmp_path / "run")])
    error = capsys.readouterr().err
    assert exit_code.value.code == 2 and error.count("\n") == 1
    assert f"{path}, line 5: model.cube.side_mm is" in error and not (tmp_path / "run").exists()
    path.write_text(VOLUMETRIC_REFERENCE.replace("cuboid_side: 2500.0", f"cuboid_side: {side}"))
    with pytest.raises(InputError, match=r"e\.yaml.*(cuboid_side|side_mm)"):
        load_experiment(path)


def test_overrides_go_before_the_file(tmp_path: Path) -> None:
    experiment = loaded(
        tmp_path, SMALL, "optimizer.lr=3e-5", "model.cube.size=64", "views.max=3", "data={kind: rendered, scenes: 5}"
    )
    assert experiment.optimizer.lr == 3e-5 and experiment.views.max == 3
    assert isinstance(experiment.model, VolumetricOptions) and experiment.model.cube.size == 64
    assert experiment.data == RenderedData(scenes=5)


def test_held_out_data_are_the_test_part_of_the_same_table(tmp_path: Path) -> None:
    own = "labels: labels.json\n  kept: train\n  scale_bbox: 1.1"
    text = SMALL.replace("labels: labels.json", own) + "evaluation: {}\n"
    experiment = loaded(tmp_path, text, "data.labels=mine.json", "evaluation.data.kept=test")
    assert experiment.evaluation is not None
    expected = replace(experiment.data, part="test", kept=Path("test"))
    assert experiment.evaluation.data == expected and expected.labels == Path("mine.json")  # pyright: ignore
    other = loaded(tmp_path, text, "evaluation.data={kind: labels, labels: other.json}").evaluation
    assert other is not None and other.data == LabelData(labels=Path("other.json"))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("optimizer.lr", "'optimizer.lr' is no key=value"),
        ("optimizer.rl=1", r"--override optimizer.rl=1: there is no optimizer.rl; did you mean lr\?"),
        ("optimizer.lr.x=1", "lr is a value, with nothing below it"),
        ("epochs=none", "--override epochs=none: epochs is 'none'"),
        ("optimizer.freeze_after=0.5", "--override optimizer.freeze_after=0.5: optimizer.freeze_after is for live"),
    ],
)
def test_faults_of_overrides(tmp_path: Path, override: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        loaded(tmp_path, SMALL, override)


def test_the_command_line_says_it_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "e.yaml").write_text(SMALL)
    with pytest.raises(SystemExit) as exit_code:
        main(["train", str(tmp_path / "e.yaml"), "--out", str(tmp_path / "run"), "--override", "epoch=3", "seed=4"])
    error = capsys.readouterr().err
    assert exit_code.value.code == 2 and "there is no epoch; did you mean epochs?" in error and error.count("\n") == 1
    with pytest.raises(SystemExit) as exit_code:
        main(["board", str(tmp_path / "absent")])
    assert exit_code.value.code == 2 and "there is no folder" in capsys.readouterr().err


def test_schedules() -> None:
    options = replace(loaded_options(), warm_up_steps=3, schedule="cosine")
    factors = [rate_factor(step, 103, options) for step in range(103)]
    assert factors[:3] == [0.25, 0.5, 0.75] and factors[3] == 1.0
    assert factors[53] == pytest.approx(0.5) and 0 < factors[-1] < 1e-3
    linear = replace(options, schedule="linear")
    assert (
        rate_factor(53, 103, linear) == pytest.approx(0.5)
        and rate_factor(53, 103, replace(options, schedule="constant")) == 1
    )


def loaded_options():
    return load_experiment(EXPERIMENTS / "own_data.yaml").optimizer


REFERENCE = """
title: "human36m_alg"
kind: "human36m"
vis_freq: 1000
image_shape: [384, 384]
opt:
  criterion: "MSESmooth"
  mse_smooth_threshold: 400
  n_objects_per_epoch: 15000
  n_epochs: 9999
  batch_size: 8
  val_batch_size: 16
  lr: 0.00001
  scale_keypoints_3d: 0.1
model:
  name: "alg"
  init_weights: false
  checkpoint: ""
  use_confidences: true
  heatmap_multiplier: 100.0
  heatmap_softmax: true
  backbone:
    name: "resnet152"
    style: "simple"
    init_weights: true
    checkpoint: "pretrained.pth"
    num_joints: 17
    num_layers: 152
dataset:
  kind: "human36m"
  train:
    h36m_root: "./processed/"
    labels_path: "./labels.npy"
    with_damaged_actions: true
    undistort_images: true
    scale_bbox: 1.5
    randomize_n_views: true
    min_n_views: 2
    max_n_views: null
  val:
    h36m_root: "./processed/"
    labels_path: "./labels.npy"
    with_damaged_actions: false
    undistort_images: true
    retain_every_n_frames_in_test: 30
    ignore_cameras: [3]
"""


def test_a_config_of_the_published_system_is_the_same_run(tmp_path: Path) -> None:
    experiment = loaded(tmp_path, REFERENCE)
    model, data = experiment.model, experiment.data
    assert isinstance(model, AlgebraicOptions) and isinstance(data, LabelData) and experiment.evaluation is not None
    assert (model.profile, model.weights, model.image_hw) == ("reference", Path("pretrained.pth"), (384, 384))
    assert set(learning_rates(experiment.optimizer).values()) == {1e-5} and experiment.optimizer.batch_norm == "live"
    assert (experiment.loss.joints, experiment.loss.threshold, experiment.loss.scale) == ("mse_smooth", 400, 0.1)
    assert (data.scale_bbox, data.undistort_images, data.part) == (1.5, True, "train")
    assert (experiment.views.min, experiment.views.max) == (2, None)
    held_out = experiment.evaluation.data
    assert isinstance(held_out, LabelData)
    assert (held_out.part, held_out.every, held_out.damaged, held_out.ignore_cameras) == ("test", 30, "without", ("3",))
    assert loaded(tmp_path, REFERENCE, "optimizer.batch_size=2").optimizer.batch_size == 2


def test_a_published_volumetric_config(data: Path) -> None:
    path = data / "learnable_triangulation_formats" / "results_config.yaml"
    if not path.is_file():
        pytest.skip(f"no {path}")
    experiment, said = load_experiment(path), yaml.safe_load(path.read_text())
    model, rows = experiment.model, experiment.data
    assert isinstance(model, VolumetricOptions) and isinstance(rows, LabelData)
    assert model.weights == Path(said["model"]["checkpoint"]) and model.aggregation == "softmax"
    assert (model.cube.side_mm, model.cube.size, model.cube.up) == (2500, 64, "z")
    assert rows.centres == Path(said["dataset"]["train"]["pred_results_path"])
    rates = learning_rates(experiment.optimizer)
    assert (rates["backbone"], rates["features"], rates["volume"]) == (1e-4, 1e-3, 1e-3)
    assert (experiment.loss.joints, experiment.loss.cross_entropy) == ("mae", 0.01)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name: "alg"', 'name: "ransac"', "nothing to train"),
        ('criterion: "MSESmooth"', 'criterion: "Huber"', "opt.criterion is 'Huber', expected one of MSE"),
        ('    labels_path: "./labels.npy"\n', "", "labels is missing"),
    ],
)
def test_faults_of_published_configs(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        loaded(tmp_path, REFERENCE.replace(old, new))


VOLUMETRIC_REFERENCE = REFERENCE.replace(
    """  name: "alg"
  init_weights: false
  checkpoint: ""
  use_confidences: true
""",
    """  name: "vol"
  kind: "mpii"
  volume_aggregation_method: "softmax"
  init_weights: false
  checkpoint: ""
  use_gt_pelvis: false
  cuboid_side: 2500.0
  volume_size: 64
  volume_multiplier: 1.0
  volume_softmax: true
""",
).replace("  lr: 0.00001\n", "  lr: 0.0001\n  process_features_lr: 0.001\n  volume_net_lr: 0.001\n")


def test_published_variants_without_confidences_and_with_the_true_pelvis(tmp_path: Path) -> None:
    plain = loaded(tmp_path, REFERENCE.replace("use_confidences: true", "use_confidences: false")).model
    assert isinstance(plain, AlgebraicOptions) and not plain.use_confidences
    pelvis = loaded(tmp_path, VOLUMETRIC_REFERENCE.replace("use_gt_pelvis: false", "use_gt_pelvis: true"))
    assert pelvis.evaluation is not None and pelvis.evaluation.centres == "truth"
    assert isinstance(pelvis.data, LabelData) and pelvis.data.centres is None
    rates = learning_rates(pelvis.optimizer)
    assert (rates["backbone"], rates["features"], rates["volume"]) == (1e-4, 1e-3, 1e-3)


@pytest.mark.parametrize(("side", "scale"), [("2500.0", "0.1"), ("250.0", "1.0")])
def test_published_configs_for_panoptic_count_in_millimetres_or_centimetres(
    tmp_path: Path, side: str, scale: str
) -> None:
    """The same run, whichever of the two it was written in."""
    text = VOLUMETRIC_REFERENCE.replace("2500.0", side).replace(
        "scale_keypoints_3d: 0.1", f"scale_keypoints_3d: {scale}"
    )
    text = text.replace('kind: "human36m"', 'kind: "cmu"').replace("h36m_root", "cmu_root")
    experiment = loaded(tmp_path, text)
    assert isinstance(experiment.model, VolumetricOptions) and experiment.model.cube.side_mm == 2500
    assert experiment.loss.scale == pytest.approx(0.1)
    assert isinstance(experiment.data, LabelData) and experiment.data.pictures == Path("processed")


ROOT, LABELS = "./data/human36m/processed/", "./data/human36m/extra/human36m-multiview-labels-GTbboxes.npy"
BACKBONE = "./data/pretrained/human36m/pose_resnet_4.5_pixels_human36m.pth"
FOUND = "./data/pretrained/human36m/human36m_alg_10-04-2019/checkpoints/0060/results/"
WHOLE = {name: f"./data/pretrained/human36m/human36m_{name}/weights.pth" for name in ("alg", "vol")}


def published(method: str, *, test_batch: int, opt: dict, model: dict, train: dict | None = None, val: dict) -> dict:
    """A config as the published system has it, every key of its files included."""
    common = {"criterion": "MSESmooth", "mse_smooth_threshold": 400, "n_objects_per_epoch": 15000, "n_epochs": 9999}
    common |= {"batch_size": 8, "val_batch_size": test_batch, "lr": 1e-5, "scale_keypoints_3d": 0.1}
    part = {"h36m_root": ROOT, "labels_path": LABELS, "with_damaged_actions": True, "undistort_images": True}
    part |= {"scale_bbox": 1.0, "randomize_n_views": False, "min_n_views": None, "max_n_views": None, "num_workers": 8}
    part |= train or {}
    backbone = {"name": "resnet152", "style": "simple", "init_weights": True, "checkpoint": BACKBONE}
    network = {"name": method, "init_weights": False, "checkpoint": "", "heatmap_multiplier": 100.0}
    network |= {"heatmap_softmax": True, "backbone": backbone | {"num_joints": 17, "num_layers": 152}}
    return {
        "title": f"human36m_{method}",
        "kind": "human36m",
        "vis_freq": 1000,
        "vis_n_elements": 10,
        "image_shape": [384, 384],
        "opt": common | opt,
        "model": network | model,
        "dataset": {
            "kind": "human36m",
            "train": part | {"shuffle": True},
            "val": part | {"shuffle": False, "retain_every_n_frames_in_test": 1} | val,
        },
    }


def published_volumetric(test_batch: int, *, side: float = 2500.0, pelvis: bool = False, **changes: dict) -> dict:
    opt = {"criterion": "MAE", "use_volumetric_ce_loss": True, "volumetric_ce_loss_weight": 0.01, "batch_size": 5}
    opt |= {"lr": 1e-4, "process_features_lr": 1e-3, "volume_net_lr": 1e-3}
    model = {"kind": "mpii", "volume_aggregation_method": "softmax", "use_gt_pelvis": pelvis, "cuboid_side": side}
    model |= {"volume_size": 64, "volume_multiplier": 1.0, "volume_softmax": True}
    centres = {} if pelvis else {"pred_results_path": f"{FOUND}train.pkl"}
    own = {} if pelvis else {"pred_results_path": f"{FOUND}val.pkl"}
    return published(
        "vol",
        test_batch=test_batch,
        opt=opt | changes.get("opt", {}),
        model=model | changes.get("model", {}),
        train=centres | changes.get("train", {}),
        val=own | changes.get("val", {}),
    )


CMU = {"h36m_root": None, "cmu_root": "./data/cmupanoptic", "labels_path": "./data/cmupanoptic/labels.npy"}
CONFIGS = {
    "human36m/train/alg": published("alg", test_batch=16, opt={}, model={"use_confidences": True}, val={}),
    "human36m/train/alg_no_conf": published(
        "alg", test_batch=16, opt={"n_objects_per_epoch": 10000}, model={"use_confidences": False}, val={}
    ),
    "human36m/train/vol_softmax": published_volumetric(10),
    "human36m/train/vol_softmax_gtpelvis": published_volumetric(
        10, pelvis=True, val={"retain_every_n_frames_in_test": 30}
    ),
    "human36m/eval/alg": published(
        "alg", test_batch=100, opt={}, val={},
        model={"use_confidences": True, "init_weights": True, "checkpoint": WHOLE["alg"]},
    ),
    "human36m/eval/vol_softmax": published_volumetric(20, model={"init_weights": True, "checkpoint": WHOLE["vol"]}),
    "cmu/train/vol_softmax": published_volumetric(10, train=CMU, val=CMU),
    "cmu/eval/vol_softmax_small": published_volumetric(
        15, side=250.0, opt={"scale_keypoints_3d": 1.0}, model={"init_weights": True, "checkpoint": WHOLE["vol"]},
        train=CMU, val=CMU | {"ignore_cameras": [2, 5, 10], "with_damaged_actions": None},
    ),
}  # fmt: skip
VOLUMETRIC_RATES = {"backbone": 1e-4, "heads": 1e-4, "features": 1e-3, "volume": 1e-3}


def read_published(folder: Path, name: str) -> tuple[Experiment, LabelData, LabelData]:
    config = CONFIGS[name]
    if name.startswith("cmu"):
        config = config | {"kind": "cmu", "dataset": config["dataset"] | {"kind": "cmu"}}
    experiment = loaded(folder, yaml.safe_dump(config))
    assert experiment.evaluation is not None and isinstance(experiment.data, LabelData)
    assert isinstance(experiment.evaluation.data, LabelData)
    return experiment, experiment.data, experiment.evaluation.data


@pytest.mark.parametrize("name", CONFIGS)
def test_every_published_config_is_the_run_that_it_describes(name: str, tmp_path: Path) -> None:
    experiment, data, held_out = read_published(tmp_path, name)
    dataset, _, kind = name.split("/")
    model, evaluation = experiment.model, experiment.evaluation
    root = Path("data/cmupanoptic" if dataset == "cmu" else ROOT)
    assert evaluation is not None and data.pictures == held_out.pictures == root
    assert (data.part, held_out.part) == ("train", "test") and data.undistort_images and held_out.undistort_images
    assert (model.profile, model.skeleton, model.image_hw) == ("reference", "h36m17", (384, 384))
    assert isinstance(model.backbone, PoseResNetOptions)
    assert (model.backbone.depth, model.backbone.style) == (152, "simple")
    assert experiment.optimizer.batch_norm == "live" and experiment.optimizer.schedule == "constant"
    assert (experiment.views.min, experiment.views.max) == (None, None)
    assert experiment.epochs == 9999 and experiment.loss.scale == pytest.approx(0.1)
    is_whole = name.split("/")[1] == "eval"
    assert model.weights == Path(WHOLE["alg" if kind == "alg" else "vol"] if is_whole else BACKBONE)
    if kind.startswith("alg"):
        assert isinstance(model, AlgebraicOptions) and model.heatmap_softmax and model.heatmap_multiplier == 100
        assert model.use_confidences == (kind == "alg") and experiment.optimizer.batch_size == 8
        assert (experiment.loss.joints, experiment.loss.threshold) == ("mse_smooth", 400)
        assert set(learning_rates(experiment.optimizer).values()) == {1e-5}
        assert data.centres is held_out.centres is None
    else:
        assert isinstance(model, VolumetricOptions) and model.aggregation == "softmax" and model.volume_softmax
        assert (model.cube.side_mm, model.cube.size, model.volume_multiplier) == (2500, 64, 1)
        assert (experiment.loss.joints, experiment.loss.cross_entropy) == ("mae", 0.01)
        assert learning_rates(experiment.optimizer) == VOLUMETRIC_RATES and experiment.optimizer.batch_size == 5
        own = kind != "vol_softmax_gtpelvis"
        assert (data.centres, held_out.centres) == (
            (Path(f"{FOUND}train.pkl"), Path(f"{FOUND}val.pkl")) if own else (None, None)
        )
        assert evaluation.centres == ("own" if own else "truth")
    told = (experiment.samples_per_epoch, evaluation.batch_size, held_out.every, held_out.damaged)
    assert (
        told
        == {
            "human36m/train/alg": (15000, 16, 1, "with"),
            "human36m/train/alg_no_conf": (10000, 16, 1, "with"),
            "human36m/train/vol_softmax": (15000, 10, 1, "with"),
            "human36m/train/vol_softmax_gtpelvis": (15000, 10, 30, "with"),
            "human36m/eval/alg": (15000, 100, 1, "with"),
            "human36m/eval/vol_softmax": (15000, 20, 1, "with"),
            "cmu/train/vol_softmax": (15000, 10, 1, "with"),
            "cmu/eval/vol_softmax_small": (15000, 15, 1, "without"),
        }[name]
    )
    assert held_out.ignore_cameras == (("2", "5", "10") if kind == "vol_softmax_small" else ())
    experiment.model.config()


def test_a_published_config_of_ransac_has_nothing_to_train_but_says_how_to_run_it(tmp_path: Path) -> None:
    config = published("ransac", test_batch=100, opt={}, model={"direct_optimization": True}, val={})
    with pytest.raises(InputError, match="has nothing to train; import its backbone .* and score it with"):
        loaded(tmp_path, yaml.safe_dump(config))
    said = read_reference_config(tmp_path / "e.yaml")
    assert (said.refine, said.depth, said.style, said.joints, said.skeleton) == (True, 152, "simple", 17, "h36m17")
