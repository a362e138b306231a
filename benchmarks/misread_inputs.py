"""Inputs that are easily read as something else: how far the joints then are from the exact ones.

    python benchmarks/misread_inputs.py CASES DEMO_SCENE [--out results.json]

CASES/rig.json is the rig of the bundled scene in the general JSON list, DEMO_SCENE/truth.npz its people. Their exact
projections are written in the ways of other programs, triangulated, and compared: 0 mm is right, and what the program
says meanwhile is counted. An input that is refused says so in one sentence.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import trivox
from trivox.errors import InputError

FRAMES = 24
# Notes that all of these inputs get.
USUAL = ("frame rate", "which way is up", "on its side")
Joints = np.ndarray
"""(F, 17, 2) pixels of one view, the centre of the first one at 0."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=Path)
    parser.add_argument("demo_scene", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    cameras = json.loads((arguments.cases / "rig.json").read_text())
    with np.load(arguments.demo_scene / "truth.npz") as file:
        truth_mm = file["points_mm"][:FRAMES, 0].astype(np.float64)
    rows = {}
    print(f"{'input':<44}{'median mm':>10}{'most mm':>10}{'joints':>8}  said")
    for name, write in INPUTS.items():
        with tempfile.TemporaryDirectory() as folder:
            rows[name] = row = measured(write, Path(folder), cameras, truth_mm)
        print(f"{name:<44}{row['median_mm']:>10.2f}{row['most_mm']:>10.1f}{row['joints']:>8.3f}  {row['said']}")
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=1) + "\n")


def measured(write: Callable[..., dict[str, Any]], folder: Path, cameras: list[Any], truth_mm: Joints) -> Any:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            made = write(folder, cameras, truth_mm)
            rig = trivox.load_rig(made.get("rig") or save_json(folder / "rig.json", cameras))
            views = made.get("views") or [folder / camera["name"] for camera in cameras]
            poses = trivox.triangulate_files(rig, views, skeleton=made.get("skeleton"))
    except (InputError, ValueError) as error:
        return {"median_mm": np.nan, "most_mm": np.nan, "joints": 0.0, "said": f"refused: {error}"}
    names = list(trivox.SKELETONS["coco17"].names)
    shared = [name for name in names if name in poses.skeleton.names]
    ours, theirs = list(poses.skeleton.indices(shared)), [names.index(name) for name in shared]
    at = np.isin(poses.frames.numpy(), np.arange(len(truth_mm)))
    true_mm = truth_mm[poses.frames.numpy()[at]][:, theirs]
    error_mm = np.linalg.norm(poses.points_mm[:, 0, ours].numpy()[at] - true_mm, axis=-1)
    good = np.isfinite(error_mm)
    notes = [line for line in said.getvalue().splitlines() if "note" in line and not any(w in line for w in USUAL)]
    return {
        "median_mm": float(np.median(error_mm[good])) if good.any() else np.nan,
        "most_mm": float(error_mm[good].max()) if good.any() else np.nan,
        "joints": float(good.sum()) / max(good.size, 1),
        "said": "; ".join(note.removeprefix("note: ").replace(str(folder), "") for note in notes[:2]),
    }


def save_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def seen(camera: Any, points_mm: Joints) -> Joints:
    """Pixels as OpenCV projects; `fisheye` cameras by its fisheye module."""
    project = cv2.fisheye.projectPoints if camera.get("fisheye") else cv2.projectPoints
    rotation, shift = np.array(camera["R"], float), np.array(camera["t_mm"], float)
    flat = points_mm.reshape(-1, 1, 3)
    pixels = project(flat, cv2.Rodrigues(rotation)[0], shift, np.array(camera["K"], float), np.array(camera["dist"]))[0]
    return pixels.reshape(*points_mm.shape[:-1], 2)


def people_json(joints: Joints, score: float = 0.9) -> Any:
    flat = np.column_stack([joints, np.full(len(joints), score)])
    return {"people": [{"pose_keypoints_2d": flat.ravel().tolist()}]}


def folders(name: Callable[[int, int, int], str], lost: Callable[[int], set[int]] = lambda _: set()) -> Any:
    """A folder of JSON a view; `name(view, frame, row)` names each file, `lost(view)` are frames without one."""

    def write(folder: Path, cameras: list[Any], truth_mm: Joints) -> dict[str, Any]:
        for v, camera in enumerate(cameras):
            pixels = seen(camera, truth_mm)
            for row, frame in enumerate(f for f in range(len(truth_mm)) if f not in lost(v)):
                save_json(folder / camera["name"] / f"{name(v, frame, row)}.json", people_json(pixels[frame]))
        return {}

    return write


def hash_of(view: int, frame: int) -> str:
    return f"{np.random.default_rng(97 * view + frame).bytes(16).hex()}"


