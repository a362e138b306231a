"""BVH (Biovision): a tree of joints that turn, centimetres, Y up, one person per file.

The hierarchy is that of `geometry/hierarchy.py`, its OFFSETs the T-pose with median bone lengths. Triangulated bones
vary in length, which rotations alone cannot keep: every joint has position channels beside its rotations. A position
channel stands in place of OFFSET, as in MotionBuilder, Blender and most readers; a program that ignores those of inner
joints shows the rotations with fixed bones. Rotations are Z, X, Y: R = Rz Rx Ry.

BVH has no missing joints and no gaps in time: both are filled (`filled`), and joints never seen are left out. It keeps
no confidence, no frame numbers, and of the middle of hips and shoulders makes the joints `pelvis` and `neck`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from trivox.base.atomic import atomic_write
from trivox.files.npz import to_numpy
from trivox.files.poses.persons import of_person, person_paths
from trivox.files.poses.timeline import steady
from trivox.geometry.axes import turned_if_known
from trivox.geometry.hierarchy import Articulated, Hierarchy, articulated, filled, hierarchy_of
from trivox.geometry.poses import Poses
from trivox.geometry.skeletons import NEAR, Skeleton

_MM_PER_CM = 10.0
_CHANNELS = "CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"
_FINGERTIP = 0.3  # length of the end of a limb, as a share of the bone before it
_ALONE_MM = 100.0  # the same for a joint without bones


def save_bvh(poses: Poses, path: Path) -> tuple[Path, ...]:
    """Write a file for each person who is seen, turned so that `poses.up` becomes Y. Returns the paths."""
    poses = steady(turned_if_known(poses, (0.0, 1.0, 0.0)), path)
    paths = person_paths(poses, path)
    for person, target in paths.items():
        hierarchy, joints = joints_that_turn(of_person(poses, person))
        with atomic_write(target) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(_lines(hierarchy, joints, poses.fps))
    return tuple(paths.values())


def joints_that_turn(poses: Poses) -> tuple[Hierarchy, Articulated]:
    """The tree of one person and its motion, without gaps, in a world with Y up."""
    poses = poses.converted(_with_a_middle(poses.skeleton))
    seen = poses.valid.any(0)[0].tolist()
    names = [name for name, is_seen in zip(poses.skeleton.names, seen, strict=True) if is_seen]
    hierarchy = hierarchy_of(names, poses.skeleton.bones)
    order = list(poses.skeleton.indices(hierarchy.names))
    points = filled(poses.points_mm[:, 0, order], poses.valid[:, 0, order], hierarchy)
    return hierarchy, articulated(points, hierarchy)


def _with_a_middle(skeleton: Skeleton) -> Skeleton:
    """The skeleton with a pelvis and a neck, where the joints that make them are there."""
    names = set(skeleton.names)
    made = tuple(joint for joint in ("pelvis", "neck") if joint not in names and set(NEAR[joint][0]) <= names)
    return Skeleton(skeleton.name, (*skeleton.names, *made), skeleton.bones, skeleton.root)


def _lines(hierarchy: Hierarchy, joints: Articulated, fps: float) -> Iterator[str]:
    yield "HIERARCHY\n"
    yield from _joint_lines(hierarchy, to_numpy(joints.offsets_mm) / _MM_PER_CM, 0, "")
    yield f"MOTION\nFrames: {len(joints.points_mm)}\nFrame Time: {1 / fps:.9f}\n"
    places = to_numpy(joints.points_mm) / _MM_PER_CM
    angles = euler_zxy_deg(to_numpy(joints.rotations))
    for row in np.concatenate([places, angles], -1).reshape(len(places), -1).tolist():
        yield " ".join(f"{value:.6f}" for value in row) + "\n"


def _joint_lines(hierarchy: Hierarchy, offsets: np.ndarray, joint: int, indent: str) -> Iterator[str]:
    kind, inner = ("JOINT" if indent else "ROOT"), indent + "\t"
    yield f"{indent}{kind} {'_'.join(hierarchy.names[joint].split())}\n{indent}{{\n"
    yield f"{inner}OFFSET {_vector(offsets[joint])}\n{inner}{_CHANNELS}\n"
    children = hierarchy.children(joint)
    for child in children:
        yield from _joint_lines(hierarchy, offsets, child, inner)
    if not children:
        tip = _FINGERTIP * offsets[joint] if offsets[joint].any() else np.array([0, _ALONE_MM / _MM_PER_CM, 0])
        yield f"{inner}End Site\n{inner}{{\n{inner}\tOFFSET {_vector(tip)}\n{inner}}}\n"
    yield f"{indent}}}\n"


def _vector(values: np.ndarray) -> str:
    return " ".join(f"{value:.6f}" for value in values.tolist())


def euler_zxy_deg(rotations: Float[np.ndarray, "F J 3 3"]) -> Float[np.ndarray, "F J 3"]:
    """Angles z, x, y with R = Rz Rx Ry, in degrees and steady over frames; at x = +-90 z takes all of the turn."""
    r = rotations
    level = np.hypot(r[..., 0, 1], r[..., 1, 1])
    z = np.where(level > 1e-9, np.arctan2(-r[..., 0, 1], r[..., 1, 1]), np.arctan2(r[..., 1, 0], r[..., 0, 0]))
    x = np.arctan2(r[..., 2, 1], level)
    # y from what is left when z is taken off, which holds where z is a matter of choice.
    across = np.cos(z)[..., None] * r[..., 0, :] + np.sin(z)[..., None] * r[..., 1, :]
    y = np.arctan2(across[..., 2], across[..., 0])
    return np.rad2deg(np.unwrap(np.stack([z, x, y], -1), axis=0))
