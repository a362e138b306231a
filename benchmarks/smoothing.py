"""What smoothing does to the error: on recorded motion with simulated detections, and on results with their truth.

    python benchmarks/smoothing.py --motion CLIPS [--results RESULT TRUTH ...] [--out results.json]

CLIPS is a folder of motion clips (docs/synthetic.md); joints of their performers are resampled to 25, 30, 50 and 60
frames/s, seen by four cameras with noise as found on rendered scenes (a white part with heavy tails, a slow part,
outliers, occlusions), triangulated, and smoothed. Clips that the constants were tuned on are left out. RESULT is a
folder of `trivox predict`, TRUTH its truth.npz. Compared with the habit of the field, a fourth-order Butterworth filter
of 6 Hz run in both directions. All errors are over joints measured in the raw result.
"""

from __future__ import annotations

import argparse
import json
import math
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from scipy.signal import butter, filtfilt

from trivox.files.poses import load_poses
from trivox.geometry.cameras import Cameras
from trivox.geometry.poses import Poses
from trivox.geometry.skeletons import skeleton_of
from trivox.geometry.smoothing import filled, smoothed
from trivox.lift import lift

TUNED_ON = (
    "walking_2 running_1 running_4 02_05 jumping_2 jumping_5 basketball_2 directing_traffic_1 soccer_1 01_05 02_03"
)
RATES = (25, 30, 50, 60)
LONGEST_S = 6
SPEEDS_MM_PER_S = (0, 500, 1500, 3000, math.inf)
POINTS = {
    "shoulder": ("clavicle", "humerus"),
    "elbow": ("humerus", "radius"),
    "wrist": ("radius", "wrist"),
    "hip": ("hipjoint", "femur"),
    "knee": ("femur", "tibia"),
    "ankle": ("tibia", "foot"),
}
NAMES = tuple(f"{side}_{point}" for point in POINTS for side in ("left", "right"))
# In pixels of a 256-pixel crop.
WHITE_PX, SLOW_PX, OUTLIER_PX = 1.2, 2.2, 25.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--motion", type=Path)
    parser.add_argument("--results", type=Path, nargs="*", default=[])
    parser.add_argument("--every", type=int, default=1, help="take every n-th clip")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    tables: dict[str, dict[str, dict[str, float]]] = {}
    for fps in RATES if arguments.motion else ():
        clips = [clip for clip in load_clips(arguments.motion).items() if clip[0] not in TUNED_ON.split()]
        pairs = [simulated(clip, fps, i) for i, (_, clip) in enumerate(clips[:: arguments.every])]
        tables[f"recorded motion, {fps} frames/s"] = table(pairs)
    for result, truth in zip(arguments.results[::2], arguments.results[1::2], strict=True):
        tables[str(result)] = table(matched(load_poses(result / "poses.npz"), load_poses(truth)))
    for name, rows in tables.items():
        print_table(name, rows)
    if arguments.out:
        arguments.out.write_text(json.dumps(tables, indent=2) + "\n")


def load_clips(folder: Path) -> dict[str, np.ndarray]:
    clips = {}
    for path in sorted(folder.glob("*.npz")):
        arrays = np.load(path)
        names = list(arrays["joint_names"])
        upper = "ltoes_end" in names
        chosen = [names.index(mark + bones[upper]) for bones in POINTS.values() for mark in "lr"]
        clips |= {key: arrays[key][:, chosen].astype(float) for key in arrays.files if arrays[key].ndim == 3}
    return clips


