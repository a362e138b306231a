"""Learned models on real recordings, beside RANSAC: all views, and what is left of them with two.

    python benchmarks/models_on_recordings.py DATA_FOLDER [MODEL ...] [--out results.json]

DATA_FOLDER holds pose2sim_single/ and panoptic_171026_pose1/. MODEL is a file or a name; those that come along unless
given. No marker truth exists for the first: asked is how near its 2D joints the 3D ones project, how steady the limb
bones are, and how far each method's answer from two of the four views lies from its own of all four, over the limb
joints. The second has true joints, two views, and a single instant.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from pose2sim_single import CAMERAS, limb_distances_px
from recordings import FRAME, SEQUENCE, VIEWS

import trivox
from trivox.files.results import load_result
from trivox.geometry.poses import Poses
from trivox.summary import bone_spread_mm

PANOPTIC = "panoptic19"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("models", nargs="*", default=["algebraic", "volumetric"])
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    models = ("ransac", *arguments.models)
    errors_mm = [panoptic_mm(arguments.data / "panoptic_171026_pose1" / SEQUENCE, model) for model in models]
    by_all = torch.stack(errors_mm).isfinite().all(0)
    rows = {
        Path(model).stem: {
            **balancing(arguments.data / "pose2sim_single", model),
            "panoptic: joints given, of 19": float(own_mm.isfinite().sum()),
            "panoptic: mean error mm": float(own_mm.nanmean()),
            f"panoptic: mean error mm, the {int(by_all.sum())} that all give": float(own_mm[by_all].mean()),
        }
        for model, own_mm in zip(models, errors_mm, strict=True)
    }
    print(f"{'':<52}" + "".join(f"{name:>16}" for name in rows))
    for key in next(iter(rows.values())):
        print(f"{key:<52}" + "".join(f"{row[key]:>16.2f}" for row in rows.values()))
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=2) + "\n")


def balancing(folder: Path, model: str) -> dict[str, float]:
    rig = trivox.load_rig(folder / "calibration" / "Calib.qca.txt")
    videos = {name: folder / "videos" / f"{name}.mp4" for name in CAMERAS}
    with tempfile.TemporaryDirectory() as scratch:
        trivox.predict(rig, list(videos.values()), out=scratch, image_fit="left", **asked_of(model))
        result = load_result(Path(scratch))
    distances_px = limb_distances_px(result)
    spreads_mm, moved = [], []
    for pair in itertools.combinations(CAMERAS, 2):
        chosen = [videos[name] for name in pair]
        poses = trivox.predict(rig, chosen, image_fit="left", **asked_of(model))
        spreads_mm.append(bone_spread_mm(poses) or float("nan"))
        moved.append(distance_mm(poses, result.poses))
    joined = torch.cat(moved)
    return {
        "balancing: limb joints within 30 px, %": 100 * float((distances_px < 30).double().mean()),
        "balancing: median distance px": float(distances_px[distances_px.isfinite()].median()),
        "balancing: bone spread mm, 4 views": bone_spread_mm(result.poses) or float("nan"),
        "balancing: bone spread mm, 2 views (mean of 6)": sum(spreads_mm) / len(spreads_mm),
        "balancing: 2 views to 4 views mm, median": float(joined.nanmedian()),
        "balancing: 2 views to 4 views mm, mean": float(joined.nanmean()),
        "balancing: limb joints missing with 2 views, %": 100 * float(joined.isnan().double().mean()),
    }


def asked_of(model: str) -> dict[str, Any]:
    """RANSAC is what the bundled networks do without a model; of a model are COCO's joints, as of RANSAC."""
    return {"method": "ransac"} if model == "ransac" else {"weights": model, "skeleton": "coco17"}


def distance_mm(two: Poses, four: Poses) -> torch.Tensor:
    """Of each limb joint of the same frames; NaN where either lacks it."""
    ours, theirs = (list(p.skeleton.indices(p.skeleton.limb_joints)) for p in (two, four))
    valid = two.valid[:, 0, ours] & four.valid[:, 0, theirs]
    apart = (two.points_mm[:, 0, ours].double() - four.points_mm[:, 0, theirs].double()).norm(dim=-1)
    return torch.where(valid, apart, torch.nan).flatten()


def panoptic_mm(folder: Path, model: str) -> torch.Tensor:
    """Distance of each of the 19 joints from the truth; NaN where the method gives none (ankles are in no picture)."""
    rig = trivox.load_rig(folder / f"calibration_{SEQUENCE}.json", names=VIEWS)
    body = json.loads((folder / "hdPose3d_stage1_coco19" / f"body3DScene_{FRAME}.json").read_text())["bodies"][0]
    joints = torch.tensor(body["joints19"], dtype=torch.float64).reshape(19, 4)
    asked = {**asked_of(model), "skeleton": PANOPTIC}
    poses = trivox.predict(rig, [folder / "hdImgs" / name for name in VIEWS], fps=30, **asked)
    valid = poses.valid[0, 0] & (joints[:, 3] > 0)
    return torch.where(valid, (poses.points_mm[0, 0].double() - joints[:, :3] * 10).norm(dim=-1), torch.nan)


if __name__ == "__main__":
    main()
