"""Joint names as other programs write them: LShoulder, l_shoulder, "left shoulder", shoulder_L, lSho ...

`canonical_name` brings a name to the form that our skeletons use; `matched_joints` finds each joint of a
skeleton among the names of a file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trivox.errors import InputError
from trivox.geometry.skeletons import SKELETONS, Skeleton, skeleton_of

SIDES = {"l": "left", "left": "left", "lft": "left", "r": "right", "right": "right", "rgt": "right"}

PARTS = {
    **{"sho": "shoulder", "elb": "elbow", "wri": "wrist", "kne": "knee", "ank": "ankle", "bigtoe": "big_toe"},
    **{"smalltoe": "small_toe", "midhip": "pelvis", "mid_hip": "pelvis", "chip": "pelvis", "root": "pelvis"},
    **{"root_pelvis": "pelvis", "bodycenter": "pelvis", "body_center": "pelvis", "body_centre": "pelvis"},
    **{"hip_center": "pelvis", "hips": "pelvis", "thorax": "neck", "upperneck": "upper_neck"},
    **{"headtop": "head_top", "top_head": "head_top", "top_of_head": "head_top"},
}

# Plain names that some skeletons use for another of our points; only where the skeleton lacks the direct one.
LOOSE = {"upper_neck": "neck", "head_top": "head", "pelvis": "hip"}

_SIDED = {name.removeprefix("left_") for s in SKELETONS.values() for name in s.names if name.startswith("left_")}


def canonical_name(text: str) -> str:
    """snake_case with the side first and spelt out: `LBigToe` -> `left_big_toe`. Unknown parts stay."""
    spaced = re.sub(r"^([lLrR])(?=[A-Z][a-z])", r"\1_", text.strip())
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", spaced)
    name = re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")
    side, part = _side_and_part(name)
    part = PARTS.get(part, part)
    return f"{side}_{part}" if side else part


def _side_and_part(name: str) -> tuple[str, str]:
    first, _, after = name.partition("_")
    before, _, last = name.rpartition("_")
    if first in SIDES and after:
        return SIDES[first], after
    if last in SIDES and before:
        return SIDES[last], before
    glued = re.match(r"(left|right|l|r)(.+)", name)
    if glued and name != "rear" and PARTS.get(glued[2], glued[2]) in _SIDED:
        return SIDES[glued[1]], glued[2]
    return "", name


@dataclass(frozen=True)
class MatchedJoints:
    """`columns[j]` is where joint j of `skeleton` stands in the file, -1 where the file has no such joint."""

    skeleton: Skeleton
    columns: np.ndarray

    def picked(self, values: np.ndarray, axis: int) -> np.ndarray:
        """`values` with the file's joints along `axis` put in the skeleton's order; NaN for absent joints."""
        absent = np.full_like(values.take([0], axis=axis), np.nan)
        return np.concatenate([values, absent], axis=axis).take(self.columns, axis=axis)


def matched_joints(names: Sequence[str], skeleton: Skeleton | None, path: Path) -> MatchedJoints:
    """Match the joints of a file by name.

    Without a skeleton: the known one with exactly these joints, else one made of the file's own. Raises
    `InputError` where two names mean one joint, or none is a joint of the given skeleton.
    """
    found = [canonical_name(name) or f"joint_{i}" for i, name in enumerate(names)]
    if not found:
        raise InputError(f"{path} names no joints; write it with at least one")
    twice = next((name for name in found if found.count(name) > 1), None)
    if twice:
        raise InputError(f"{path} has more than one joint that means {twice}; rename or remove one")
    skeleton = skeleton or _skeleton_with(found)
    columns = [_column(joint, found, skeleton) for joint in skeleton.names]
    if max(columns) < 0:
        listed = ", ".join(names[:8])
        raise InputError(f"{path} has the joints {listed}: none of skeleton {skeleton.name}; choose another skeleton")
    return MatchedJoints(skeleton, np.array(columns))


def _skeleton_with(names: list[str]) -> Skeleton:
    """A known skeleton with these joints: in this order, else in another, else under the plain names of `LOOSE`."""
    same_size = [known for known in SKELETONS.values() if len(known) == len(names)]
    alike = [known for known in same_size if set(known.names) == set(names)]
    ordered = [known for known in alike if known.names == tuple(names)]
    loosely = [known for known in same_size if all(_column(joint, names, known) >= 0 for joint in known.names)]
    return (ordered or alike or loosely or [skeleton_of(names)])[0]


def _column(joint: str, found: list[str], skeleton: Skeleton) -> int:
    loose = LOOSE.get(joint, joint)
    for name in (joint, *(() if loose in skeleton.names else (loose,))):
        if name in found:
            return found.index(name)
    return -1
