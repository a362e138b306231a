"""People of a scene: a body, its clothes, and a motion that keeps its feet on the floor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from trivox.synthetic.bodies import Body, shaped_body
from trivox.synthetic.clips import load_clips
from trivox.synthetic.joints import joints_mm
from trivox.synthetic.outfits import DressedMesh, dressed
from trivox.synthetic.procedural import procedural_motion
from trivox.synthetic.segments import Motion, bone_turns
from trivox.synthetic.skinning import bone_heads_mm
from trivox.synthetic.worlds import World, clip_is_for_test, draw, generator

# A recorded path longer than this leaves the middle of the room, mm.
LONGEST_PATH_MM = 2600.0
_RECORDED_SHARE = 0.7
# Bones that may touch the floor, and how far the skin reaches beyond their heads, mm.
_TOUCHING = {"lowerleg01": 55.0, "wrist": 30.0, "finger3-3": 15.0, "upperleg01": 110.0, "head": 90.0}


@dataclass(frozen=True)
class Person:
    """`motion` holds world millimetres of this very body; `hands (2, 3)` as `bone_turns` takes them."""

    body: Body
    mesh: DressedMesh
    motion: Motion
    hands: np.ndarray

    def posed(self, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Turns (F, B, 3, 3) and heads (F, B, 3) mm of the bones at these times."""
        motion = self.motion.at(times_s)
        turns = bone_turns(motion, self.body, self.hands)
        return turns, bone_heads_mm(self.body, turns, motion.root_mm)

    def joints_mm(self, times_s: np.ndarray) -> np.ndarray:
        """The exact joints (F, J, 3)."""
        turns, heads = self.posed(times_s)
        return joints_mm(self.body, turns, heads)


def draw_phenotype(rng: np.random.Generator) -> dict[str, float]:
    """Adults of all ages and builds, some youths and children.

    Anny's gender: 0 is a man, 1 a woman. Its age: 1/3 is a child, 2/3 young, 1 old.
    """
    age = rng.uniform(0.62, 1.0) if rng.random() < 0.88 else rng.uniform(0.42, 0.62)
    gender = float(np.clip(rng.choice([0.0, 1.0]) + rng.normal() * 0.12, 0, 1))
    middle = np.clip(0.5 + rng.normal(size=4) * [0.22, 0.24, 0.16, 0.2], 0.02, 0.98)
    # Anny's middle is tall; 0.4 gives 1.68 m to 1.8 m.
    names = ("muscle", "weight", "height", "proportions")
    values = dict(zip(names, middle.tolist(), strict=True))
    values["height"] = float(np.clip(values["height"] - 0.12, 0.05, 0.8))
    return {"gender": gender, "age": float(age), **values}


def draw_person(
    body_number: int, outfit_number: int, motion: Motion, surroundings: list[np.ndarray], place_mm: np.ndarray
) -> Person:
    """Body and outfit of these numbers, moving around `place_mm (2,)`."""
    rng = generator("body", body_number)
    phenotype = draw_phenotype(rng)
    body = shaped_body(phenotype)
    outfit = generator("outfit", outfit_number)
    mesh = dressed(body, outfit, phenotype["gender"], surroundings)
    hands = outfit.uniform([-0.4, -0.9, 0.05], [0.4, 0.5, 0.45], (2, 3))
    placed = motion.placed(float(outfit.uniform(0, 2 * np.pi)), np.zeros(2))
    grounded = _grounded(placed, body, hands)
    moved = grounded.root_mm + np.array([*(place_mm - _middle(grounded.root_mm)), 0.0])
    return Person(body, mesh, replace(grounded, root_mm=moved), hands)


def _middle(root_mm: np.ndarray) -> np.ndarray:
    return (root_mm[:, :2].min(0) + root_mm[:, :2].max(0)) / 2


def draw_motion(rng: np.random.Generator, world: World, seconds: float, folder: Path | None) -> tuple[Motion, int, str]:
    """A motion of at least `seconds`, the pool's number that made it, and the name of its clip (or "")."""
    number = draw(rng, "motion", world)
    own = generator("motion", number)
    if folder is not None and own.random() < _RECORDED_SHARE:
        clips = [
            clip
            for clip in load_clips(folder).values()
            if clip_is_for_test(clip.name) == (world == "test") and len(clip.frames) >= seconds * clip.fps + 1
        ]
        if clips:
            lengths = np.sqrt([len(clip.frames) for clip in clips])
            clip = clips[int(own.choice(len(clips), p=lengths / lengths.sum()))]
            return _window(own, clip, seconds), number, clip.name
    return procedural_motion(own, seconds, f"procedural_{number}"), number, ""


def _window(rng: np.random.Generator, clip: Motion, seconds: float) -> Motion:
    """A part of the clip; of a few tries the one whose path is short enough, or shortest."""
    count = int(np.ceil(seconds * clip.fps)) + 1
    starts = rng.integers(0, len(clip.frames) - count + 1, 6)
    paths = [np.ptp(clip.root_mm[start : start + count, :2], axis=0).max() for start in starts]
    short = [i for i, path in enumerate(paths) if path < LONGEST_PATH_MM]
    return clip.part(int(starts[short[0] if short else int(np.argmin(paths))]), count)


def _grounded(motion: Motion, body: Body, hands: np.ndarray) -> Motion:
    """The motion with the path of this body: strides as long as its legs allow, the lowest point on the floor.

    Recorded heights keep their jumps: the floor under them is where the body was lowest within half a second.
    """
    scale = body.head_of("upperleg01.L")[2] / motion.hip_height_mm
    root = motion.root_mm * scale
    length = np.ptp(root[:, :2], axis=0).max()
    if length > LONGEST_PATH_MM:
        root[:, :2] *= LONGEST_PATH_MM / length
    hips = (body.head_of("upperleg01.L") + body.head_of("upperleg01.R")) / 2 - body.bone_heads_mm[0]
    turns = bone_turns(motion, body, hands)
    root -= turns[:, 0] @ hips
    lowest = _lowest_mm(body, turns, bone_heads_mm(body, turns, root))
    if motion.grounded:
        root[:, 2] += motion.lift_mm * scale - lowest
    else:
        around = np.arange(len(lowest))[:, None] + np.arange(-15, 16)
        floor = lowest[np.clip(around, 0, len(lowest) - 1)].min(1)
        smooth = np.convolve(np.pad(floor, 7, mode="edge"), np.ones(15) / 15, "valid")
        root[:, 2] -= np.minimum(smooth, lowest)
    return replace(motion, root_mm=root)


def _lowest_mm(body: Body, turns: np.ndarray, heads: np.ndarray) -> np.ndarray:
    """Height of the body's lowest point (F,): soles, and knees, hands and hips where they come down."""
    bones = body.template.bones
    heights = []
    for mark in ("L", "R"):
        sole = np.flatnonzero(_is_sole(body, mark))
        foot = bones.index(f"foot.{mark}")
        local = body.vertices_mm[sole] - body.bone_heads_mm[foot]
        heights.append((local @ turns[:, foot, 2].T).min(0) + heads[:, foot, 2])
        for bone, reach in _TOUCHING.items():
            name = bone if bone in bones else f"{bone}.{mark}"
            heights.append(heads[:, bones.index(name), 2] - reach)
    return np.min(heights, axis=0)


def _is_sole(body: Body, mark: str) -> np.ndarray:
    names = body.template.bones
    foot = np.array([(name.startswith(("foot", "toe")) and name.endswith(f".{mark}")) for name in names])
    return foot[body.template.main_bone] & (body.vertices_mm[:, 2] < 12.0)
