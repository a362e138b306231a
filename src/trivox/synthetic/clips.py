"""Recorded motions: folders of .npz clips of joint positions with the names of CMU's skeleton, and their retargeting.

A file holds `joint_names (J,)`, and one array (T, J, 3) for each clip: millimetres, z up, the floor near 0, 30 instants
a second unless `fps` says otherwise. ASF bones are named by their lower end in some files and by their upper end in
others; a file with `ltoes_end` is one of the latter.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np

from trivox.errors import InputError
from trivox.files.npz import Archive
from trivox.synthetic.rotations import frame, shortest, unit
from trivox.synthetic.segments import SEGMENTS, Motion

# Point -> bone whose lower end (first) or upper end (second) it is.
_POINTS = {
    "hip": ("hipjoint", "femur"),
    "knee": ("femur", "tibia"),
    "ankle": ("tibia", "foot"),
    "toe": ("foot", "toes"),
    "shoulder": ("clavicle", "humerus"),
    "elbow": ("humerus", "radius"),
    "wrist": ("radius", "wrist"),
}
_TRUNK = {
    "root": ("root", "root"),
    "back": ("lowerback", "upperback"),
    "skull": ("upperneck", "head"),
    "crown": ("head", "head_end"),
}


@cache
def load_clips(folder: Path) -> dict[str, Motion]:
    """Clip name -> motion, in the order of the names. Raises `InputError` where there are none."""
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; give one that holds motion clips (.npz)")
    clips: dict[str, Motion] = {}
    for path in sorted(folder.glob("*.npz")):
        read = {motion.name: motion for motion in _read(path)}
        if twice := sorted(clips.keys() & read.keys()):
            raise InputError(f"{path} holds clips whose names another file has too ({', '.join(twice)}); rename them")
        clips |= read
    if not clips:
        raise InputError(f"{folder} holds no motion clips; it needs .npz files with joint_names and arrays (T, J, 3)")
    return dict(sorted(clips.items()))


def _read(path: Path) -> list[Motion]:
    archive = Archive(path)
    if "joint_names" not in archive:
        raise InputError(f"{path} has no joint_names; give clips with the joints of CMU's skeleton")
    names = [str(name) for name in archive.array("joint_names")]
    rate = archive.array("fps") if "fps" in archive else np.array(30.0)
    fps = float(rate.item()) if rate.size == 1 and rate.dtype.kind in "iuf" else math.nan
    if not 0 < fps <= 10_000:
        raise InputError(f"{path} says {fps} instants per second; write the rate of the clips")
    shapes = {name: archive.head(name).shape for name in sorted(archive.names)}
    clips = {name: archive.array(name) for name, shape in shapes.items() if shape[1:] == (len(names), 3)}
    upper = "ltoes_end" in names
    wanted = {bone[upper] for bone in _TRUNK.values()}
    wanted |= {f"{mark}{bone[upper]}" for mark in "lr" for bone in _POINTS.values()}
    if missing := sorted(wanted - set(names)):
        raise InputError(f"{path} lacks the joints {', '.join(missing)}; give clips with those of CMU's skeleton")
    for name, clip in clips.items():
        if len(clip) < 2 or not np.isfinite(clip).all():
            raise InputError(f"{path}: clip {name} needs two instants at least and finite numbers; write it again")
    return [_retargeted(clip.astype(np.float64), names, upper, fps, name) for name, clip in clips.items()]


def _retargeted(clip: np.ndarray, names: list[str], upper: bool, fps: float, name: str) -> Motion:
    """Segment frames from joint positions: directions are given, turns about them follow from the neighbours."""
    point = {key: clip[:, names.index(bone[upper])] for key, bone in _TRUNK.items()}
    for side, mark in (("left", "l"), ("right", "r")):
        point |= {f"{side}_{key}": clip[:, names.index(mark + bone[upper])] for key, bone in _POINTS.items()}
    hips = (point["left_hip"] + point["right_hip"]) / 2
    shoulders = (point["left_shoulder"] + point["right_shoulder"]) / 2
    frames = {
        "pelvis": frame(point["back"] - hips, point["left_hip"] - point["right_hip"]),
        "chest": frame(shoulders - point["back"], point["left_shoulder"] - point["right_shoulder"]),
    }
    frames["head"] = frame(point["crown"] - point["skull"], frames["chest"][..., 0])
    for side in ("left", "right"):
        arm = _hinged(point, side, ("shoulder", "elbow", "wrist"), frames["chest"], -1.0)
        leg = _hinged(point, side, ("hip", "knee", "ankle"), frames["pelvis"], 1.0)
        frames |= {f"{side}_upper_arm": arm[0], f"{side}_forearm": arm[1], f"{side}_thigh": leg[0]}
        frames |= {f"{side}_shank": leg[1]}
        frames[f"{side}_foot"] = frame(point[f"{side}_toe"] - point[f"{side}_ankle"], leg[1][..., 0])
    leg_mm = [
        np.linalg.norm(point[f"left_{a}"] - point[f"left_{b}"], axis=1).mean()
        for a, b in (("hip", "knee"), ("knee", "ankle"))
    ]
    stacked = np.stack([frames[segment] for segment in SEGMENTS], 1)
    return Motion(stacked, hips, float(sum(leg_mm)) + 85.0, fps, False, np.zeros(len(clip)), name)


def _hinged(
    point: dict[str, np.ndarray], side: str, chain: tuple[str, str, str], trunk: np.ndarray, sign: float
) -> tuple[np.ndarray, np.ndarray]:
    """Frames of the two segments of a limb. The bend shows the hinge; a straight limb's is the trunk's own left."""
    upper, middle, lower = (point[f"{side}_{key}"] for key in chain)
    first, second = unit(middle - upper), unit(lower - middle)
    normal = sign * np.cross(first, second)
    bend = np.linalg.norm(normal, axis=-1, keepdims=True)
    carried = (shortest(-trunk[..., 2], first) @ trunk[..., 0, None])[..., 0]
    share = np.clip((bend - 0.15) / 0.35, 0, 1)
    # A bend against the hinge is noise of a straight limb.
    share = np.where((normal * carried).sum(-1, keepdims=True) < -0.5 * bend, 0.0, share)
    hinge = carried * (1 - share) + normal / np.maximum(bend, 1e-6) * share
    return frame(first, hinge), frame(second, hinge)
