"""The whole chain on a small rendered scene that comes with the package, compared with its exact truth."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import torch
from torch import Tensor

from trivox.files.calibrations import load_rig
from trivox.files.npz import read_npz
from trivox.geometry.poses import Poses
from trivox.predict import predict


@dataclass(frozen=True)
class DemoScore:
    """Distance to the rendered truth over the valid joints of all frames."""

    mean_mm: float
    median_mm: float
    limb_mean_mm: float
    joints_valid: float


def run_demo(out: Path) -> DemoScore:
    """Predict the bundled scene into `out` and score it. Raises `InputError` where `out` cannot be used."""
    with as_file(files("trivox") / "demo_scene") as scene:
        rig = load_rig(scene / "calibration.json", up="z")
        videos = [scene / "videos" / f"{name}.mp4" for name in rig.names]
        poses = predict(rig, videos, out=out)
        truth_mm = torch.from_numpy(read_npz(scene / "truth.npz", "points_mm")["points_mm"])
    return _score(poses, truth_mm)


def _score(poses: Poses, truth_mm: Tensor) -> DemoScore:
    errors_mm = (poses.points_mm - truth_mm).norm(dim=-1)
    limbs = torch.zeros_like(poses.valid)
    limbs[..., poses.skeleton.indices(poses.skeleton.limb_joints)] = True
    found = errors_mm[poses.valid]
    return DemoScore(
        float(found.mean()),
        float(found.median()),
        float(errors_mm[poses.valid & limbs].mean()),
        float(poses.valid.double().mean()),
    )
