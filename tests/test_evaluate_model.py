"""A model over a dataset: the bundled scene as labels, whose exact truth the bundled network has to find."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from scene_trees import write_scene

import trivox
from trivox.cli import main
from trivox.data.dataset import PoseDataset
from trivox.data.labels import Labels
from trivox.data.open_labels import load_labels, save_labels
from trivox.data.pictures import Pictures, Recording
from trivox.data.samples import Sample
from trivox.errors import InputError
from trivox.evaluate import evaluate
from trivox.evaluate_model import Running, Views, dataset_for, evaluate_model, in_own_worlds, predict_rows
from trivox.files.calibrations import load_rig
from trivox.files.reference_results import load_reference_results, save_reference_results
from trivox.geometry.axes import angle_deg
from trivox.geometry.skeletons import COCO_17, root_points
from trivox.geometry.triangulated import Triangulated
from trivox.geometry.volumes import rotation_about
from trivox.models.checkpoints import load_model, save_model
from trivox.models.configs import CubeConfig, Model, MoveNetConfig, V2VConfig, VolumetricConfig, built

# The package's name of the module is that of its function.
MODULE = import_module("trivox.evaluate_model")
SCENE = Path(trivox.__file__).parent / "demo_scene"
FRAMES = [0, 12, 24, 36]
HERE = Running(batch_size=3, workers=0, device="cpu")


def scene_labels(frames: list[int]) -> Labels:
    """The demo scene as a test recording; boxes are squares about the projected truth, with room around."""
    rig, poses = load_rig(SCENE / "calibration.json", up="z"), trivox.load_poses(SCENE / "truth.npz")
    truth_mm = poses.points_mm[frames, 0]
    points_px = rig.cameras.project(truth_mm.reshape(-1, 3).expand(4, -1, 3)).reshape(4, -1, 17, 2).transpose(0, 1)
    low, high = points_px.amin(2), points_px.amax(2)
    half = (high - low).amax(-1, keepdim=True) * 0.65
    middle = (low + high) / 2
    rows = len(frames)
    return Labels(
        name="scenes",
        skeleton=poses.skeleton,
        recordings=(Recording("videos", action="walk", part="test"),),
        camera_names=rig.names,
        cameras=rig.cameras[None],
        has_camera=np.ones((1, 4), bool),
        recording=np.zeros(rows, np.int64),
        frames=np.array(frames, np.int64),
        people=np.zeros(rows, np.int64),
        points_mm=truth_mm.float().numpy(),
        valid=np.ones((rows, 17), bool),
        confidence=np.ones((rows, 17), np.float32),
        boxes_px=torch.cat([middle - half, middle + half], -1).round().long().numpy(),
        pictures=Pictures(SCENE, "{recording}/{camera}.mp4"),
        up=torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64),
    )


@pytest.fixture(scope="module")
def labels_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("labels") / "labels.json"
    save_labels(scene_labels(FRAMES), path)
    return path


@pytest.fixture(scope="module")
def results(labels_file: Path) -> Path:
    """What the bundled network says of all rows, kept as the published system does."""
    path = labels_file.with_name("results.pkl")
    report = evaluate_model("ransac-thunder", labels=labels_file, running=HERE, results_pkl=path)
    assert report.choices["score_mm"] < 35
    assert report.choices["model"] == "ransac-thunder" and report.choices["rows"] == len(FRAMES)
    return path


def test_kept_predictions_score_the_same(labels_file: Path, results: Path) -> None:
    report = evaluate(results, labels=labels_file)
    truth = load_labels(labels_file).points_mm
    errors = np.linalg.norm(load_reference_results(results).points_mm - truth, axis=-1)
    assert report.choices["score_mm"] == pytest.approx(errors.mean(), abs=1e-3) and errors.mean() < 35


def test_batches_do_not_matter(labels_file: Path, results: Path) -> None:
    model = load_model("ransac-thunder")
    dataset = dataset_for(model, load_labels(labels_file), Views(), HERE)
    one_by_one = predict_rows(model, dataset, replace(HERE, batch_size=1))
    together = load_reference_results(results).points_mm
    np.testing.assert_allclose(one_by_one.points_mm.numpy(), together, atol=0.5)


def renamed(labels: Labels, axis: tuple[float, float, float], angle: float, *, told: bool) -> Labels:
    """The same table, as if its files had been written with other axes."""
    turn = rotation_about(torch.tensor(axis).double(), torch.tensor(angle).double())
    other = labels.turned(turn[None], turn @ torch.tensor([0.0, 0.0, 1.0]).double())
    return replace(other, turned_by=None, up=other.up if told else None)


def test_a_model_sees_every_dataset_the_way_up_that_it_was_trained_with(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the axes of the table, and whether it says which way is up: the same joints, in the table's world."""
    labels, model, running = scene_labels([0, 36]), load_model("volumetric"), replace(HERE, centres="truth")

    def predicted(table: Labels) -> torch.Tensor:
        dataset = dataset_for(model, table, Views(), running)
        assert dataset.labels.up is not None and angle_deg(dataset.labels.up, model.cube.up_axis) < 1e-3  # pyright: ignore
        return in_own_worlds(predict_rows(model, dataset, running), dataset.labels).points_mm[
            :, list(model.skeleton.indices(COCO_17.names))
        ]

    truth_mm = torch.from_numpy(labels.points_mm)
    mean_mm = (predicted(labels) - truth_mm).norm(dim=-1).mean()
    assert not capsys.readouterr().err.count("which way is up")
    off_mm = []
    for axis, angle in (((1.0, 0.0, 0.0), np.pi / 2), ((0.3, -1.0, 0.5), 2.0)):
        table = renamed(labels, axis, angle, told=True)
        off_mm.append((predicted(table) - torch.from_numpy(table.points_mm)).norm(dim=-1))
        assert abs(off_mm[-1].mean() - mean_mm) < 2.0
    torch.testing.assert_close(off_mm[0], off_mm[1], atol=0.1, rtol=0)
    untold = renamed(labels, (0.3, -1.0, 0.5), 2.0, told=False)
    assert abs((predicted(untold) - torch.from_numpy(untold.points_mm)).norm(dim=-1).mean() - mean_mm) < 2.0
    assert "videos: which way is up is not said (--up): from how people stand" in capsys.readouterr().err


