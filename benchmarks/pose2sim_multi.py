"""Real video: the balancing man of Pose2Sim beside a second person, against the triangulation that the set ships.

    python benchmarks/pose2sim_multi.py MULTI SINGLE [--out results.json]

MULTI is the set with the second person (videos/, calibration/), SINGLE the one with the man alone, whose .trc in
pose-3d/ is his truth. Two questions:

1. Which frame of SINGLE does frame 10 of MULTI show? The pictures without their still background are compared.
2. The man is visible in all views throughout. For every method and number of people: in how many frames is he found,
   what share of his 12 limb joints is valid, and how far are they from the truth of the same frame, and of the frame
   that the pictures show?
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from pose2sim_single import CAMERAS, reference_trc  # beside this file
from torch import Tensor

import trivox
from trivox.files.videos import Video
from trivox.geometry.poses import Poses

RUNS = (("ransac", 1), ("ransac", 2), ("ransac", 3), ("linear", 1), ("algebraic", 1), ("volumetric", 1))
SHIFTS = range(-3, 4)
# Limb joints in the median this near are the man's.
SAME_PERSON_MM = 300.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("multi", type=Path)
    parser.add_argument("single", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    shifts = {name: shift_frames(arguments.multi, arguments.single, name) for name in CAMERAS}
    print("frame 10 shows that frame of the set with one person: " + str({n: 10 + s for n, s in shifts.items()}))
    truth = trivox.load_poses(reference_trc(arguments.single))
    shift = round(float(np.median(list(shifts.values()))))
    rows = {}
    print(
        f"{'run':<24}{'frames':>8}{'joints':>8}{'mm, same frame':>16}{'mm, frame shown':>17}{'worst limb bone mm':>20}"
    )
    for set_name, folder, late, runs in (
        ("single", arguments.single, 0, RUNS[:1]),
        ("multi", arguments.multi, shift, RUNS),
    ):
        for method, people in runs:
            found = predicted(folder, method, people)
            row = rows[f"{set_name} {method} {people}"] = scores(found, truth, late)
            cells = "".join(
                f"{value:>{width}.3f}" for value, width in zip(row.values(), (8, 8, 16, 17, 20), strict=True)
            )
            print(f"{set_name + ' ' + method + ' ' + str(people):<24}{cells}", flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps({"shifts": shifts, "rows": rows}, indent=2) + "\n")


def shift_frames(multi: Path, single: Path, name: str) -> int:
    """The shift of frames at which the moving parts of the two videos are most alike."""
    a, b = moving(single / "videos" / f"{name}.mp4"), moving(multi / "videos" / f"{name}.mp4")
    inner = slice(-SHIFTS[0], len(b) - SHIFTS[-1])

    def likeness(shift: int) -> float:
        shown = a[inner.start + shift : inner.stop + shift]
        return float((shown * b[inner]).sum() / np.sqrt((shown**2).sum() * (b[inner] ** 2).sum()))

    return max(SHIFTS, key=likeness)


def moving(path: Path) -> np.ndarray:
    """Small gray pictures (F, 240, 135) without what stands still; 1080 columns, which both sets have."""
    small = [
        cv2.resize(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[:, :1080], (135, 240), interpolation=cv2.INTER_AREA)
        for picture in Video(path).frames()
    ]
    pictures = np.stack(small).astype(np.float32)
    return pictures - np.median(pictures, 0)


def predicted(folder: Path, method: Any, people: int) -> Poses:
    rig = trivox.load_rig(folder / "calibration" / "Calib.qca.txt")
    videos = [folder / "videos" / f"{name}.mp4" for name in CAMERAS]
    return trivox.predict(rig, videos, people=people, method=method)


def scores(found: Poses, truth: Poses, shift: int) -> dict[str, float]:
    """Of the person of `found` who is most often the truth's."""
    same, shown = distances_mm(found, truth, 0), distances_mm(found, truth, shift)
    near = same.nanmedian(-1).values < SAME_PERSON_MM
    man = int(near.sum(0).argmax())
    return {
        "frames": float(near[:, man].double().mean()),
        "joints": float((~same[:, man].isnan() & near[:, man, None]).double().mean()),
        "same_frame_mm": float(same[:, man].nanmedian()),
        "shown_frame_mm": float(shown[:, man].nanmedian()),
        "longest_bone_mm": longest_bone_mm(found, man),
    }


def distances_mm(found: Poses, truth: Poses, shift: int) -> Tensor:
    """Of the limb joints (F, P, 12) to the truth `shift` frames later; NaN where not valid or past its ends."""
    limbs = found.skeleton.limb_joints
    ours, theirs = list(found.skeleton.indices(limbs)), list(truth.skeleton.indices(limbs))
    frames = found.frames + shift
    inside = (frames >= 0) & (frames < len(truth.frames))
    # The .trc is Y up, the calibration Z up.
    expected = truth.points_mm[frames.clamp(0, len(truth.frames) - 1)][:, 0, theirs][..., [2, 0, 1]].double()
    distances = (found.points_mm[:, :, ours].double() - expected[:, None]).norm(dim=-1)
    return torch.where(found.valid[:, :, ours] & inside[:, None, None], distances, torch.nan)


def longest_bone_mm(poses: Poses, person: int) -> float:
    ends = torch.tensor([poses.skeleton.indices(bone) for bone in poses.skeleton.limb_bones])
    lengths = (poses.points_mm[:, person, ends[:, 0]] - poses.points_mm[:, person, ends[:, 1]]).norm(dim=-1)
    return float(lengths.nan_to_num().max())


if __name__ == "__main__":
    main()
