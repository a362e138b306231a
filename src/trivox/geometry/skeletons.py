"""Skeletons: named joints, bones, left-right pairs, and conversion between them by joint name.

A joint name stands for one point of the body, whatever skeleton it appears in, so joint sets are never
compared by position. Names that programs share for different points are told apart: `neck` is the base of the
neck between the shoulders (Human3.6M, Panoptic, OpenPose BODY_25), `upper_neck` lies where the neck meets the
skull (BODY_25B); `head_nose` is Human3.6M's joint inside the head at the height of the nose, `nose` the tip
that detectors look for, `head` the middle of MPI-INF-3DHP's head.

Orders follow the sources: COCO (cocodataset.org), the Human3.6M order of "Learnable Triangulation of Human
Pose" (0 right ankle ... 16 head/nose), CMU Panoptic's COCO19, and OpenPose's output formats BODY_25, BODY_25B
and COCO_18. `MPII_16` is the first sixteen of that Human3.6M order. MMPose and VideoPose3D keep the same seventeen
points of Human3.6M in another order, the dataset's own (0 pelvis, 1 right hip ...; their "thorax", "neck" and "head"
are `neck`, `head_nose` and `head_top` here): `MMPOSE_H36M_17`, which converts exactly. MPI-INF-3DHP's seventeen
(`MPI_3DHP_17`) have a head of their own, and convert nearly.

Sets with hands and face: COCO-WholeBody (133; fingers named as MMPose does), Halpe-FullBody (26, 68 with hands, 136
with hands and face; its "head" is the top of the head, its "hip" the pelvis) and OpenPose's BODY_135. Their faces are
the 68 points of iBUG 300-W in its order, `face_0` to `face_67`; BODY_135 adds the pupils. MediaPipe's BlazePose has 33.
OpenPose's BODY_21A (of its tracker STAF) is the first 19 of BODY_25 with upper neck and top of the head; its MPI model
has 15, the last of them the middle of the trunk; `BODY_15` is BODY_25 without face and feet, as EasyMocap keeps it. The
fourteen joints of CrowdPose, AI Challenger and LSP are the limbs, neck and top of the head, in three orders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trivox.errors import InputError
from trivox.geometry.tensors import TensorDataclass

Quality = Literal["exact", "near", "missing"]

Bones = tuple[tuple[str, str], ...]

SIDES = ("left", "right")


def _both_sides(*pairs: tuple[str, str]) -> Bones:
    return tuple((f"{side}_{parent}", f"{side}_{child}") for side in SIDES for parent, child in pairs)


LIMB_BONES: Bones = _both_sides(("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
LIMB_JOINTS = tuple(
    f"{side}_{part}" for side in SIDES for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
)

# A point that a skeleton lacks may be had, nearly, as the mean of others; the first recipe that fits counts.
NEAR: dict[str, tuple[tuple[str, ...], ...]] = {
    "pelvis": (("left_hip", "right_hip"),),
    "neck": (("left_shoulder", "right_shoulder"),),
    "head_nose": (("nose",), ("head",)),
    "nose": (("head_nose",), ("head",)),
    "head": (("head_nose",), ("nose",)),
}


@dataclass(frozen=True)
class Skeleton:
    """J named joints. `bones` are (parent, child) pairs of joint *names*; `bone_indices` gives positions.

    `root` is the joint that poses are taken relative to. A skeleton of hips without a pelvis (COCO) still has
    the root `pelvis`: the middle of the hips, which `root_points` makes.
    """

    name: str
    names: tuple[str, ...]
    bones: Bones
    root: str

    def __post_init__(self) -> None:
        if twice := [joint for joint in self.names if self.names.count(joint) > 1]:
            raise InputError(f"two joints of {self.name} are called {twice[0]!r}; rename one")
        strangers = {joint for bone in self.bones for joint in bone} - set(self.names)
        if strangers:
            raise InputError(
                f"bones of {self.name} name joints that it lacks: {', '.join(map(str, strangers))}; its joints are "
                f"{', '.join(self.names)}"
            )

    def __len__(self) -> int:
        return len(self.names)

    @property
    def mirror(self) -> tuple[int, ...]:
        """`points[..., mirror, :]` swaps left and right joints."""
        return tuple(self.names.index(mirrored_name(name, self.names)) for name in self.names)

    @property
    def bone_indices(self) -> tuple[tuple[int, int], ...]:
        return tuple((self.names.index(parent), self.names.index(child)) for parent, child in self.bones)

    @property
    def limb_bones(self) -> Bones:
        """Upper arms, forearms, thighs and shanks: those of the eight whose two joints this skeleton has."""
        return tuple(bone for bone in LIMB_BONES if set(bone) <= set(self.names))

    @property
    def limb_joints(self) -> tuple[str, ...]:
        """Shoulders, elbows, wrists, hips, knees and ankles: those of the twelve that this skeleton has."""
        return tuple(joint for joint in LIMB_JOINTS if joint in self.names)

    def indices(self, names: Sequence[str]) -> tuple[int, ...]:
        """Positions of the named joints, all of which must be there."""
        return tuple(self.names.index(name) for name in names)


def mirrored_name(name: str, names: Sequence[str]) -> str:
    """The joint on the other side; the name itself for one in the middle or without its twin in `names`."""
    for side, other in (SIDES, SIDES[::-1]):
        if name.startswith(f"{side}_"):
            twin = f"{other}_{name.removeprefix(f'{side}_')}"
            return twin if twin in names else name
    return name


_LEGS: Bones = tuple(bone for bone in LIMB_BONES if "knee" in bone[0] or "knee" in bone[1])
_ARMS: Bones = tuple(bone for bone in LIMB_BONES if "elbow" in bone[0] or "elbow" in bone[1])
_FACE: Bones = (
    ("nose", "left_eye"),
    ("nose", "right_eye"),
    ("left_eye", "left_ear"),
    ("right_eye", "right_ear"),
)
_FEET: Bones = _both_sides(("ankle", "heel"), ("ankle", "big_toe"), ("big_toe", "small_toe"))
_HIPS: Bones = (("pelvis", "left_hip"), ("pelvis", "right_hip"))
_SHOULDERS: Bones = (("neck", "left_shoulder"), ("neck", "right_shoulder"))
_TRUNK: Bones = (
    *(("left_hip", "right_hip"), ("left_shoulder", "right_shoulder")),
    *(("left_hip", "left_shoulder"), ("right_hip", "right_shoulder")),
)

_COCO_NAMES = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
)
_MPII_NAMES = (
    *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
    *("pelvis", "spine", "neck", "head_top"),
    *("right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
)
_RIGHT_THEN_LEFT_ARM = (
    *("right_shoulder", "right_elbow", "right_wrist"),
    *("left_shoulder", "left_elbow", "left_wrist"),
)
_FEET_NAMES = (
    *("left_big_toe", "left_small_toe", "left_heel"),
    *("right_big_toe", "right_small_toe", "right_heel"),
)

_FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
_FACE_68 = tuple(f"face_{i}" for i in range(68))


def _hand(side: str) -> tuple[str, ...]:
    """The 20 joints of a hand's fingers, each from its base to its tip; sets of 21 begin with `hand_root`."""
    return tuple(f"{side}_{finger}{i}" for finger in _FINGERS for i in range(1, 5))