def test_rows_without_pictures_are_missing_and_refused(labels_file: Path, tmp_path: Path) -> None:
    labels = load_labels(labels_file).selected(np.array([0, 1]))
    labels.boxes_px[1] = 0
    save_labels(labels, tmp_path / "labels.json")
    with pytest.raises(InputError, match="17 of 34 joints with known truth are missing"):
        evaluate_model("ransac-lightning", labels=tmp_path / "labels.json", running=HERE)
    report = evaluate_model(
        "ransac-lightning",
        labels=tmp_path / "labels.json",
        running=HERE,
        missing="skip",
        results_pkl=tmp_path / "r.pkl",
    )
    assert report.choices["joints_missing"].startswith("17 skipped") and report.choices["score_mm"] < 60
    assert np.isnan(load_reference_results(tmp_path / "r.pkl").points_mm[1]).all()


@pytest.fixture(scope="module")
def volumetric(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model in a cube so small that its joints betray where the cube is."""
    torch.manual_seed(0)
    config = VolumetricConfig(
        joints=load_model("ransac-lightning").skeleton.names,
        profile="trivox",
        image_hw=(192, 192),
        backbone=MoveNetConfig(name="lightning", joint_confidences=False, feature_confidences=False),
        aggregation="softmax",
        cube=CubeConfig(side_mm=100.0, size=(8, 8, 8), up="z", exchanged=False),
        v2v=V2VConfig(width=4, depth=1),
        volume_softmax=True,
        volume_multiplier=1.0,
    )
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_model(built(config), path)
    return path


def roots_of(dataset: PoseDataset, points: np.ndarray) -> torch.Tensor:
    points_mm = torch.from_numpy(points)
    return root_points(points_mm, torch.ones(points_mm.shape[:2], dtype=torch.bool), dataset.labels.skeleton).points


@pytest.mark.parametrize("where", ["truth", "earlier", "own"])
def test_cubes_stand_where_they_are_told(labels_file: Path, results: Path, volumetric: Path, where: str) -> None:
    model = load_model(volumetric)
    labels = load_labels(labels_file).selected(np.array([0, 3]))
    shifted = labels_file.with_name("shifted.pkl")
    moved = labels.points_mm + np.array([500.0, -300, 200])
    save_reference_results(moved, shifted, labels.skeleton.names)
    centres = {"truth": "truth", "earlier": shifted, "own": "own"}[where]
    running = replace(HERE, centres=centres)
    dataset = dataset_for(model, labels, Views(), running)
    found = predict_rows(model, dataset, running)
    truth = roots_of(dataset, labels.points_mm)
    expected = truth + torch.tensor([500.0, -300, 200]) if where == "earlier" else truth
    # Half the diagonal of the cube; its own centre is as good as the network's hips.
    away = (found.points_mm - expected).abs().amax()
    assert away < (150 if where == "own" else 50.1) and bool(found.found.all())


@pytest.mark.parametrize(
    ("options", "said"),
    [({"protocol": "people"}, "give a file of poses"), ({"compare": "absent.json"}, "there is no file absent.json")],
)
def test_what_cannot_be_scored_is_refused_before_the_model_runs(
    labels_file: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, str], said: str
) -> None:
    monkeypatch.setattr(MODULE, "_run", lambda *_: pytest.fail("the model runs"))
    with pytest.raises(InputError, match=said):
        evaluate_model("ransac-lightning", labels=labels_file, running=HERE, **options)  # type: ignore[arg-type]


def test_an_interrupted_run_goes_on_where_it_stopped(
    labels_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in its second batch: the first is not computed again, and the results are those of a run in one go."""
    batches: list[list[int]] = []
    run, results = MODULE._run, tmp_path / "results.pkl"

    def counted(model: Model, sample: Sample, has_centres: bool) -> Triangulated:
        batches.append(sample.row.tolist())
        if stops and len(batches) == 2:
            raise KeyboardInterrupt
        return run(model, sample, has_centres)

    monkeypatch.setattr(MODULE, "_run", counted)
    stops = True
    with pytest.raises(KeyboardInterrupt):
        evaluate_model("ransac-lightning", labels=labels_file, running=HERE, results_pkl=results)
    kept = tmp_path / "results.pkl.unfinished.npz"
    assert kept.is_file() and not results.exists()
    stops = False
    with pytest.raises(InputError, match="holds what another evaluation has done"):
        evaluate_model("ransac-thunder", labels=labels_file, running=HERE, results_pkl=results)
    views = Views(scale_bbox=1.1)
    with pytest.raises(InputError, match="holds what another evaluation has done"):
        evaluate_model("ransac-lightning", labels=labels_file, running=HERE, views=views, results_pkl=results)
    batches.clear()
    evaluate_model("ransac-lightning", labels=labels_file, running=HERE, results_pkl=results)
    assert batches == [[3]] and not kept.exists()
    whole = tmp_path / "whole.pkl"
    evaluate_model("ransac-lightning", labels=labels_file, running=HERE, results_pkl=whole)
    assert np.array_equal(load_reference_results(results).points_mm, load_reference_results(whole).points_mm)
    results.unlink()
    kept.write_bytes(b"?")
    with pytest.raises(InputError, match="holds what another evaluation has done"):
        evaluate_model("ransac-lightning", labels=labels_file, running=HERE, results_pkl=results)


def test_a_picture_that_a_worker_cannot_read_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = write_scene(tmp_path / "scenes" / "one")
    path = scene / "images" / "cam2" / "cam2_000004.jpg"
    path.write_bytes(path.read_bytes()[:300])
    words = ["--weights", "ransac-lightning", "--labels", str(tmp_path / "scenes"), "--workers", "1"]
    with pytest.raises(SystemExit) as exit_code:
        main(["evaluate", *words, "--missing", "skip"])
    error = capsys.readouterr().err
    assert exit_code.value.code == 2 and error.count("\n") == 1
    assert error.startswith(f"trivox: one/000004/p0: {path} is damaged")


def test_the_command_line_runs_a_model(labels_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--weights", "ransac-lightning", "--labels", str(labels_file), "--workers", "0", "--device", "cpu"]
    with pytest.raises(SystemExit) as exit_code:
        main(["evaluate", *words, "--recordings", "videos", "--protocol", "limbs", "--out", str(tmp_path / "out")])
    printed = capsys.readouterr()
    assert exit_code.value.code == 0, printed.err
    assert "limbs: MPJPE" in printed.out and (tmp_path / "out" / "evaluation.csv").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--weights", "ransac-thunder"], "give --labels"),
        (["--weights", "ransac-thunder", "--truth", "t.npz"], "give --labels"),
        (["results.pkl", "--weights", "ransac-thunder"], "either predictions or a model"),
        ([], "either predictions or a model"),
        (["--weights", "nothing", "--labels", "LABELS"], "no model of that name"),
        (["--weights", "ransac-thunder", "--labels", "LABELS", "--device", "abacus"], "no device 'abacus'"),
        (["--weights", "ransac-thunder", "--labels", "LABELS", "--cameras", "cam9"], "no camera 'cam9'"),
        (["--weights", "ransac-thunder", "--labels", "LABELS", "--centres", "absent.pkl"], "no file absent.pkl"),
        (["--weights", "ransac-thunder", "--labels", "LABELS", "--workers", "-1"], "give --batch-size from 1 and"),
        (["--weights", "ransac-thunder", "--labels", "LABELS", "--batch-size", "0"], "give --batch-size from 1 and"),
        (["--weights", "ransac-thunder", "--labels", "LABELS", "--scale-bbox", "0"], "cannot be scaled by 0"),
        (["--weights", "ransac-thunder", "--labels", "LABELS", "--scale-bbox", "nan"], "cannot be scaled by nan"),
        (["--weights", "ransac-thunder", "--labels", "LABELS", "--pictures", "x"], "knows where its pictures are"),
        (["--weights", "ransac-thunder", "--labels", "LABELS", "--skeleton", "coco17"], "a model knows its own"),
        (["--weights", "ransac-thunder", "--labels", "LABELS", "--units", "cm"], "for a results.pkl in --centres"),
    ],
)
def test_what_cannot_be_run_is_one_sentence(
    labels_file: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as exit_code:
        main(["evaluate", *(str(labels_file) if word == "LABELS" else word for word in words)])
    error = capsys.readouterr().err
    assert exit_code.value.code == 2 and said in error and error.count("\n") == 1, error
