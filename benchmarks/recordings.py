"""Real recordings with correspondences: board corners of caliscope's four webcams, and a pose of CMU Panoptic.

    python benchmarks/recordings.py DATA_FOLDER [--out results.json]

DATA_FOLDER holds caliscope_4cam/ and panoptic_171026_pose1/.

1. caliscope: the set's 3D corners projected into the four cameras (two of them mounted sideways), against the corners
   found in the pictures; and the corners triangulated by trivox from the pictures, against the set's 3D corners.
2. Panoptic, two views only: where the true joints project, and how far trivox's prediction is from them.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import trivox
from trivox.geometry.skeletons import PANOPTIC_19

SEQUENCE = "171026_pose1"
FRAME = "00012200"
VIEWS = ("00_00", "00_24")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows = {
        "caliscope_4cam": caliscope(arguments.data / "caliscope_4cam"),
        "panoptic_171026_pose1": panoptic(arguments.data / "panoptic_171026_pose1" / SEQUENCE),
    }
    for name, row in rows.items():
        print(name)
        for key, value in row.items():
            print(f"  {key:<44}{value:>12.5f}")
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=2) + "\n")


def caliscope(folder: Path) -> dict[str, float]:
    rig = trivox.load_rig(folder / "camera_array.toml")
    corners_mm, observed_px = corners(folder, len(rig))
    seen = observed_px.isfinite().all(-1)
    projected = rig.cameras.project(corners_mm.expand(len(rig), -1, -1))
    distances_px = (projected - observed_px).norm(dim=-1)
    row = {}
    for v, name in enumerate(rig.names):
        errors = distances_px[v][seen[v]]
        row[f"camera {name}: median reprojection px"] = float(errors.median())
        row[f"camera {name}: share within 1 px"] = float((errors < 1).double().mean())
    found = trivox.triangulate(observed_px, rig.cameras, seen.double(), refine=True)
    both = found.valid
    row["corners triangulated"] = float(both.sum())
    distances_mm = (found.points_mm - corners_mm).norm(dim=-1)[both]
    row["median distance to the set's corners mm"] = float(distances_mm.median())
    row["largest distance to the set's corners mm"] = float(distances_mm.amax())
    return row


def corners(folder: Path, views: int) -> tuple[Tensor, Tensor]:
    """World corners (N, 3) in mm, and their pixels (V, N, 2) from the corner of the picture, NaN where not seen."""
    with (folder / "xyz_CHARUCO.csv").open() as file:
        rows = list(csv.DictReader(file))
    world = {(r["sync_index"], r["point_id"]): [float(r[f"{a}_coord"]) * 1000 for a in "xyz"] for r in rows}
    place = {key: n for n, key in enumerate(world)}
    pixels = np.full((views, len(world), 2), np.nan)
    with (folder / "xy_CHARUCO.csv").open() as file:
        for r in csv.DictReader(file):
            if (n := place.get((r["sync_index"], r["point_id"]))) is not None:
                pixels[int(r["port"]), n] = float(r["img_loc_x"]) + 0.5, float(r["img_loc_y"]) + 0.5
    return torch.tensor(list(world.values()), dtype=torch.float64), torch.from_numpy(pixels)


def panoptic(folder: Path) -> dict[str, float]:
    rig = trivox.load_rig(folder / f"calibration_{SEQUENCE}.json", names=VIEWS)
    body = json.loads((folder / "hdPose3d_stage1_coco19" / f"body3DScene_{FRAME}.json").read_text())["bodies"][0]
    joints = torch.tensor(body["joints19"], dtype=torch.float64).reshape(19, 4)
    truth_mm, known = joints[:, :3] * 10, joints[:, 3] > 0
    with tempfile.TemporaryDirectory() as scratch:
        poses = trivox.predict(
            rig,
            [folder / "hdImgs" / name for name in VIEWS],
            out=Path(scratch) / "out",
            method="ransac",
            skeleton="panoptic19",
            fps=30,
        )
    assert rig.cameras.image_hw is not None
    projected = rig.cameras.project(truth_mm.expand(len(rig), -1, -1))
    inside = ((projected >= 0) & (projected < rig.cameras.image_hw.flip(-1)[:, None])).all(-1)
    valid = poses.valid[0, 0] & known
    errors_mm = (poses.points_mm[0, 0].double() - truth_mm).norm(dim=-1)
    root = PANOPTIC_19.names.index("pelvis")
    relative_mm = (
        poses.points_mm[0, 0].double() - poses.points_mm[0, 0, root].double() - truth_mm + truth_mm[root]
    ).norm(dim=-1)
    in_both = valid & inside.all(0)
    return {
        "true joints inside picture, per view": float(inside.double().sum(-1).mean()),
        "joints predicted": float(valid.sum()),
        "mean error mm, all predicted joints": float(errors_mm[valid].mean()),
        "mean error mm, joints inside both pictures": float(errors_mm[in_both].mean()),
        "median error mm, joints inside both pictures": float(errors_mm[in_both].median()),
        "mean error mm relative to the pelvis": float(relative_mm[in_both].mean()),
    }


if __name__ == "__main__":
    main()