def in_order(order: list[str]) -> Any:
    """MMPose's lists, the joints in the order of another skeleton and without names."""

    def write(folder: Path, cameras: list[Any], truth_mm: Joints) -> dict[str, Any]:
        names = list(trivox.SKELETONS["coco17"].names)
        of = {name: truth_mm[:, names.index(name)] for name in names}
        for side in ("hip", "shoulder"):
            of[f"middle_{side}"] = (of[f"left_{side}"] + of[f"right_{side}"]) / 2
        of["pelvis"], of["neck"] = of["middle_hip"], of["middle_shoulder"]
        of["spine"] = (of["pelvis"] + of["neck"]) / 2
        of["head_top"] = of["nose"] + 0.6 * (of["nose"] - of["neck"])
        points = np.stack([of[name] for name in order], 1)
        for camera in cameras:
            for frame, joints in enumerate(seen(camera, points)):
                save_json(folder / camera["name"] / f"{frame:06d}.json", people_json(joints))
        return {}

    return write


def scores_per_cent(folder: Path, cameras: list[Any], truth_mm: Joints) -> dict[str, Any]:
    """Sure joints are exact, doubtful ones 60 pixels off; the scores are per cent."""
    rng = np.random.default_rng(0)
    for camera in cameras:
        pixels, doubtful = seen(camera, truth_mm), rng.random(truth_mm.shape[:2]) < 0.15
        pixels = pixels + doubtful[..., None] * rng.normal(0, 60, pixels.shape)
        for frame, joints in enumerate(pixels):
            flat = np.column_stack([joints, np.where(doubtful[frame], 5.0, 95.0)])
            person = {"pose_keypoints_2d": flat.ravel().tolist()}
            save_json(folder / camera["name"] / f"{frame:06d}.json", {"people": [person]})
    return {}


def scores_elsewhere(folder: Path, cameras: list[Any], truth_mm: Joints) -> dict[str, Any]:
    """The same with scores from 0 to 1, under the key `keypoints_scores`."""
    rng = np.random.default_rng(0)
    for camera in cameras:
        pixels, doubtful = seen(camera, truth_mm), rng.random(truth_mm.shape[:2]) < 0.15
        pixels = pixels + doubtful[..., None] * rng.normal(0, 60, pixels.shape)
        for frame, joints in enumerate(pixels):
            scores = np.where(doubtful[frame], 0.05, 0.95).tolist()
            person = {"keypoints": joints.tolist(), "keypoints_scores": scores}
            save_json(folder / camera["name"] / f"{frame:06d}.json", [person])
    return {}


def fisheye(words: dict[str, Any], shared: dict[str, Any] | None = None) -> Any:
    """CMU Panoptic's file with these words, in each camera or once."""

    def write(folder: Path, cameras: list[Any], truth_mm: Joints) -> dict[str, Any]:
        bent = [{**camera, "fisheye": True, "dist": [0.05, 0.01, -0.02, 0.004]} for camera in cameras]
        folders(lambda _, frame, __: f"{frame:06d}")(folder, bent, truth_mm)
        listed = [
            {
                **{"name": c["name"], "resolution": c["image_size"], "K": c["K"], "distCoef": c["dist"], "R": c["R"]},
                **{"t": (np.array(c["t_mm"]) / 10).tolist(), **words},
            }
            for c in bent
        ]
        return {
            "rig": save_json(folder / "panoptic.json", {"calibDataSource": "x", **(shared or {}), "cameras": listed})
        }

    return write


def of_wrong_size(factor: float) -> Any:
    def write(folder: Path, cameras: list[Any], truth_mm: Joints) -> dict[str, Any]:
        folders(lambda _, frame, __: f"{frame:06d}")(folder, cameras, truth_mm)
        small = [{**camera, "t_mm": (np.array(camera["t_mm"]) * factor).tolist()} for camera in cameras]
        return {"rig": save_json(folder / "small.json", small)}

    return write


H36M = [
    *("pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "spine", "neck"),
    *("nose", "head_top", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist"),
]
INPUTS: dict[str, Any] = {
    "plain": folders(lambda _, frame, __: f"{frame:06d}"),
    "frame and row, a frame lost in each view": folders(
        lambda _, frame, row: f"img_{frame:06d}_{row:04d}", lambda v: {3 + 4 * v}
    ),
    "frame, then a score": folders(lambda v, frame, _: f"img_{frame:06d}_{(37 * frame + 11 * v) % 23:02d}"),
    "frame, then a size that changes": folders(lambda _, frame, __: f"{frame:04d}_{640 + 4 * frame}x480"),
    "frame, then a hash": folders(lambda v, frame, _: f"frame_{frame:04d}_png.rf.{hash_of(v, frame)}"),
    "one view counts from 1": folders(lambda v, frame, _: f"{frame + (v == 2):06d}"),
    "one view counts from 100": folders(lambda v, frame, _: f"{frame + 100 * (v == 2):06d}"),
    "Human3.6M's 17 joints without names": in_order(H36M),
    "scores per cent": scores_per_cent,
    "scores under 'keypoints_scores'": scores_elsewhere,
    "fisheye: isFishEye": fisheye({"isFishEye": 1}),
    "fisheye: model OPENCV_FISHEYE": fisheye({"Model": "OPENCV_FISHEYE"}),
    "fisheye: projection equidistant": fisheye({"projection": "equidistant"}),
    "fisheye: a table lens once in the file": fisheye({}, {"lens": {"type": "fisheye"}}),
    "lengths a tenth": of_wrong_size(0.1),
    "lengths an eighth": of_wrong_size(0.125),
}

if __name__ == "__main__":
    main()
