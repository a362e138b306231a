"""Whether nameless joints look like those of a skeleton, whatever the pose, the view and the place of a person.

Asked are relations that hold lying and sideways as well: upper arms, forearms, thighs, shanks and the sides of the
trunk are short beside the other distances between their ends; the pelvis lies midway between the hips, the neck
between the shoulders, the spine between both; eyes, ears and nose lie close together. One detection may break any of
them, so each has to hold in most detections that show its joints. Of people who walk, climb and swing, seen from the
side and from above, and of OpenPose's detections in an operating room, the right skeleton keeps each in 73 % or more;
a wrong one of 15, 17 or 25 joints keeps one in 22 % or less.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from trivox.geometry.skeletons import LIMB_BONES, LIMB_JOINTS, SIDES, Skeleton

# Enough detections to tell, spread over the recording.
_MOST = 2000
_LEAST_OF_SUREST = 0.3
_LEAST_BONES = 4
_MOST_OF_BONES = 0.75  # their mean length, over the mean of the other distances: 0.5 as a rule, 1 for joints at random

_SHORT = (
    *LIMB_BONES,
    *((f"{side}_shoulder", f"{side}_hip") for side in SIDES),
    *(("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")),
)
_HEAD = ("nose", "left_eye", "right_eye", "left_ear", "right_ear", "head_top", "head_nose", "head", "upper_neck")

Places = dict[str, np.ndarray]
"""Of each joint by name, (N, 2); NaN where it is not seen, or hardly."""


def looked_at(people: np.ndarray) -> np.ndarray:
    """Some of the detections `(N, J, 3)`, spread evenly."""
    return people[np.linspace(0, len(people) - 1, min(len(people), _MOST)).astype(int)]


def share_that_fits(people: np.ndarray, skeleton: Skeleton) -> float | None:
    """The share of detections `(N, J, 3)` that look like this skeleton, by the relation that fewest keep.

    None where too little is seen to judge by.
    """
    places = _places(people, skeleton)
    bones = bone_ratios(people, skeleton)
    if not np.isfinite(bones).any():
        return None
    bodies = [np.where(np.isnan(bones), np.nan, bones <= _MOST_OF_BONES), *(test(places) for test in _TESTS)]
    return float(min(np.nanmean(kept) for kept in bodies if np.isfinite(kept).any()))


def bone_ratios(people: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """`(N,)`: the mean length of limbs and sides of the trunk over the mean of the other distances between their ends.

    NaN where fewer than four of them are seen.
    """
    places = _places(people, skeleton)
    ends = np.stack([places[joint] for joint in LIMB_JOINTS], axis=1)
    distances = _length(ends[:, :, None] - ends[:, None])
    short = np.zeros((len(LIMB_JOINTS),) * 2, dtype=bool)
    for a, b in _SHORT:
        short[LIMB_JOINTS.index(a), LIMB_JOINTS.index(b)] = True
    others = np.triu(~(short | short.T), 1)
    enough = np.isfinite(distances[:, short]).sum(1) >= _LEAST_BONES
    enough &= np.isfinite(distances[:, others]).any(1)
    ratios = np.full(len(people), np.nan)
    ratios[enough] = np.nanmean(distances[enough][:, short], axis=1) / np.maximum(
        np.nanmean(distances[enough][:, others], axis=1), 1e-9
    )
    return ratios


def _places(people: np.ndarray, skeleton: Skeleton) -> Places:
    """The joints by name, without those that the detector is far less sure of than of its surest."""
    seen = np.isfinite(people).all(-1) & (people[..., 2] > 0)
    if seen.any():
        seen &= people[..., 2] >= _LEAST_OF_SUREST * np.quantile(people[..., 2][seen], 0.9)
    points = np.where(seen[..., None], people[..., :2], np.nan)
    return {name: points[:, j] for j, name in enumerate(skeleton.names)}


def _length(vectors: np.ndarray) -> np.ndarray:
    return np.linalg.norm(vectors, axis=-1)


def _middle(places: Places, part: str) -> np.ndarray:
    return (places[f"left_{part}"] + places[f"right_{part}"]) / 2


def _width(places: Places, part: str) -> np.ndarray:
    return _length(places[f"left_{part}"] - places[f"right_{part}"])


def _spread(places: Places) -> np.ndarray:
    """How far the limbs' joints lie from their middle, as a scale of the person: NaN where few are seen."""
    limbs = np.stack([places[joint] for joint in LIMB_JOINTS], axis=1)
    enough = np.isfinite(limbs[..., 0]).sum(1) > _LEAST_BONES
    limbs, spread = limbs[enough], np.full(len(limbs), np.nan)
    spread[enough] = np.sqrt(np.nanmean(_length(limbs - np.nanmean(limbs, axis=1, keepdims=True)) ** 2, axis=1))
    return spread


def _kept(off: np.ndarray, most: np.ndarray) -> np.ndarray:
    """1 where a joint is off by no more than that, 0 where it is, NaN where that is not seen."""
    return np.where(np.isfinite(off) & np.isfinite(most), off <= most, np.nan)


def _pelvis(places: Places) -> np.ndarray:
    return _between(places, "pelvis", "hip")


def _neck(places: Places) -> np.ndarray:
    return _between(places, "neck", "shoulder")


def _between(places: Places, joint: str, part: str) -> np.ndarray:
    if joint not in places:
        return np.array([np.nan])
    most = 0.25 * _width(places, part) + 0.25 * _spread(places)
    return _kept(_length(places[joint] - _middle(places, part)), most)


def _spine(places: Places) -> np.ndarray:
    joint = next((places[name] for name in ("spine", "mid_trunk") if name in places), None)
    if joint is None:
        return np.array([np.nan])
    middle = (_middle(places, "shoulder") + _middle(places, "hip")) / 2
    return _kept(_length(joint - middle), 0.4 * _spread(places))


def _face(places: Places) -> np.ndarray:
    """The farthest joint of the head from their middle."""
    head = np.stack([places[name] for name in _HEAD if name in places], axis=1)
    farthest, enough = np.full(len(head), np.nan), np.isfinite(head[..., 0]).sum(1) > 1
    head = head[enough]
    farthest[enough] = np.nanmax(_length(head - np.nanmean(head, axis=1, keepdims=True)), axis=1, initial=0)
    return _kept(farthest, 0.8 * _spread(places))


_TESTS: tuple[Callable[[Places], np.ndarray], ...] = (_pelvis, _neck, _spine, _face)
