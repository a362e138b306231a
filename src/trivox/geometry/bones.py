"""Which joints are at the end of a bone that no person has, or that this person does not have.

A detector that takes the arm of one person for that of another gives joints whose rays may well meet, and a thigh of
a metre and a quarter. Bones tell: none is longer than a person's longest, and each keeps its length over time. They
also tell whether a whole world has the size of ours.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trivox.geometry.skeletons import Skeleton

# The tallest people's thighs have 600 mm, trunks 700; a coarse detector is off by a hundred.
LONGEST_MM = 800.0
# Of its usual length a limb bone differs by less than this share, or by this many standard deviations.
_SHARE, _DEVIATIONS = 0.4, 6.0
# An adult's limb bones.
_ADULT_MM = {
    ("shoulder", "elbow"): 290.0,
    ("elbow", "wrist"): 255.0,
    ("hip", "knee"): 430.0,
    ("knee", "ankle"): 420.0,
}
# Fewer sightings of a bone, left and right together, do not tell its usual length.
_FEWEST = 16
# Median absolute deviation -> standard deviation of a normal distribution.
_OF_MAD = 1.4826


def at_endless_bone(
    points_mm: Float[Tensor, "*b J 3"], valid: Bool[Tensor, "*b J"], bones: Int[Tensor, "B 2"]
) -> Bool[Tensor, "*b J"]:
    """Joints at either end of a bone longer than any person's (`LONGEST_MM`)."""
    return _ends(_is_there(valid, bones) & (_lengths_mm(points_mm, bones) > LONGEST_MM), bones, valid.shape[-1]) > 0


def misplaced_joints(
    points_mm: Float[Tensor, "F P J 3"],
    valid: Bool[Tensor, "F P J"],
    weight: Float[Tensor, "F P J"],
    skeleton: Skeleton,
) -> Bool[Tensor, "F P J"]:
    """Joints without which no bone has a length that is impossible, or far from its usual one in the recording.

    Usual is the median over all frames, left and right together, of each person. Of the two joints of an impossible
    bone the one with more such bones is misplaced, else the one of less `weight` (how well it is seen).
    """
    if len(skeleton.bones) == 0 or len(points_mm) == 0:
        return torch.zeros_like(valid)
    bones = torch.tensor(skeleton.bone_indices)
    lengths_mm = _lengths_mm(points_mm, bones)
    impossible = (lengths_mm > LONGEST_MM) | _unusual(lengths_mm, _is_there(valid, bones), skeleton)
    left = valid
    for _ in range(len(bones)):  # each pass takes at least one joint of every impossible bone that is left
        wrong = impossible & _is_there(left, bones)
        if not wrong.any():
            break
        left = left & ~_culprits(wrong, bones, weight)
    return valid & ~left


def shares_of_adult(
    points_mm: Float[Tensor, "*b J 3"], valid: Bool[Tensor, "*b J"], skeleton: Skeleton
) -> Float[Tensor, "N"]:
    """Lengths of all upper arms, forearms, thighs and shanks that are there, as shares of an adult's."""
    named = [
        ((f"{side}_{parent}", f"{side}_{child}"), length_mm)
        for (parent, child), length_mm in _ADULT_MM.items()
        for side in ("left", "right")
    ]
    known = [(skeleton.indices(ends), length_mm) for ends, length_mm in named if set(ends) <= set(skeleton.names)]
    if not known:
        return points_mm.new_zeros(0)
    bones = torch.tensor([ends for ends, _ in known])
    shares = _lengths_mm(points_mm, bones) / points_mm.new_tensor([length_mm for _, length_mm in known])
    return shares[_is_there(valid, bones)]


def _lengths_mm(points_mm: Tensor, bones: Tensor) -> Tensor:
    return (points_mm[..., bones[:, 0], :] - points_mm[..., bones[:, 1], :]).norm(dim=-1)


def _is_there(valid: Tensor, bones: Tensor) -> Tensor:
    return valid[..., bones[:, 0]] & valid[..., bones[:, 1]]


def _ends(bone_is: Tensor, bones: Tensor, joints: int) -> Int[Tensor, "*b J"]:
    """How many bones of which `bone_is` true end at each joint."""
    counts = torch.zeros(*bone_is.shape[:-1], joints, dtype=torch.long)
    for end in bones.T:
        counts.index_add_(-1, end, bone_is.long())
    return counts


def _unusual(lengths_mm: Tensor, there: Tensor, skeleton: Skeleton) -> Bool[Tensor, "F P B"]:
    """Limb bones that are far from their usual length; of other bones, which bend and slide, none."""
    unusual = torch.zeros_like(there)
    pairs: dict[tuple[str, ...], list[int]] = {}
    for at, bone in enumerate(skeleton.bones):
        if bone in skeleton.limb_bones:
            pairs.setdefault(tuple(name.split("_", 1)[-1] for name in bone), []).append(at)
    for at in pairs.values():
        some, seen = lengths_mm[..., at], there[..., at]
        known = torch.where(seen, some.double(), torch.nan).movedim(-1, 0).flatten(0, 1)  # (sides x F, P)
        usual_mm = known.nanmedian(0).values
        spread_mm = _OF_MAD * (known - usual_mm).abs().nanmedian(0).values
        tolerance_mm = torch.maximum(_SHARE * usual_mm, _DEVIATIONS * spread_mm)
        enough = known.isfinite().sum(0) >= _FEWEST
        unusual[..., at] = seen & ((some - usual_mm[:, None]).abs() > tolerance_mm[:, None]) & enough[:, None]
    return unusual


def _culprits(wrong: Tensor, bones: Tensor, weight: Tensor) -> Bool[Tensor, "F P J"]:
    """One joint of each wrong bone."""
    count = _ends(wrong, bones, weight.shape[-1])
    first, second = bones.T
    more, fewer = count[..., first] > count[..., second], count[..., first] < count[..., second]
    is_first = more | (~fewer & (weight[..., first] < weight[..., second]))
    at_first = _ends(wrong & is_first, torch.stack([first, first], 1), weight.shape[-1])
    at_second = _ends(wrong & ~is_first, torch.stack([second, second], 1), weight.shape[-1])
    return (at_first + at_second) > 0
