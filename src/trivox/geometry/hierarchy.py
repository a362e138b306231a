"""A tree of joints that turn: from joint positions to a rest pose, rotations and places of each joint in its parent's.

Animation programs want a tree with one root, in which every joint has a frame that turns. Bones of a `Skeleton` need
not be a tree (COCO's trunk is a ring), and positions say nothing of a turn about a bone. Here every joint gets the
parent that animators expect (hips below the pelvis, shoulders below the neck), the rest pose is the T-pose with median
bone lengths, and a joint turns so that its children lie where they were seen: Wahba's problem (SIAM Review, 1965),
solved by a singular value decomposition, with the parent's rotation as a weak wish that settles what children leave
open. Bone lengths vary from frame to frame, so places are kept beside rotations; both together are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trivox.geometry.skeletons import SIDES, Bones

# The parents that a joint may have, the first that is there; without its side.
_PARENTS: dict[str, tuple[str, ...]] = {
    "spine": ("pelvis",),
    "neck": ("spine", "pelvis"),
    "upper_neck": ("neck", "spine", "pelvis"),
    "head": ("upper_neck", "neck", "spine"),
    "head_nose": ("upper_neck", "neck", "spine"),
    "head_top": ("head_nose", "head", "upper_neck", "neck"),
    "nose": ("head_nose", "head", "upper_neck", "neck"),
    "eye": ("nose", "head_nose", "head", "neck"),
    "ear": ("eye", "nose", "head_nose", "head", "neck"),
    "shoulder": ("neck", "spine", "pelvis"),
    "elbow": ("shoulder",),
    "wrist": ("elbow", "shoulder"),
    "hip": ("pelvis", "spine"),
    "knee": ("hip",),
    "ankle": ("knee", "hip"),
    "heel": ("ankle",),
    "big_toe": ("ankle",),
    "small_toe": ("big_toe", "ankle"),
}
_ROOTS = ("pelvis", "spine", "neck")
# Where a joint lies from its parent in the T-pose: y up, facing z, left on the side of x. Right joints are mirrored.
_T_POSE: dict[str, tuple[float, float, float]] = {
    **dict.fromkeys(("spine", "neck", "upper_neck", "head", "head_nose", "head_top"), (0.0, 1.0, 0.0)),
    **dict.fromkeys(("shoulder", "elbow", "wrist", "hip"), (1.0, 0.0, 0.0)),
    **dict.fromkeys(("knee", "ankle"), (0.0, -1.0, 0.0)),
    "nose": (0.0, 0.6, 0.8),
    "eye": (0.6, 0.8, 0.0),
    "ear": (0.6, 0.0, -0.8),
    "heel": (0.0, -0.6, -0.8),
    "big_toe": (0.0, -0.6, 0.8),
    "small_toe": (1.0, 0.0, 0.0),
}
# How much the parent's rotation weighs beside a child: enough to settle what children leave open, and no more.
_PARENTS_WISH = 1e-4


@dataclass(frozen=True)
class Hierarchy:
    """Joint names, parents before children, depth first; `parents[j]` is the position of j's parent, -1 of the root."""

    names: tuple[str, ...]
    parents: tuple[int, ...]

    def children(self, joint: int) -> tuple[int, ...]:
        return tuple(j for j, parent in enumerate(self.parents) if parent == joint)


@dataclass(frozen=True)
class Articulated:
    """J joints of a `Hierarchy` over F frames, each in the frame of its parent; the root in the world.

    A joint lies at `points_mm` of its parent's frame, which `rotations` (parent_from_joint) turns for its own
    children. `offsets_mm` are the places in the rest pose, in which no joint is turned.
    """

    offsets_mm: Float[Tensor, "J 3"]
    points_mm: Float[Tensor, "F J 3"]
    rotations: Float[Tensor, "F J 3 3"]


def hierarchy_of(names: Sequence[str], bones: Bones) -> Hierarchy:
    """The tree of these joints. One that is unknown hangs where its bones lead, or on the root where they do not."""
    root = next((name for name in _ROOTS if name in names), names[0])
    parent_of = _parents_by_bones(root, names, bones)
    for name in names:
        known = next((parent for parent in _known_parents(name) if parent in names), None)
        if name != root and _part(name) in _PARENTS:
            parent_of[name] = known or root
    order = [root]
    for name in order:  # which grows: children go right behind their parent
        place = order.index(name) + 1
        order[place:place] = [child for child in names if child != root and parent_of[child] == name]
    return Hierarchy(tuple(order), tuple(-1 if n == root else order.index(parent_of[n]) for n in order))


def _parents_by_bones(root: str, names: Sequence[str], bones: Bones) -> dict[str, str]:
    """Breadth first from the root, whichever way bones point; joints that are not among `names` are passed over."""
    parent_of, reached = {name: root for name in names}, [root]
    for name in reached:  # which grows
        ends = {end for bone in bones if name in bone for end in bone} - set(reached)
        parent_of |= dict.fromkeys(ends, name)
        reached += sorted(ends)
    for name in names:
        while parent_of[name] not in names:
            parent_of[name] = parent_of[parent_of[name]]
    return parent_of


