"""A small whole file of every kind that trivox reads, and who reads it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import torch
from safetensors.torch import save_file

from trivox.data.open_labels import load_labels
from trivox.data.scene_folders import read_stated
from trivox.data.splits import read_split
from trivox.files.calibrations import load_rig, save_rig
from trivox.files.images import read_image
from trivox.files.keypoints import load_keypoints, save_keypoints
from trivox.files.poses import load_poses, save_poses
from trivox.files.reference_configs import read_reference_training
from trivox.files.reference_results import (
    load_metric_json,
    load_reference_results,
    save_metric_json,
    save_reference_results,
)
from trivox.files.safe_pickle import load_npy
from trivox.files.videos import Video
from trivox.geometry.cameras import Cameras
from trivox.geometry.keypoints import Keypoints2D
from trivox.geometry.poses import Poses
from trivox.geometry.rig import Rig
from trivox.geometry.skeletons import COCO_17
from trivox.models.checkpoints import load_model
from trivox.models.weights import read_pickled
from trivox.training.experiment_files import load_experiment


@dataclass(frozen=True)
class Kind:
    """A kind of file: how a whole one is written, and who reads it."""

    suffix: str
    write: Callable[[Path], object]
    read: Callable[[Path], object]


def rig(*names: str, up: tuple[float, ...] = (0.0, 0.0, 1.0)) -> Rig:
    """Two cameras side by side, three metres before the middle."""
    K = torch.tensor([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]]).double().expand(2, 3, 3)
    R = torch.eye(3).double().expand(2, 3, 3)
    t_mm = torch.tensor([[0.0, 0, 3000], [500, 0, 3000]]).double()
    sizes = torch.tensor([[480, 640]] * 2)
    cameras = Cameras(K, R, t_mm, torch.zeros(2, 5).double(), image_hw=sizes)
    return Rig(names or ("cam1", "cam2"), cameras, up=torch.tensor(up).double())


def poses() -> Poses:
    valid = torch.ones(3, 1, 17, dtype=torch.bool)
    valid[1, 0, -1] = False
    points = torch.linspace(-500, 500, 3 * 17 * 3).reshape(3, 1, 17, 3).double() * valid[..., None]
    up = torch.tensor([0.0, 0, 1]).double()
    return Poses(points, valid, valid.double(), torch.arange(3), COCO_17, 30.0, up)


def seen(view: int = 0) -> Keypoints2D:
    people = poses()
    points = rig().cameras[view].project(people.points_mm.nan_to_num().reshape(-1, 3)).reshape(3, 1, 17, 2)
    return Keypoints2D(points * people.valid[..., None], people.valid.double(), torch.arange(3), COCO_17)


def _calibration(suffix: str, made: Rig | None = None, **options: Any) -> Kind:
    """A calibration by the writer of its format; readers recognise it by its content."""

    def write(path: Path) -> None:
        save_rig(made or rig(), path, **options)

    return Kind(suffix, write, lambda path: load_rig(path, units="mm"))


def _as_easymocap(path: Path) -> object:
    """The mutated file as the extrinsics beside whole intrinsics."""
    save_rig(rig(), path.parent / "folder", format="easymocap")
    (path.parent / "folder" / "extri.yml").unlink()
    moved(path, path.parent / "folder" / "extri.yml")
    return load_rig(path.parent / "folder", units="mm")


def _easymocap(path: Path) -> None:
    save_rig(rig(), path.parent / "folder", format="easymocap")
    (path.parent / "folder" / "extri.yml").replace(path)
    shutil.rmtree(path.parent / "folder")


def _text(content: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(content, "utf-8")


def _openpose(path: Path) -> None:
    flat = np.concatenate([seen().points_px[0, 0].numpy(), np.ones((17, 1))], 1).ravel().tolist()
    path.write_text(json.dumps({"version": 1.3, "people": [{"pose_keypoints_2d": flat}]}))


def _coco(path: Path) -> None:
    rows = [np.concatenate([points[0].numpy(), np.ones((17, 1))], 1).ravel().tolist() for points in seen().points_px]
    path.write_text(
        json.dumps([{"image_id": i, "category_id": 1, "keypoints": row, "score": 1.0} for i, row in enumerate(rows)])
    )


def _deeplabcut(path: Path) -> None:
    head = [
        ["scorer", *["s"] * 6],
        ["bodyparts", *["nose"] * 3, *["tail"] * 3],
        ["coords", *["x", "y", "likelihood"] * 2],
    ]
    rows = [[str(i), "1.5", "2.5", "0.9", "3", "4", "0.8"] for i in range(3)]
    path.write_text("\n".join(",".join(row) for row in head + rows) + "\n")


def _hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        group = file.create_group("df_with_missing")
        group.attrs["pandas_type"], group.attrs["nblocks"] = "frame", 1
        group.attrs["axis1_variety"] = group.attrs["axis0_variety"] = "regular"
        group["axis1"], group["block0_values"] = np.arange(3), np.ones((3, 6))
        group.attrs["block0_items_variety"], group.attrs["block0_items_nlevels"] = "multi", 3
        for level, names in enumerate(([b"s"], [b"nose", b"tail"], [b"x", b"y", b"likelihood"])):
            group[f"block0_items_level{level}"] = np.array(names)
        group["block0_items_label0"] = np.zeros(6, int)
        group["block0_items_label1"], group["block0_items_label2"] = np.repeat([0, 1], 3), np.tile([0, 1, 2], 2)


def _picture(path: Path) -> None:
    cv2.imwrite(str(path), np.arange(48 * 64 * 3, dtype=np.uint8).reshape(48, 64, 3))


def _folder_of(name: str) -> Callable[[Path], object]:
    """A reader of folders, given one that holds the file under this name alone."""

    def read(path: Path) -> object:
        folder = path.parent / "folder"
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        moved(path, folder / name)
        return load_keypoints(folder, skeleton="coco17")

    return read


def _experiment(path: Path) -> None:
    shutil.copy(sorted((Path(__file__).parent.parent / "experiments").glob("*.yaml"))[0], path)


def _model(path: Path) -> None:
    save_file({"a": torch.zeros(4)}, path, {"trivox_model": json.dumps({"method": "ransac", "joints": ["a"]})})


def _video(path: Path) -> None:
    path.write_bytes((files("trivox") / "demo_scene" / "videos" / "cam1.mp4").read_bytes())


def _matrix(name: str, rows: int, cols: int, numbers: list[float]) -> str:
    return f"{name}: !!opencv-matrix\n  rows: {rows}\n  cols: {cols}\n  dt: d\n  data: {numbers}\n"


OPENCV = '%YAML:1.0\n---\nnames:\n  - "0"\n' + _matrix("K_0", 3, 3, [500.0, 0, 320, 0, 500, 240, 0, 0, 1])
OPENCV += _matrix("dist_0", 1, 5, [0.0] * 5) + _matrix("R_0", 3, 1, [0.0] * 3) + _matrix("T_0", 3, 1, [0.0, 0, 3])
PLAIN = {"points_mm": poses().points_mm.numpy(), "joint_names": np.array(COCO_17.names), "fps": np.array(30.0)}

KINDS: dict[str, Kind] = {
    "rig toml": _calibration(".toml"),
    "rig pose2sim": _calibration(".toml", format="pose2sim"),
    "rig qualisys": _calibration(".qca.txt", format="qualisys"),
    "rig human36m": _calibration(".json", format="human36m"),
    "rig mvor": _calibration(".json", format="mvor"),
    "rig voxelpose": _calibration(".json", format="voxelpose"),
    "rig list": _calibration(".json", format="list"),
    "rig caliscope": _calibration(".toml", rig("cam_0", "cam_1"), format="caliscope"),
    "rig panoptic": _calibration(".json", rig("00_00", "00_01", up=(0.0, -1.0, 0.0)), format="panoptic"),
    "rig opencv yaml": Kind(".yml", _text(OPENCV), lambda path: load_rig(path, units="m")),
    "rig opencv xml": _calibration(".xml"),
    "rig easymocap": Kind(".yml", _easymocap, _as_easymocap),
    "poses npz": Kind(".npz", lambda path: save_poses(poses(), path), load_poses),
    "poses plain npz": Kind(".npz", lambda path: np.savez(path, **PLAIN), load_poses),  # pyright: ignore
    "poses csv": Kind(".csv", lambda path: save_poses(poses(), path), load_poses),
    "poses trc": Kind(".trc", lambda path: save_poses(poses(), path), load_poses),
    "keypoints npz": Kind(".npz", lambda path: save_keypoints(seen(), path), load_keypoints),
    "keypoints coco": Kind(".json", _coco, lambda path: load_keypoints(path, skeleton="coco17")),
    "keypoints openpose": Kind(".json", _openpose, _folder_of("a_000000000001_keypoints.json")),
    "keypoints deeplabcut": Kind(".csv", _deeplabcut, load_keypoints),
    "keypoints hdf5": Kind(".h5", _hdf5, load_keypoints),
    "results pkl": Kind(".pkl", lambda p: save_reference_results(PLAIN["points_mm"][:, 0], p), load_reference_results),
    "metric json": Kind(
        ".json", lambda p: save_metric_json({"per_pose_error": {"S9": {"Eat": 1.0}}}, p), load_metric_json
    ),
    "labels npy": Kind(".npy", lambda path: np.save(path, np.array({"a": [1, "b"]}, object)), load_npy),
    "split yaml": Kind(".yaml", _text("train: [{a: [[0, 10]]}]\nval: [{b: [[0, 5]]}]\n"), read_split),
    "experiment yaml": Kind(".yaml", _experiment, load_experiment),
    "config yaml": Kind(
        ".yaml", _text("title: a\nmodel: {name: vol, backbone: {}}\nopt: {lr: 1}\n"), read_reference_training
    ),
    "checkpoint": Kind(".pth", lambda path: torch.save({"a": torch.arange(20.0)}, path), read_pickled),
    "model": Kind(".safetensors", _model, load_model),
    "labels json": Kind(".json", _text('{"format": "trivox labels 1", "name": "a", "rows": 1}'), load_labels),
    "dataset yaml": Kind(
        ".yaml", _text("truth_units: cm\n"), lambda path: read_stated(_named(path, "dataset.yaml").parent)
    ),
    "picture png": Kind(".png", _picture, read_image),
    "picture jpg": Kind(".jpg", _picture, read_image),
    "picture tif": Kind(".tif", _picture, read_image),
    "picture bmp": Kind(".bmp", _picture, read_image),
    "video": Kind(".mp4", _video, lambda path: list(islice(Video(path).frames(), 3))),
}


def _named(path: Path, name: str) -> Path:
    return moved(path, path.with_name(name))


def moved(path: Path, target: Path) -> Path:
    """The mutated file under the name that its reader looks for; what is not there stays away."""
    if path.exists() or path.is_symlink():
        path.rename(target)
    return target