def _finger_bones(root: str) -> Bones:
    chains = [(root, *(f"{finger}{i}" for i in range(1, 5))) for finger in _FINGERS]
    return _both_sides(*((a, b) for chain in chains for a, b in zip(chain, chain[1:], strict=False)))


def _face_bones(*chains: tuple[int, ...]) -> Bones:
    return tuple((f"face_{a}", f"face_{b}") for chain in chains for a, b in zip(chain, chain[1:], strict=False))


_FACE_68_BONES: Bones = (
    ("nose", "face_30"),
    *_face_bones(
        *(tuple(range(17)), (27, 21, 20, 19, 18, 17), (27, 22, 23, 24, 25, 26)),  # jaw, brows
        *((27, 28, 29, 30, 33), (31, 32, 33, 34, 35)),  # nose
        *((27, 39, 38, 37, 36, 41, 40, 39), (27, 42, 43, 44, 45, 46, 47, 42)),  # eyes
        *((33, 51), (*range(48, 60), 48), (51, 62), (*range(60, 68), 60), (57, 8)),  # mouth, chin
    ),
)

_ROOTED_HANDS = tuple(joint for side in SIDES for joint in (f"{side}_hand_root", *_hand(side)))
_ROOTED_HAND_BONES: Bones = (*_both_sides(("wrist", "hand_root")), *_finger_bones("hand_root"))

