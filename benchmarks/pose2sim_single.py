"""Real video: the four views of Pose2Sim's balancing trial, from pixels and from OpenPose's detections.

    python benchmarks/pose2sim_single.py FOLDER [--out results.json]

FOLDER is the set (videos/, calibration/, pose_openpose_body25b/, pose-3d/). Four questions:

1. How do the 1080-wide pictures of cam01 and cam02 sit in the 1088-wide calibrated frame? Every fit is tried.
2. Predicted from pixels: how many of the 4 x 100 x 12 limb joints seen by the network lie within 30 pixels of the
   reprojected 3D joint (an invalid joint misses), how far in the median, and how steady are the eight limb bones?
   No temporal filter, no bone prior.
3. The same 2D joints lifted with other thresholds: what do RANSAC's and Huber's do?
4. From OpenPose's detections: how far from the triangulation that the set ships (.trc), over the common joints?
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import trivox
from trivox.files.results import Result, load_result
from trivox.geometry.association import person_sizes_px
from trivox.lift import lift
from trivox.people.candidates import CROP_MARGIN
from trivox.summary import bone_spread_mm

CAMERAS = ("cam01", "cam02", "cam03", "cam04")
FITS = ("left", "center", "right", "scale")
NEAR_PX = 30.0
# RANSAC's and Huber's, in pixels of a 256-pixel crop.
THRESHOLDS = ((8.0, 8.0), (12.0, 8.0), (16.0, 4.0), (16.0, 8.0), (16.0, 16.0), (24.0, 8.0))
# The bystander stands three metres away from the followed person.
SAME_PERSON_MM = 500.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        rows = {
            "from pixels": {fit: from_pixels(arguments.folder, Path(scratch) / fit, fit) for fit in FITS},
            "thresholds": other_thresholds(load_result(Path(scratch) / FITS[0])),
            "from OpenPose": from_openpose(arguments.folder, Path(scratch) / "openpose"),
        }
    print_table(rows)
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=2) + "\n")


def from_pixels(folder: Path, out: Path, fit: Any) -> dict[str, float]:
    rig = trivox.load_rig(folder / "calibration" / "Calib.qca.txt")
    videos = [folder / "videos" / f"{name}.mp4" for name in CAMERAS]
    trivox.predict(rig, videos, out=out, image_fit=fit, method="ransac")
    result = load_result(out)
    distances_px = limb_distances_px(result)
    spread_mm = bone_spread_mm(result.poses)
    assert spread_mm is not None
    row = {
        "within_30_px": float((distances_px < NEAR_PX).double().mean()),
        "median_px": float(distances_px.flatten().median()),
        "bone_spread_mm": spread_mm,
        "frames_on_bystander": float(frames_astray(out / "poses.trc", reference_trc(folder))),
    }
    for v, name in enumerate(CAMERAS):
        row[f"median_px_{name}"] = float(distances_px[:, v].flatten().median())
    return row


def limb_distances_px(result: Result) -> Tensor:
    """Distance (F, V, 12) of each detected limb joint to the projection of its 3D joint; infinite where invalid."""
    poses, cameras = result.poses, result.rig.cameras
    limbs = list(poses.skeleton.indices(poses.skeleton.limb_joints))
    points_mm, valid = poses.points_mm[:, 0, limbs].double(), poses.valid[:, 0, limbs]
    flat = points_mm.reshape(1, -1, 3).expand(len(CAMERAS), -1, -1)
    projected = cameras.project(flat).reshape(len(CAMERAS), *points_mm.shape[:2], 2).transpose(0, 1)
    detected = torch.stack([view.points_px[:, 0, limbs] for view in result.keypoints], dim=1).double()
    seen = torch.stack([view.scores[:, 0, limbs] > 0 for view in result.keypoints], dim=1)
    distances = (projected - detected).norm(dim=-1)
    return torch.where(valid[:, None] & seen, distances, torch.inf)


def reference_trc(folder: Path) -> Path:
    return folder / "pose-3d" / "BalancingTrial_0-100.trc"


def frames_astray(ours: Path, reference: Path) -> int:
    """Frames whose person is not where the reference's is."""
    found, expected = trivox.load_poses(ours), trivox.load_poses(reference)
    centres = [poses.points_mm[:, 0].double().mean(-2) for poses in (found, expected)]
    return int(((centres[0] - centres[1]).norm(dim=-1) > SAME_PERSON_MM).sum())


