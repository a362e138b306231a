"""Several people: which predicted person is which true one, and average precision and recall.

As in VoxelPose (Tu et al., ECCV 2020) on CMU Panoptic. Every predicted person belongs to the true person of the same
instant that is nearest to it in MPJPE. In the order of confidence, over the whole dataset, a person is found where
this error is below a threshold and the true person has not been found before; all others are false. Average precision
is the area under the precision over recall, precision made falling; recall the share of true people found. MPJPE is
taken over the people found at 500 mm. Instants without a true person do not count.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trivox.geometry.tensors import TensorDataclass
from trivox.metrics.joints import joint_errors_mm

THRESHOLDS_MM = (25.0, 50.0, 75.0, 100.0, 125.0, 150.0)
MATCHED_MM = 500.0

_FRAMES_AT_ONCE = 256  # bounds the memory of all pairs


@dataclass(frozen=True)
class Matches(TensorDataclass):
    """M predicted people: the nearest true person (a number over all instants) and the MPJPE to it."""

    error_mm: Float[Tensor, "M"]
    person: Int[Tensor, "M"]
    confidence: Float[Tensor, "M"]


def pairwise_mpjpe_mm(
    points_mm: Float[Tensor, "F P J 3"],
    found: Bool[Tensor, "F P J"],
    truth_mm: Float[Tensor, "F G J 3"],
    valid: Bool[Tensor, "F G J"],
) -> Float[Tensor, "F P G"]:
    """MPJPE of every predicted to every true person of the same instant, over the joints that both have; infinite
    where they share none."""
    both = found[:, :, None] & valid[:, None]
    errors = joint_errors_mm(points_mm[:, :, None], truth_mm[:, None])
    return torch.where(both.any(-1), torch.where(both, errors, 0.0).sum(-1) / both.sum(-1), torch.inf)


def matches(
    points_mm: Float[Tensor, "F P J 3"],
    found: Bool[Tensor, "F P J"],
    confidence: Float[Tensor, "F P"],
    truth_mm: Float[Tensor, "F G J 3"],
    valid: Bool[Tensor, "F G J"],
) -> Matches:
    """The nearest true person of each predicted one, over the joints that both have.

    `found` and `valid` are the joints of the predicted and of the true people; who has none is not there. A person
    that shares no joint with anybody is infinitely far from the first.
    """
    exists = found.any(-1) & valid.any((-2, -1))[:, None]
    error = torch.full(exists.shape, torch.inf, dtype=torch.float64)
    person = torch.zeros(exists.shape, dtype=torch.long)
    numbers = (valid.any(-1).flatten().cumsum(0) - 1).reshape(valid.shape[:2])
    for start in range(0, len(points_mm), _FRAMES_AT_ONCE):
        part = slice(start, start + _FRAMES_AT_ONCE)
        pairs = pairwise_mpjpe_mm(points_mm[part], found[part], truth_mm[part], valid[part])
        error[part], nearest = pairs.min(-1)
        person[part] = numbers[part].gather(1, nearest)
    return Matches(error[exists], person[exists], confidence.double()[exists])


def first_finds(found: Matches, threshold_mm: float) -> Bool[Tensor, "M"]:
    """Who of the predicted people finds a true person, in the order of `found`, which is that of confidence."""
    near = (found.error_mm < threshold_mm).nonzero()[:, 0]
    people = found.person[near]
    first = torch.full((int(people.max()) + 1 if len(people) else 0,), len(found.person), dtype=torch.long)
    first = first.scatter_reduce(0, people, near, "amin")
    finds = torch.zeros(len(found.person), dtype=torch.bool)
    finds[near] = first[people] == near
    return finds


def in_order_of_confidence(found: Matches) -> Matches:
    """The most confident first; equally confident ones keep their order."""
    return found[found.confidence.argsort(descending=True, stable=True)]


def average_precision(finds: Bool[Tensor, "M"], people: int) -> float:
    """Area under precision over recall, for people in the order of confidence of whom `finds` are right."""
    if not len(finds):
        return 0.0
    right = finds.double().cumsum(0)
    precision = right / torch.arange(1, len(finds) + 1)
    falling = precision.flip(0).cummax(0).values.flip(0)
    return float(falling[finds].sum() / people)


def recall(finds: Bool[Tensor, "M"], people: int) -> float:
    """Share of the true people that are found."""
    return float(finds.sum() / people)