COCO_17 = Skeleton("coco17", _COCO_NAMES, (*_TRUNK, *_ARMS, *_LEGS, *_FACE), "pelvis")
MPII_16 = Skeleton(
    "mpii16",
    _MPII_NAMES,
    (*_HIPS, *_LEGS, ("pelvis", "spine"), ("spine", "neck"), ("neck", "head_top"), *_SHOULDERS, *_ARMS),
    "pelvis",
)
H36M_17 = Skeleton(
    "h36m17",
    (*_MPII_NAMES, "head_nose"),
    (
        *(
            *_HIPS,
            *_LEGS,
            ("pelvis", "spine"),
            ("spine", "neck"),
            ("neck", "head_nose"),
            ("head_nose", "head_top"),
        ),
        *(*_SHOULDERS, *_ARMS),
    ),
    "pelvis",
)
COCO_H36M_22 = Skeleton(
    "coco_h36m22",
    (*_COCO_NAMES, "pelvis", "spine", "neck", "head_top", "head_nose"),
    (*H36M_17.bones, *_FACE, ("head_nose", "nose")),
    "pelvis",
)  # the joints of both, so that a model of these gives either
MMPOSE_H36M_17 = Skeleton(
    "mmpose_h36m17",
    (
        *("pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
        *("spine", "neck", "head_nose", "head_top"),
        *("left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist"),
    ),
    H36M_17.bones,
    "pelvis",
)
MPI_3DHP_17 = Skeleton(
    "mpi3dhp17",
    (
        *("head_top", "neck", *_RIGHT_THEN_LEFT_ARM),
        *("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
        *("pelvis", "spine", "head"),
    ),
    (
        *_HIPS,
        *_LEGS,
        ("pelvis", "spine"),
        ("spine", "neck"),
        ("neck", "head"),
        ("head", "head_top"),
        *_SHOULDERS,
        *_ARMS,
    ),
    "pelvis",
)
PANOPTIC_19 = Skeleton(
    "panoptic19",
    (
        *("neck", "nose", "pelvis"),
        *("left_shoulder", "left_elbow", "left_wrist", "left_hip", "left_knee", "left_ankle"),
        *("right_shoulder", "right_elbow", "right_wrist", "right_hip", "right_knee", "right_ankle"),
        *("left_eye", "left_ear", "right_eye", "right_ear"),
    ),
    (*_HIPS, *_LEGS, ("pelvis", "neck"), ("neck", "nose"), *_SHOULDERS, *_ARMS, *_FACE),
    "pelvis",
)
BODY_25B = Skeleton(
    "body25b",
    (*_COCO_NAMES, "upper_neck", "head_top", *_FEET_NAMES),
    (*_TRUNK, *_ARMS, *_LEGS, ("upper_neck", "head_top"), ("upper_neck", "nose"), *_FACE, *_FEET),
    "pelvis",
)
BODY_25 = Skeleton(
    "body25",
    (
        *("nose", "neck", *_RIGHT_THEN_LEFT_ARM, "pelvis"),
        *("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
        *("right_eye", "left_eye", "right_ear", "left_ear", *_FEET_NAMES),
    ),
    (*_HIPS, *_LEGS, ("pelvis", "neck"), ("neck", "nose"), *_SHOULDERS, *_ARMS, *_FACE, *_FEET),
    "pelvis",
)
COCO_18 = Skeleton(
    "coco18",
    (
        *("nose", "neck", *_RIGHT_THEN_LEFT_ARM),
        *("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
        *("right_eye", "left_eye", "right_ear", "left_ear"),
    ),
    (*(("neck", "left_hip"), ("neck", "right_hip")), *_LEGS, ("neck", "nose"), *_SHOULDERS, *_ARMS, *_FACE),
    "pelvis",
)

HALPE_26 = Skeleton(
    "halpe26",
    (
        *(*_COCO_NAMES, "head_top", "neck", "pelvis"),
        *("left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe", "left_heel", "right_heel"),
    ),
    (*_HIPS, *_LEGS, ("pelvis", "neck"), ("neck", "head_top"), ("neck", "nose"), *_SHOULDERS, *_ARMS, *_FACE, *_FEET),
    "pelvis",
)
HALPE_68 = Skeleton("halpe68", (*HALPE_26.names, *_ROOTED_HANDS), (*HALPE_26.bones, *_ROOTED_HAND_BONES), "pelvis")
HALPE_136 = Skeleton(
    "halpe136",
    (*HALPE_26.names, *_FACE_68, *_ROOTED_HANDS),
    (*HALPE_26.bones, *_FACE_68_BONES, *_ROOTED_HAND_BONES),
    "pelvis",
)
COCO_WHOLEBODY_133 = Skeleton(
    "coco_wholebody133",
    (*_COCO_NAMES, *_FEET_NAMES, *_FACE_68, *_ROOTED_HANDS),
    (*COCO_17.bones, *_FEET, *_FACE_68_BONES, *_ROOTED_HAND_BONES),
    "pelvis",
)
BODY_135 = Skeleton(
    "body135",
    (*BODY_25B.names, *_hand("left"), *_hand("right"), *_FACE_68, "face_68", "face_69"),
    (*BODY_25B.bones, *_FACE_68_BONES, *_face_bones((36, 68), (45, 69)), *_finger_bones("wrist")),
    "pelvis",
)
BLAZEPOSE_33 = Skeleton(
    "blazepose33",
    (
        *("nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer"),
        *("left_ear", "right_ear", "left_mouth", "right_mouth"),
        *(f"{side}_{part}" for part in ("shoulder", "elbow", "wrist", "pinky", "index", "thumb") for side in SIDES),
        *(f"{side}_{part}" for part in ("hip", "knee", "ankle", "heel", "foot_index") for side in SIDES),
    ),
    (
        *(*_TRUNK, *_ARMS, *_LEGS, *(("nose", f"{side}_{part}") for part in ("eye_inner", "mouth") for side in SIDES)),
        *_both_sides(("eye_inner", "eye"), ("eye", "eye_outer"), ("eye_outer", "ear")),
        *_both_sides(("wrist", "thumb"), ("wrist", "index"), ("wrist", "pinky")),
        *_both_sides(("ankle", "heel"), ("ankle", "foot_index")),
    ),
    "pelvis",
)
BODY_21A = Skeleton(
    "body21a",
    (*BODY_25.names[:19], "upper_neck", "head_top"),
    (*PANOPTIC_19.bones, ("neck", "upper_neck"), ("upper_neck", "head_top")),
    "pelvis",
)
BODY_15 = Skeleton(
    "body15",
    BODY_25.names[:15],
    (*_HIPS, *_LEGS, ("pelvis", "neck"), ("neck", "nose"), *_SHOULDERS, *_ARMS),
    "pelvis",
)
MPI_15 = Skeleton(
    "mpi15",
    (
        *("head_top", "neck", *_RIGHT_THEN_LEFT_ARM),
        *("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "mid_trunk"),
    ),
    (
        *(("neck", "head_top"), ("neck", "mid_trunk"), ("mid_trunk", "left_hip"), ("mid_trunk", "right_hip")),
        *(*_LEGS, *_SHOULDERS, *_ARMS),
    ),
    "pelvis",
)
_BONES_14: Bones = (*_TRUNK, *_LEGS, ("neck", "head_top"), *_SHOULDERS, *_ARMS)
CROWDPOSE_14 = Skeleton("crowdpose14", (*_COCO_NAMES[5:], "head_top", "neck"), _BONES_14, "pelvis")
AIC_14 = Skeleton("aic14", (*MPI_15.names[2:14], "head_top", "neck"), _BONES_14, "pelvis")
LSP_14 = Skeleton(
    "lsp14",
    (*_MPII_NAMES[:6], *_MPII_NAMES[10:], "upper_neck", "head_top"),
    (
        *(*_TRUNK, *_LEGS, *_ARMS, ("upper_neck", "head_top")),
        *(("upper_neck", "left_shoulder"), ("upper_neck", "right_shoulder")),
    ),
    "pelvis",
)

# The names of the command line.
SKELETONS: dict[str, Skeleton] = {
    s.name: s
    for s in (
        COCO_17,
        H36M_17,
        COCO_H36M_22,
        MPII_16,
        PANOPTIC_19,
        BODY_25B,
        BODY_25,
        COCO_18,
        MMPOSE_H36M_17,
        MPI_3DHP_17,
        HALPE_26,
        HALPE_68,
        HALPE_136,
        COCO_WHOLEBODY_133,
        BODY_135,
        BLAZEPOSE_33,
        BODY_21A,
        BODY_15,
        MPI_15,
        CROWDPOSE_14,
        AIC_14,
        LSP_14,
    )
}


def skeleton_named(name: str) -> Skeleton:
    """The skeleton of this command-line name. Raises `InputError` listing the right ones."""
    if name not in SKELETONS:
        raise InputError(f"there is no skeleton {name!r}; use one of {', '.join(SKELETONS)}")
    return SKELETONS[name]


def skeleton_of(names: Sequence[str], name: str = "custom") -> Skeleton:
    """The known skeleton of exactly these joints in this order, or one of our own with the bones that fit."""
    for known in SKELETONS.values():
        if known.names == tuple(names):
            return known
    known_bones = {frozenset(bone): bone for skeleton in SKELETONS.values() for bone in skeleton.bones}
    bones = tuple(bone for bone in known_bones.values() if set(bone) <= set(names))
    has_pelvis = "pelvis" in names or {"left_hip", "right_hip"} <= set(names)
    return Skeleton(name, tuple(names), bones, "pelvis" if has_pelvis else names[0])


def joined_skeleton(skeletons: Sequence[Skeleton]) -> Skeleton:
    """All joints and bones of these: the first that has all the joints, else the joints in order of appearance."""
    names = tuple(dict.fromkeys(name for skeleton in skeletons for name in skeleton.names))
    for skeleton in skeletons:
        if len(skeleton) == len(names):
            return skeleton
    known = skeleton_of(names)
    bones = {frozenset(bone): bone for skeleton in (known, *skeletons) for bone in skeleton.bones}
    return replace(known, bones=tuple(bones.values()))


@dataclass(frozen=True)
class Conversion:
    """How each joint of a target skeleton is a weighted mean of source joints.

    `weights` has rows that sum to 1, or are all zero where the joint is missing. `quality` says for each
    target joint whether it is the same point (exact), a documented neighbour (near, see `NEAR`), or missing.
    """

    weights: Float[Tensor, "T S"]
    quality: tuple[Quality, ...]


def conversion(source: Skeleton, target: Skeleton) -> Conversion:
    """The conversion from `source` to `target`, by joint name. Weights are float64."""
    weights = torch.zeros(len(target), len(source), dtype=torch.float64)
    quality: list[Quality] = []
    for row, joint in enumerate(target.names):
        made_of = _made_of(joint, source.names)
        weights[row, list(source.indices(made_of))] = 1 / max(len(made_of), 1)
        quality.append("missing" if not made_of else "exact" if made_of == (joint,) else "near")
    return Conversion(weights, tuple(quality))


def _made_of(joint: str, names: tuple[str, ...]) -> tuple[str, ...]:
    for recipe in ((joint,), *NEAR.get(joint, ())):
        if set(recipe) <= set(names):
            return recipe
    return ()


@dataclass(frozen=True)
class Converted(TensorDataclass):
    """Joints of the target skeleton; one that could not be had is invalid and zero."""

    points: Float[Tensor, "*b T D"]
    valid: Bool[Tensor, "*b T"]


def converted(
    points: Float[Tensor, "*b S D"], valid: Bool[Tensor, "*b S"], source: Skeleton, target: Skeleton
) -> Converted:
    """Joints (2D or 3D, any unit) of `source` as joints of `target`.

    A target joint is valid where every source joint that makes it is; otherwise it is zero, never invented.
    Differentiable; what stands in invalid source joints, NaN included, has no influence.
    """
    weights = conversion(source, target).weights.to(points)
    made_of = weights > 0
    missing = (made_of & ~valid[..., None, :]).any(-1) | ~made_of.any(-1)
    means = weights @ torch.where(valid[..., None], points, 0)
    return Converted(torch.where(missing[..., None], 0, means), ~missing)


def root_points(points: Float[Tensor, "*b S D"], valid: Bool[Tensor, "*b S"], skeleton: Skeleton) -> Converted:
    """The root joint of each pose, shape `*b 1 D`: the joint itself, or the mean that stands for it."""
    return converted(points, valid, skeleton, Skeleton("root", (skeleton.root,), (), skeleton.root))