def _part(name: str) -> str:
    """The name without its side."""
    return next((name.removeprefix(f"{side}_") for side in SIDES if name.startswith(f"{side}_")), name)


def _known_parents(name: str) -> list[str]:
    """Parents that the joint may have: those of its own side before those in the middle."""
    side = name.removesuffix(_part(name))
    return [parent for part in _PARENTS.get(_part(name), ()) for parent in (f"{side}{part}", part)]


def articulated(points_mm: Float[Tensor, "F J 3"], hierarchy: Hierarchy) -> Articulated:
    """Rest pose, rotations and places of joints in the order of `hierarchy`, all of them there, in a world with y up.

    The rest offset of a joint without a place in the T-pose is the median of its offsets as seen.
    """
    points_mm = points_mm.double()
    parents = torch.tensor([max(parent, 0) for parent in hierarchy.parents])
    vectors = points_mm - points_mm[:, parents]
    offsets = _rest_offsets(vectors, hierarchy)
    turned: list[Tensor] = []  # world_from_joint
    for joint, parent in enumerate(hierarchy.parents):  # a chain: parents come first
        wish = turned[parent] if parent >= 0 else torch.eye(3).double().expand(len(vectors), 3, 3)
        children = list(hierarchy.children(joint))
        turned.append(_rotation(vectors[:, children], offsets[children], wish))
    world_from_joint = torch.stack(turned, 1)
    of_parent = world_from_joint[:, parents].mT
    local_points, rotations = (of_parent @ vectors[..., None])[..., 0], of_parent @ world_from_joint
    return Articulated(
        offsets,
        torch.cat([points_mm[:, :1], local_points[:, 1:]], 1),
        torch.cat([world_from_joint[:, :1], rotations[:, 1:]], 1),
    )


def _rest_offsets(vectors: Float[Tensor, "F J 3"], hierarchy: Hierarchy) -> Float[Tensor, "J 3"]:
    lengths = vectors.norm(dim=-1).median(0).values
    seen = vectors.median(0).values
    directions = torch.where(seen.any(-1, keepdim=True), seen, torch.tensor([0.0, 1.0, 0.0]).double())
    for joint, name in enumerate(hierarchy.names):
        if _part(name) in _T_POSE:
            x, y, z = _T_POSE[_part(name)]
            directions[joint] = torch.tensor([-x if name.startswith("right_") else x, y, z])
    offsets = lengths[:, None] * torch.nn.functional.normalize(directions, dim=-1)
    return torch.where(torch.tensor(hierarchy.parents)[:, None] < 0, 0, offsets)


def _rotation(
    seen: Float[Tensor, "F C 3"], rest: Float[Tensor, "C 3"], wish: Float[Tensor, "F 3 3"]
) -> Float[Tensor, "F 3 3"]:
    """The rotations that bring `rest` nearest to `seen`, and near to `wish` where that leaves a choice."""
    scale = rest.norm(dim=-1).square().sum().clamp(min=1e-12)
    likeness = torch.einsum("fci,cj->fij", seen, rest) / scale + _PARENTS_WISH * wish
    left, _, right = torch.linalg.svd(likeness)
    proper = torch.ones(len(seen), 3).to(left)
    proper[:, 2] = torch.linalg.det(left @ right)
    return left @ (proper[..., None] * right)


def filled(
    points_mm: Float[Tensor, "F J 3"],
    valid: Bool[Tensor, "F J"],
    hierarchy: Hierarchy,
) -> Float[Tensor, "F J 3"]:
    """Missing joints put where they are likely: each must be valid once.

    A joint keeps to its parent as it did before and after, on a line in between, and as it last did at the ends; the
    root, and a joint never seen together with its parent, keep to the world in this way. Valid joints stay.
    """
    parents = torch.tensor([max(parent, 0) for parent in hierarchy.parents])
    both = valid & valid[:, parents]
    vectors = _interpolated(points_mm - points_mm[:, parents], both)
    alone = _interpolated(points_mm, valid)
    placed = [alone[:, 0]]
    for joint, parent in enumerate(hierarchy.parents[1:], 1):  # a chain: parents come first
        guess = placed[parent] + vectors[:, joint] if both[:, joint].any() else alone[:, joint]
        placed.append(torch.where(valid[:, joint, None], points_mm[:, joint], guess))
    return torch.stack(placed, 1)


def _interpolated(values: Float[Tensor, "F J 3"], valid: Bool[Tensor, "F J"]) -> Float[Tensor, "F J 3"]:
    """Linear between the nearest valid rows, constant beyond them; whatever stands there where none is valid."""
    count = len(values)
    rows = torch.arange(count)[:, None].expand(valid.shape)
    before = torch.where(valid, rows, -1).cummax(0).values
    after = torch.where(valid, rows, count).flip(0).cummin(0).values.flip(0)
    first = torch.where(before >= 0, before, after.clamp(max=count - 1))
    last = torch.where(after < count, after, first)
    share = (rows - first).double() / (last - first).clamp(min=1)
    low, high = (values.gather(0, at[..., None].expand(values.shape)) for at in (first, last))
    return low + share[..., None] * (high - low)