def simulated(clip: np.ndarray, fps: int, seed: int) -> tuple[Poses, np.ndarray]:
    """Poses of one person (F, 1, J) as triangulated from noisy detections, and their truth."""
    rng = np.random.default_rng(seed)
    times_s = np.arange(len(clip)) / 30
    truth = CubicSpline(times_s, clip)(np.arange(int(min(times_s[-1], LONGEST_S) * fps) + 1) / fps)
    cameras = ring_around(truth)
    flat = torch.from_numpy(truth).reshape(1, -1, 3).expand(4, -1, -1)
    pixels = cameras.project(flat).reshape(4, *truth.shape[:2], 2).numpy()
    sides_px = (pixels.max(2) - pixels.min(2)).max(-1) * 1.25
    errors, scores = detector_errors(rng, pixels.shape[:3], fps)
    observed = pixels + errors * (np.median(sides_px, axis=1) / 256)[:, None, None, None]
    views = (torch.from_numpy(array).transpose(0, 1).contiguous() for array in (observed, scores, sides_px))
    points, confidences, sides = views
    found = lift(points, confidences, cameras, sides, "ransac")
    frames, skeleton = torch.arange(len(truth)), skeleton_of(NAMES)
    one = found.map(lambda t: t[:, None])
    return (
        Poses(one.points_mm, one.valid, one.confidence, frames, skeleton, float(fps), None, one.covariance_mm2),
        truth[:, None],
    )


def ring_around(truth: np.ndarray) -> Cameras:
    middle = torch.from_numpy(truth.reshape(-1, 3).mean(0) * [1, 1, 0])
    radius_mm = 4000 + np.abs(truth[..., :2] - middle[:2].numpy()).max()
    angles = torch.arange(4).double() * (math.pi / 2) + 0.3
    places = torch.stack([angles.cos() * radius_mm, angles.sin() * radius_mm, torch.full_like(angles, 1800)], -1)
    forward = torch.nn.functional.normalize(torch.tensor([0.0, 0, 1000]).double() - places, dim=-1)
    down = torch.tensor([0.0, 0, -1]).double().expand_as(forward)
    right = torch.nn.functional.normalize(torch.linalg.cross(down, forward), dim=-1)
    R = torch.stack([right, torch.linalg.cross(forward, right), forward], -2)
    K = torch.tensor([[1000.0, 0, 960], [0, 1000, 540], [0, 0, 1]]).double().expand(4, 3, 3)
    t_mm = -(R @ (places + middle)[..., None])[..., 0]
    return Cameras(K, R, t_mm, torch.zeros(4, 5).double())


def detector_errors(rng: np.random.Generator, shape: tuple[int, ...], fps: int) -> tuple[np.ndarray, np.ndarray]:
    """Errors (V, F, J, 2) in pixels of a crop, and scores, 0 where a joint is not seen."""
    white = rng.standard_t(4, size=(*shape, 2)) / math.sqrt(2)
    slow = rng.normal(size=(*shape, 2))
    stays = math.exp(-1 / (0.25 * fps))
    for f in range(1, shape[1]):
        slow[:, f] = stays * slow[:, f - 1] + math.sqrt(1 - stays**2) * slow[:, f]
    outlier = rng.random(shape) < 0.02
    wild = rng.normal(size=(*shape, 2)) * OUTLIER_PX
    errors = np.where(outlier[..., None], wild, WHITE_PX * white + SLOW_PX * slow)
    hidden = rng.random(shape) < 0.03
    starts = rng.random(shape) < 1 / (2.5 * fps)
    lasts = rng.exponential(0.4 * fps, shape).astype(int) + 1
    for v, f, j in zip(*np.nonzero(starts), strict=True):
        hidden[v, f : f + lasts[v, f, j], j] = True
    return errors, np.where(hidden, 0.0, rng.beta(6, 3, shape).clip(0.2) * np.where(outlier, 0.6, 1))


def matched(poses: Poses, truth: Poses) -> list[tuple[Poses, np.ndarray]]:
    """Each person of a result with the nearest of the truth, NaN where that is not valid."""
    truth = truth.converted(poses.skeleton)
    expected = np.where(truth.valid[..., None], truth.points_mm, np.nan)
    pairs = []
    for p in range(poses.points_mm.shape[1]):
        raw = poses.map(lambda t, p=p: t[:, p : p + 1] if t.ndim > 2 else t)
        errors = np.linalg.norm(np.where(raw.valid[..., None], raw.points_mm, np.nan) - expected, axis=-1)
        nearest = int(np.nanmedian(errors, axis=(0, 2)).argmin())
        pairs.append((raw, expected[:, nearest : nearest + 1]))
    return pairs


