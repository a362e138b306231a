"""Everybody in view at an instant, in 3D: detections of the views, associated and lifted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trivox.geometry.association import AssociatedPeople, associate, person_sizes_px
from trivox.geometry.bones import at_endless_bone
from trivox.geometry.cameras import Cameras
from trivox.geometry.skeletons import COCO_17, Skeleton
from trivox.geometry.tensors import TensorDataclass
from trivox.lift import lift
from trivox.people.boxes import CROP_MARGIN
from trivox.people.networks import Joints2D

# Fewer joints in space are not a person.
LEAST_JOINTS = 6
# People looked for beyond those asked for, so that bystanders do not crowd out the ones that matter.
BYSTANDERS = 4
# Of two candidates with this many joints, and most of those they share, this close one is a double of the other.
_DOUBLE_MM = 150.0
_FEWEST_DOUBLE = 3
# Pairs of detections tried at once, over all pairs of views: about half a gigabyte, however many cameras there are.
_MOST_PAIRINGS = 100_000


@dataclass(frozen=True)
class Candidates(TensorDataclass):
    """P people at each of F instants: coarse joints in space, and which detection of each view is them (-1 for none).

    `worth` counts the views that see a person, plus below one for the size; 0 marks an absent person.
    """

    points_mm: Float[Tensor, "F P J 3"]
    valid: Bool[Tensor, "F P J"]
    worth: Float[Tensor, "F P"]
    members: Int[Tensor, "F P V"]

    def chosen(self, chains: Int[Tensor, "F N"]) -> Candidates:
        """The candidate of each chain at each instant; -1 gives an absent one."""
        present = chains >= 0
        found = self[torch.arange(len(chains))[:, None], chains.clamp_min(0)]
        return Candidates(
            found.points_mm * present[..., None, None],
            found.valid & present[..., None],
            found.worth * present,
            torch.where(present[..., None], found.members, -1),
        )

    @property
    def centres_mm(self) -> Float[Tensor, "F P 3"]:
        return centres_mm(self.points_mm, self.valid)


def centres_mm(points_mm: Float[Tensor, "*b J 3"], valid: Bool[Tensor, "*b J"]) -> Float[Tensor, "*b 3"]:
    """Mean of the valid joints; zeros where there are none."""
    count = valid.sum(-1, keepdim=True).clamp_min(1)
    return torch.where(valid[..., None], points_mm, 0.0).sum(-2) / count


def distances_mm(
    points_mm: Float[Tensor, "P J 3"],
    valid: Bool[Tensor, "P J"],
    others_mm: Float[Tensor, "Q J 3"],
    others_valid: Bool[Tensor, "Q J"],
) -> Float[Tensor, "P Q"]:
    """Mean distance over the joints that both have; infinite where those are too few to tell."""
    both = valid[:, None] & others_valid[None]
    apart_mm = (points_mm[:, None] - others_mm[None]).norm(dim=-1)
    mean_mm = (apart_mm * both).sum(-1) / both.sum(-1).clamp_min(1)
    return torch.where(both.sum(-1) >= LEAST_JOINTS, mean_mm, torch.inf)


def find_candidates(
    detections: Joints2D, cameras: Cameras, most_people: int, skeleton: Skeleton = COCO_17
) -> Candidates:
    """People in 3D from detections (F, V, D) of `skeleton`; at most `most_people` an instant, best supported first.

    Joints at the ends of a bone longer than any person's are none of theirs: rays of two people's arms may meet.
    """
    F, V, D, _ = detections.scores.shape
    bones = torch.tensor(skeleton.bone_indices, dtype=torch.long).reshape(-1, 2)
    at_once = max(1, _MOST_PAIRINGS // max(1, V * (V - 1) // 2 * D * D))
    parts = [
        _candidates_of(detections[start : start + at_once], cameras, most_people, bones)
        for start in range(0, F, at_once)
    ]
    return Candidates.concatenated(parts)


def _candidates_of(detections: Joints2D, cameras: Cameras, most_people: int, bones: Int[Tensor, "B 2"]) -> Candidates:
    associated = associate(detections.points_px, detections.scores, cameras, most_people, bones)
    joints = gathered(detections, associated.members)
    sizes_px = person_sizes_px(joints.points_px, joints.scores)
    found = lift(joints.points_px, joints.scores, cameras, sizes_px * CROP_MARGIN, "ransac")
    valid = found.valid & ~at_endless_bone(found.points_mm, found.valid, bones)
    usable = (valid.sum(-1) >= LEAST_JOINTS) & ~_doubles(found.points_mm, valid, found.inliers)
    worth = _worth(associated, sizes_px, cameras, usable)
    return Candidates(found.points_mm * valid[..., None], valid & usable[..., None], worth, associated.members)


def _doubles(
    points_mm: Float[Tensor, "F P J 3"], valid: Bool[Tensor, "F P J"], inliers: Bool[Tensor, "F P V J"]
) -> Bool[Tensor, "F P"]:
    """Candidates most of whose joints are those of another who is seen better: second detections of one person."""
    both = valid[:, :, None] & valid[:, None]
    close = ((points_mm[:, :, None] - points_mm[:, None]).norm(dim=-1) < _DOUBLE_MM) & both
    same = (close.sum(-1) >= _FEWEST_DOUBLE) & (2 * close.sum(-1) > both.sum(-1))
    evidence = (inliers & valid[:, :, None]).sum((-2, -1))
    order = torch.arange(valid.shape[1])
    better = (evidence[:, None] > evidence[:, :, None]) | (
        (evidence[:, None] == evidence[:, :, None]) & (order[None] < order[:, None])
    )
    return (same & better).any(-1)


def gathered(detections: Joints2D, members: Int[Tensor, "F P V"]) -> Joints2D:
    """The detections of each person, (F, P, V); score 0 where a view does not see the person."""
    F, P, V = members.shape
    index = members.clamp_min(0).permute(0, 2, 1)
    instant, view = torch.arange(F)[:, None, None], torch.arange(V)[None, :, None]
    points = detections.points_px[instant, view, index].transpose(1, 2)
    scores = detections.scores[instant, view, index].transpose(1, 2) * (members >= 0)[..., None]
    return Joints2D(points.double(), scores.double())


def _worth(associated: AssociatedPeople, sizes_px: Tensor, cameras: Cameras, usable: Tensor) -> Tensor:
    """Views, plus the mean size in them as an angle: below one even for a person who fills a wide picture."""
    seen = associated.members >= 0
    angles = (sizes_px / cameras.K[:, 0, 0]).clamp(max=0.9)
    mean_angle = (angles * seen).sum(-1) / seen.sum(-1).clamp_min(1)
    return (associated.view_counts + mean_angle) * usable