def other_thresholds(result: Result) -> dict[str, dict[str, float]]:
    """The 2D joints of a result, lifted anew."""
    points_px = torch.stack([view.points_px[:, 0] for view in result.keypoints], dim=1).double()
    scores = torch.stack([view.scores[:, 0] for view in result.keypoints], dim=1).double()
    sides_px = person_sizes_px(points_px, scores) * CROP_MARGIN
    rows = {}
    for threshold_px, huber_px in THRESHOLDS:
        found = lift(
            points_px, scores, result.rig.cameras, sides_px, "ransac", threshold_px=threshold_px, huber_px=huber_px
        )
        poses = replace(result.poses, points_mm=found.points_mm[:, None], valid=found.valid[:, None])
        distances_px = limb_distances_px(replace(result, poses=poses))
        spread_mm = bone_spread_mm(poses)
        assert spread_mm is not None
        rows[f"{threshold_px:g} / {huber_px:g}"] = {
            "within_30_px": float((distances_px < NEAR_PX).double().mean()),
            "median_px": float(distances_px.flatten().median()),
            "bone_spread_mm": spread_mm,
        }
    return rows


def from_openpose(folder: Path, out: Path) -> dict[str, float]:
    rig = trivox.load_rig(folder / "calibration" / "Calib.qca.txt")
    keypoints = [folder / "pose_openpose_body25b" / f"{name}_json" for name in CAMERAS]
    trivox.triangulate_files(rig, keypoints, out=out, skeleton="body25b", fps=60)
    distances_mm = common_distances_mm(out / "poses.trc", reference_trc(folder))
    return {
        "median_mm": float(distances_mm.median()),
        "mean_mm": float(distances_mm.mean()),
        "p90_mm": float(distances_mm.quantile(0.9)),
        "joints": float(len(distances_mm)),
    }


def common_distances_mm(ours: Path, reference: Path) -> Tensor:
    """Distances over the joints of both files, frame by frame. Both are Y up: one world frame."""
    found, expected = trivox.load_poses(ours), trivox.load_poses(reference)
    names = [name for name in expected.skeleton.names if name in found.skeleton.names]
    a, b = list(found.skeleton.indices(names)), list(expected.skeleton.indices(names))
    valid = found.valid[:, 0, a] & expected.valid[:, 0, b]
    distances = (found.points_mm[:, 0, a].double() - expected.points_mm[:, 0, b].double()).norm(dim=-1)
    return distances[valid]


def print_table(rows: dict[str, Any]) -> None:
    fits = rows["from pixels"]
    keys = list(next(iter(fits.values())))
    print(f"{'from pixels':<22}" + "".join(f"{fit:>10}" for fit in fits))
    for key in keys:
        print(f"{key:<22}" + "".join(f"{row[key]:>10.3f}" for row in fits.values()))
    best = min(fits, key=lambda fit: statistics.fmean(fits[fit][f"median_px_{name}"] for name in CAMERAS))
    print(f"the pictures fit best: {best}\n\nRANSAC / Huber px       within 30 px   median px   bone spread mm")
    for setting, row in rows["thresholds"].items():
        print(f"{setting:<22}{row['within_30_px']:>14.3f}{row['median_px']:>12.2f}{row['bone_spread_mm']:>17.2f}")
    print("\nfrom OpenPose")
    for key, value in rows["from OpenPose"].items():
        print(f"{key:<22}{value:>10.3f}")


if __name__ == "__main__":
    main()
