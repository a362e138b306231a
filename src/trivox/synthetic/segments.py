"""A motion is how thirteen segments of a person are turned over time; a body of any shape can follow it.

A segment's frame has z along it (from its upper end to its lower; up for the trunk and the head) and x to the person's
left, which is the hinge axis of elbow and knee. Turning a body's segments from its own frames at rest to those of the
motion keeps the body's proportions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from trivox.synthetic.bodies import Body
from trivox.synthetic.rotations import about, blended, frame, unit

SIDES = ("left", "right")
SEGMENTS = (
    "pelvis",
    "chest",
    "head",
    *(f"{side}_{part}" for side in SIDES for part in ("upper_arm", "forearm", "thigh", "shank", "foot")),
)
_LEFT = np.array([1.0, 0.0, 0.0])


@dataclass(frozen=True)
class Motion:
    """F instants `fps` apart. `frames (F, 13, 3, 3)` in the order of SEGMENTS, world axes, z up.

    `root_mm (F, 3)`: the middle of the hips of somebody whose hips are `hip_height_mm` high. `grounded`: the lowest
    foot stands on the floor at every instant, `lift_mm (F,)` above it; otherwise heights come from the root.
    """

    frames: np.ndarray
    root_mm: np.ndarray
    hip_height_mm: float
    fps: float
    grounded: bool
    lift_mm: np.ndarray
    name: str

    def of(self, segment: str) -> np.ndarray:
        return self.frames[:, SEGMENTS.index(segment)]

    def part(self, start: int, count: int) -> Motion:
        """`count` instants from `start`."""
        cut = slice(start, start + count)
        return replace(self, frames=self.frames[cut], root_mm=self.root_mm[cut], lift_mm=self.lift_mm[cut])

    def placed(self, yaw: float, centre_mm: np.ndarray) -> Motion:
        """The same motion turned about the vertical, its path's middle at `centre_mm (2,)`."""
        turn = about("z", yaw)
        root = self.root_mm @ turn.T
        middle = (root[:, :2].min(0) + root[:, :2].max(0)) / 2
        root[:, :2] += centre_mm - middle
        return replace(self, frames=turn @ self.frames, root_mm=root)

    def at(self, times_s: np.ndarray) -> Motion:
        """The motion at other times (seconds from its first instant, held at its ends), turns blended between."""
        place = np.clip(np.asarray(times_s, np.float64) * self.fps, 0, len(self.frames) - 1)
        low = np.minimum(place.astype(np.int64), max(len(self.frames) - 2, 0))
        high = np.minimum(low + 1, len(self.frames) - 1)
        share = place - low
        return replace(
            self,
            frames=blended(self.frames[low], self.frames[high], share[:, None]),
            root_mm=self.root_mm[low] + (self.root_mm[high] - self.root_mm[low]) * share[:, None],
            lift_mm=self.lift_mm[low] + (self.lift_mm[high] - self.lift_mm[low]) * share,
        )


def rest_frames(body: Body) -> np.ndarray:
    """The frames (13, 3, 3) of a body's segments at rest. Trunk and head count as upright."""
    frames = [np.eye(3)] * 3
    for side in ("L", "R"):
        head = {name: body.head_of(f"{name}.{side}") for name in _LIMB_BONES}
        upper, fore = head["lowerarm01"] - head["upperarm01"], head["wrist"] - head["lowerarm01"]
        hinge = -np.cross(upper, fore)
        thigh, shank = head["lowerleg01"] - head["upperleg01"], head["foot"] - head["lowerleg01"]
        foot = head["toe2-1"] - head["foot"]
        frames += [frame(upper, hinge), frame(fore, hinge)]
        frames += [frame(direction, _LEFT) for direction in (thigh, shank, foot)]
    return np.stack(frames)


_LIMB_BONES = ("upperarm01", "lowerarm01", "wrist", "upperleg01", "lowerleg01", "foot", "toe2-1")


def bone_turns(motion: Motion, body: Body, hands: np.ndarray) -> np.ndarray:
    """How every bone is turned from rest (F, B, 3, 3).

    `hands (2, 3)`: for the left and the right hand the bend of the wrist, its twist, and the curl of the fingers (rad).
    """
    turns = motion.frames @ np.swapaxes(rest_frames(body), -1, -2)
    of = {name: turns[:, i] for i, name in enumerate(SEGMENTS)}
    named = {"root": of["pelvis"], "head": of["head"]}
    for bone, share in (("spine05", 0.15), ("spine04", 0.35), ("spine03", 0.55), ("spine02", 0.8), ("spine01", 1.0)):
        named[bone] = blended(of["pelvis"], of["chest"], share)
    for bone, share in (("neck01", 0.25), ("neck02", 0.5), ("neck03", 0.75)):
        named[bone] = blended(of["chest"], of["head"], share)
    for number, (side, mark, sign) in enumerate((("left", "L", 1.0), ("right", "R", -1.0))):
        girdle = of["chest"] @ about("y", -sign * _shoulder_lift(motion, side))
        named[f"clavicle.{mark}"] = blended(of["chest"], girdle, 0.6)
        named[f"shoulder01.{mark}"] = girdle
        for bone in ("upperarm01", "upperarm02"):
            named[f"{bone}.{mark}"] = of[f"{side}_upper_arm"]
        for bone, segment in (("upperleg01", "thigh"), ("lowerleg01", "shank"), ("foot", "foot")):
            named[f"{bone}.{mark}"] = of[f"{side}_{segment}"]
        named |= _hand(of[f"{side}_forearm"], body, mark, hands[number])
    return _inherited(named, body)


def _shoulder_lift(motion: Motion, side: str) -> np.ndarray:
    """The girdle follows a raised arm a quarter of the way beyond thirty degrees."""
    down = -motion.of("chest")[..., 2]
    cosine = (motion.of(f"{side}_upper_arm")[..., 2] * down).sum(-1)
    return 0.25 * np.maximum(0.0, np.arccos(np.clip(cosine, -1, 1)) - np.pi / 6)


def _hand(forearm: np.ndarray, body: Body, mark: str, hand: np.ndarray) -> dict[str, np.ndarray]:
    """Forearm, wrist and fingers: forearm and wrist share the twist, the fingers curl about the knuckles."""
    axis = unit(body.head_of(f"wrist.{mark}") - body.head_of(f"lowerarm01.{mark}"))
    knuckles = unit(body.head_of(f"finger2-1.{mark}") - body.head_of(f"finger5-1.{mark}"))
    palm = _about_vector(axis, hand[1]) @ _about_vector(knuckles, hand[0])
    named = {f"lowerarm01.{mark}": forearm, f"lowerarm02.{mark}": forearm @ _about_vector(axis, hand[1] / 2)}
    named[f"wrist.{mark}"] = forearm @ palm
    sign = 1.0 if mark == "L" else -1.0
    for joint in (1, 2, 3):
        curl = palm @ _about_vector(knuckles, sign * hand[2] * joint)
        for finger in (2, 3, 4, 5):
            named[f"finger{finger}-{joint}.{mark}"] = forearm @ curl
    return named


def _about_vector(axis: np.ndarray, angle: float) -> np.ndarray:
    x, y, z = axis
    skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * skew + (1 - np.cos(angle)) * skew @ skew


def _inherited(named: dict[str, np.ndarray], body: Body) -> np.ndarray:
    """Bones without a turn of their own follow their parent."""
    bones, parents = body.template.bones, body.template.parents
    turns = np.empty((len(named["root"]), len(bones), 3, 3))
    for index, bone in enumerate(bones):
        turns[:, index] = named[bone] if bone in named else turns[:, parents[index]]
    return turns