def butterworth(poses: Poses) -> np.ndarray:
    """The usual filter; gaps are bridged by straight lines."""
    b, a = cast("tuple[np.ndarray, np.ndarray]", butter(2, 6 / 0.802 / (poses.fps / 2)))
    points = poses.points_mm.double().numpy().copy()
    for j in range(points.shape[2]):
        rows = np.flatnonzero(poses.valid[:, 0, j].numpy())
        if len(rows) > 12:
            every = np.arange(len(points))
            path = np.stack([np.interp(every, rows, points[rows, 0, j, k]) for k in range(3)], -1)
            points[:, 0, j] = filtfilt(b, a, path, axis=0)
    return points


def table(pairs: list[tuple[Poses, np.ndarray]]) -> dict[str, dict[str, float]]:
    """Errors by speed and joint, acceleration errors, filled joints."""
    parts: dict[str, list[np.ndarray]] = {}
    worst = 0.0
    for raw, truth in pairs:
        smooth = smoothed(raw)
        paths = (raw.points_mm.double().numpy(), smooth.points_mm.double().numpy(), butterworth(raw))
        errors = np.stack([np.linalg.norm(path - truth, axis=-1) for path in paths])
        jerky = np.stack([np.linalg.norm(np.diff(path - truth, 2, axis=0), axis=-1) * raw.fps**2 for path in paths])
        there = raw.valid.numpy() & np.isfinite(truth).all(-1)
        speed = np.linalg.norm(np.gradient(truth, 1 / raw.fps, axis=0), axis=-1)
        groups = {"all": there}
        for low, high in pairwise(SPEEDS_MM_PER_S):
            groups[f"{low / 1000:g} to {high / 1000:g} m/s"] = there & (speed >= low) & (speed < high)
        for name in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"):
            columns = np.array([name in joint for joint in raw.skeleton.names])
            groups[name] = there & columns
        for name, group in groups.items():
            parts.setdefault(name, []).append(errors[:, group])
        fast = there & (speed >= 1500)
        if fast.sum() >= 30:
            worst = max(worst, float(errors[1, fast].mean() / errors[0, fast].mean()))
        triples = there[2:] & there[1:-1] & there[:-2]
        parts.setdefault("acceleration, m/s2", []).append(jerky[:, triples] / 1000)
        gaps = filled(smooth).numpy() & np.isfinite(truth).all(-1)
        parts.setdefault("filled", []).append(np.stack([np.full(gaps.sum(), np.nan), errors[1, gaps], errors[2, gaps]]))
    rows = {}
    for name, pieces in parts.items():
        joined = np.concatenate(pieces, axis=1)
        if joined.shape[1]:
            raw_mm, smooth_mm, habit_mm = (float(row.mean()) for row in joined)
            rows[name] = {"joints": joined.shape[1], "raw": raw_mm, "smoothed": smooth_mm, "butterworth": habit_mm}
    rows["worst ratio of a clip above 1.5 m/s"] = {"smoothed": worst}
    return rows


def print_table(name: str, rows: dict[str, dict[str, float]]) -> None:
    print(f"\n{name}\n{'':<22}{'joints':>8}{'raw mm':>9}{'smoothed':>10}{'ratio':>8}{'Butterworth':>13}{'ratio':>8}")
    for label, row in rows.items():
        if "raw" not in row:
            print(f"{label}: {row['smoothed']:.3f}")
            continue
        ratios = row["smoothed"] / row["raw"], row["butterworth"] / row["raw"]
        print(
            f"{label:<22}{row['joints']:>8}{row['raw']:>9.1f}{row['smoothed']:>10.1f}{ratios[0]:>8.3f}"
            f"{row['butterworth']:>13.1f}{ratios[1]:>8.3f}"
        )


if __name__ == "__main__":
    main()
