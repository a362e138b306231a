"""MoveNet multi-pose: the people in a whole picture, each with a box and coarse COCO-17 joints.

A person is a local maximum of the centre heatmap, and the maps tell there how large the box is and where the
joints are expected; each joint then moves to the best cell of its heatmap nearby. The network answers several
times for one person, so boxes that overlap, and skeletons that coincide, are suppressed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from trivox.geometry.boxes import area, overlap, suppressed
from trivox.geometry.tensors import TensorDataclass
from trivox.models.movenet import JOINTS, cells_of, pixels_of, read_at, refine
from trivox.models.movenet_trunk import Head, Trunk
from trivox.models.weights import load_bundled

MULTIPOSE_WIDTHS = (48, 24, 40, 48, 96, 144, 240, 480)
MAX_OVERLAP = 0.6  # intersection over union from which two boxes are one person
MAX_LIKENESS = 0.5  # of `likeness`, from which two skeletons are one person
JOINT_TOLERANCE = 0.1  # distance between joints, in box sizes, that makes the likeness fall to exp(-1/2)


@dataclass(frozen=True)
class MultiPoseOutput(TensorDataclass):
    """What the network says per cell of stride 4: centre and heatmaps as logits, the rest (x, y) in cells."""

    centre: Float[Tensor, "B 1 h w"]
    box_size: Float[Tensor, "B 2 h w"]
    box_offset: Float[Tensor, "B 2 h w"]
    heatmaps: Float[Tensor, "B 17 h w"]
    regress: Float[Tensor, "B 17 2 h w"]
    offset: Float[Tensor, "B 17 2 h w"]


@dataclass(frozen=True)
class People(TensorDataclass):
    """Up to N people per picture, best first; a row without a person has score 0 and zeros everywhere.

    Nothing is cut by its score here: what is too weak to be a person is for the caller to say.

    Boxes are (x0, y0, x1, y1); pixels are those of the network's input picture (origin at its corner) and may
    lie outside it. COCO-17 joints.
    """

    boxes_px: Float[Tensor, "B N 4"]
    scores: Float[Tensor, "B N"]
    points_px: Float[Tensor, "B N 17 2"]
    joint_scores: Float[Tensor, "B N 17"]


class MoveNetMultiPose(nn.Module):
    """The multi-pose network; `widths` are the backbone's channels."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.trunk = Trunk(widths)
        self.centre = Head(1)
        self.box_size = Head(2)
        self.box_offset = Head(2)
        self.heatmaps = Head(JOINTS)
        self.regress = Head(2 * JOINTS)
        self.offset = Head(2 * JOINTS)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> MultiPoseOutput:
        """Output for RGB pictures in 0..1, sides multiples of 32 (made for 256 on the longer side)."""
        features = self.trunk(images)
        return MultiPoseOutput(
            self.centre(features),
            self.box_size(features),
            self.box_offset(features),
            self.heatmaps(features),
            self.regress(features).unflatten(1, (JOINTS, 2)),
            self.offset(features).unflatten(1, (JOINTS, 2)),
        )

    def detect(self, images: Float[Tensor, "B 3 H W"], candidates: int = 20) -> People:
        """The people in pictures as `forward` takes them, from the `candidates` strongest centres of each."""
        return without_duplicates(decode_people(self(images), candidates))


def load_multipose() -> MoveNetMultiPose:
    """The network with its published weights, float32, ready to evaluate. `packed` makes it fast on a CPU."""
    network = MoveNetMultiPose(MULTIPOSE_WIDTHS)
    load_bundled(network, "movenet_multipose")
    return network.eval()


def decode_people(output: MultiPoseOutput, candidates: int) -> People:
    """The `candidates` strongest local maxima (5 x 5 cells) of the centre map, duplicates included."""
    h, w = output.centre.shape[-2:]
    logits = output.centre[:, 0]
    is_maximum = logits == F.max_pool2d(output.centre, 5, stride=1, padding=2)[:, 0]
    strength = torch.where(is_maximum, torch.sigmoid(logits), 0.0).flatten(-2)
    scores, index = strength.topk(min(candidates, h * w), dim=-1)
    cell = cells_of(index, w)

    box_centre = cell + read_at(output.box_offset[:, None], index[..., None])[:, :, 0]
    half = read_at(output.box_size[:, None], index[..., None])[:, :, 0].clamp(min=0) / 2
    boxes_px = torch.cat([pixels_of(box_centre - half), pixels_of(box_centre + half)], dim=-1)
    expected = cell[:, :, None] + read_at(output.regress, index[..., None].expand(-1, -1, JOINTS))
    points_px, joint_scores = refine(output.heatmaps, output.offset, expected)
    return kept(People(boxes_px, scores, points_px, joint_scores), scores > 0)


def without_duplicates(people: People) -> People:
    """Keep of each person the best answer, by boxes and by joints."""
    by_box = overlap(people.boxes_px, people.boxes_px)
    alike = torch.maximum(by_box / MAX_OVERLAP, likeness(people) / MAX_LIKENESS)
    return kept(people, ~suppressed(alike, 1.0) & (people.scores > 0))


def likeness(people: People) -> Float[Tensor, "B N N"]:
    """1 for equal skeletons, falling with the distance of their joints relative to the boxes' size."""
    size = area(people.boxes_px).sqrt()
    scale = JOINT_TOLERANCE * torch.minimum(size[:, :, None], size[:, None, :]).clamp(min=1)
    points = people.points_px
    apart = torch.linalg.vector_norm(points[:, :, None] - points[:, None, :], dim=-1) / scale[..., None]
    return torch.exp(-(apart**2) / 2).mean(dim=-1)


def kept(people: People, mask: Bool[Tensor, "B N"]) -> People:
    """Only the people of `mask`, moved to the front in their order; zeros behind them."""
    order = torch.argsort(~mask, dim=-1, stable=True)

    def moved(values: Tensor) -> Tensor:
        shape = (*mask.shape, *[1] * (values.ndim - 2))
        masked = torch.where(mask.view(shape), values, 0)
        return masked.gather(1, order.view(shape).expand_as(values))

    return people.map(moved)
