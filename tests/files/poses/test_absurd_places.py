"""A joint beyond all measure is refused by every reader of joints, in a sentence with the file's name."""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scene_trees import write_scene
from scipy.io import savemat
from tables import human36m_labels, panoptic_labels, small_labels

from trivox.cli.main import main
from trivox.data.human36m import write_human36m_npy
from trivox.data.open_labels import save_labels
from trivox.data.panoptic import write_panoptic_npy
from trivox.errors import InputError
from trivox.evaluation_inputs import labels_of, load_predictions
from trivox.files.npz import write_npz
from trivox.files.poses import load_poses, save_poses
from trivox.geometry.poses import Poses
from trivox.geometry.skeletons import COCO_17, H36M_17

POINTS = np.full((3, 1, 17, 3), 1234.5)
ABSURD = [1e300, -1e300, 1e308, 1e12]
ABSURD_FLOAT32 = [1e20, -1e12]


def changed(value: float) -> np.ndarray:
    points = POINTS.copy()
    points[1, 0, 2, 1] = value
    return points


def some_poses() -> Poses:
    points, valid = torch.from_numpy(POINTS), torch.ones(3, 1, 17, dtype=torch.bool)
    return Poses(points, valid, valid.double(), torch.arange(3), COCO_17, 25.0)


def native(path: Path, value: float) -> None:
    save_poses(some_poses(), path)
    with np.load(path) as saved:
        write_npz(path, {**saved, "points_mm": changed(value)})


def plain(path: Path, value: float) -> None:
    np.savez(path, points_mm=changed(value), joint_names=np.array(COCO_17.names))


def text(path: Path, value: float) -> None:
    """A .csv in millimetres or a .trc in metres."""
    save_poses(some_poses(), path)
    place = "1234.5000" if path.suffix == ".csv" else "1.234500"
    assert place in path.read_text()
    path.write_text(path.read_text().replace(place, str(value), 1))


def actors(path: Path, value: float) -> None:
    frames = np.empty((3, 1), object)
    for f, joints in enumerate(changed(value)[:, 0, :14]):
        frames[f, 0] = joints
    cell = np.empty((1, 1), object)
    cell[0, 0] = frames
    savemat(path, {"actor3D": cell})


def mvor(path: Path, value: float) -> None:
    joints = np.concatenate([changed(value)[1, 0, :10], np.ones((10, 1))], 1).flatten().tolist()
    person = {"image_ids": "1_2_3", "person_id": 0, "keypoints3D": joints}
    pictures = [{"images": [{"id": 1}, {"id": 2}, {"id": 3}]}]
    path.write_text(json.dumps({"annotations3D": [person], "multiview_images": pictures}))


POSES: dict[str, tuple[str, Callable[[Path, float], None]]] = {
    "trivox's own": ("poses.npz", native),
    "plain arrays": ("plain.npz", plain),
    "csv": ("poses.csv", text),
    "trc": ("poses.trc", text),
    "actors of Shelf": ("actorsGT.mat", actors),
    "MVOR": ("camma.json", mvor),
}


def refused(read: Callable[[], object], name: str) -> None:
    with warnings.catch_warnings(), pytest.raises(InputError, match=rf"{name}.* mm away, farther than") as told:
        warnings.simplefilter("error")
        read()
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("value", ABSURD)
@pytest.mark.parametrize("kind", POSES)
def test_files_of_poses(tmp_path: Path, kind: str, value: float) -> None:
    name, write = POSES[kind]
    write(tmp_path / name, 1234.5 if value != 1e12 else 0.5)
    assert load_poses(tmp_path / name).valid.all(), "without it the file is a good one"
    (tmp_path / name).unlink()
    write(tmp_path / name, value)
    refused(lambda: load_poses(tmp_path / name), name)


def results_pkl(path: Path, points: np.ndarray) -> Path:
    path.write_bytes(pickle.dumps({"keypoints_3d": points[:, 0], "indexes": np.arange(len(points))}))
    return path


@pytest.mark.parametrize("units", ["mm", "cm", "m"])
@pytest.mark.parametrize("value", ABSURD)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_results_of_the_published_system(tmp_path: Path, value: float, units, dtype) -> None:
    points = changed(np.clip(value, -3e38, 3e38)).astype(dtype)
    path = results_pkl(tmp_path / "results.pkl", points)
    refused(lambda: load_predictions(path, units=units), "results.pkl")
    points[~(np.abs(points) < 1e9)] = np.nan  # not found, which the file may say
    found = load_predictions(results_pkl(path, points), units=units)
    assert not isinstance(found, Poses) and int((~found.found).sum()) == 1


def test_evaluate_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, truth = results_pkl(tmp_path / "results.pkl", POINTS), tmp_path / "truth.npz"
    np.savez(truth, points_mm=changed(1e300), joint_names=np.array(H36M_17.names))
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", str(good), "--truth", str(truth)])
    said = capsys.readouterr().err.strip()
    assert ended.value.code == 2 and said.count("\n") == 0 and f"{truth} has a joint 1e+300 mm away" in said


@pytest.mark.parametrize("value", ABSURD_FLOAT32)
@pytest.mark.parametrize(
    ("made", "write", "name"),
    [
        (small_labels, save_labels, "labels.json"),
        (human36m_labels, write_human36m_npy, "human36m.npy"),
        (panoptic_labels, write_panoptic_npy, "panoptic.npy"),
    ],
    ids=["open", "human36m", "panoptic"],
)
def test_label_tables(tmp_path: Path, made, write, name: str, value: float) -> None:
    labels = made(tmp_path)
    write(labels, tmp_path / name)
    labels_of(tmp_path / name)
    points = labels.points_mm.copy()
    points[2, 3, 0] = value
    write(replace(labels, points_mm=points), tmp_path / name)
    refused(lambda: labels_of(tmp_path / name), "labels.npz" if name == "labels.json" else name)


@pytest.mark.parametrize("units", ["mm", "m"])
def test_truth_of_a_scene(tmp_path: Path, units: str) -> None:
    write_scene(tmp_path / "scenes" / "walk")
    (tmp_path / "scenes" / "walk" / "truth.npz").unlink()
    (tmp_path / "scenes" / "dataset.yaml").write_text(f"truth_units: {units}\nskeleton: coco17\n")
    for frame, value in ((3, 1.0), (4, 1e300)):
        people = [{"id": 0, "joints": [[0.5, value, 0.5]] * 17}]
        (tmp_path / "scenes" / "walk" / f"3DKeypoints_{frame}.json").write_text(json.dumps(people))
    refused(lambda: labels_of(tmp_path / "scenes"), "walk")
