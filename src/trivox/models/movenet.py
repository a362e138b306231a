"""MoveNet single-pose, "lightning" and "thunder": COCO-17 joints of the person in the middle of the picture.

The network says per cell of a grid at stride 4: where joints are (heatmaps), where a person's centre is,
where from a centre each joint is expected (regress), and how far inside its cell a joint lies (offset).
Published by Google under Apache-2.0 (https://tfhub.dev/google/movenet/singlepose/thunder/4); here every
(y, x) pair is turned to (x, y).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from trivox.geometry.tensors import TensorDataclass
from trivox.models.movenet_trunk import STRIDE, Head, Trunk
from trivox.models.weights import load_bundled

JOINTS = 17  # COCO-17, in COCO order
# The publisher's (cell + offset) * 4 has neither a corner's nor a centre's origin. Of a picture and its
# mirror image, half the disagreement shows the shift without knowing the truth: 0.11 to 0.28 px to the left
# of the corner origin over rendered and real pictures and both networks (multi-pose: 0.29 to 0.35). One
# middle value serves them all, also for y.
CORNER_SHIFT_PX = 0.25
WIDTHS = {
    "lightning": (32, 16, 24, 32, 64, 96, 160, 320),
    "thunder": (56, 32, 40, 56, 112, 168, 280, 560),
}


@dataclass(frozen=True)
class MoveNetOutput(TensorDataclass):
    """What the network says per cell (h, w are a quarter of the picture's sides).

    heatmaps, centre   logits.
    regress            (x, y) in cells from the cell of a person's centre to each joint.
    offset             (x, y) in cells from a joint's cell to the joint.
    features           what all of these are read from.
    """

    heatmaps: Float[Tensor, "B 17 h w"]
    centre: Float[Tensor, "B 1 h w"]
    regress: Float[Tensor, "B 17 2 h w"]
    offset: Float[Tensor, "B 17 2 h w"]
    features: Float[Tensor, "B 24 h w"]


@dataclass(frozen=True)
class Keypoints(TensorDataclass):
    """COCO-17 joints in pixels of the network's input picture (origin at its corner), scores in 0..1."""

    points_px: Float[Tensor, "B 17 2"]
    scores: Float[Tensor, "B 17"]


class MoveNet(nn.Module):
    """The single-pose network; `widths` are the backbone's channels."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.trunk = Trunk(widths)
        self.heatmaps = Head(JOINTS)
        self.centre = Head(1)
        self.regress = Head(2 * JOINTS)
        self.offset = Head(2 * JOINTS)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> MoveNetOutput:
        """Output for RGB pictures in 0..1, sides multiples of 32 (made for 192 lightning, 256 thunder)."""
        features = self.trunk(images)
        return MoveNetOutput(
            self.heatmaps(features),
            self.centre(features),
            self.regress(features).unflatten(1, (JOINTS, 2)),
            self.offset(features).unflatten(1, (JOINTS, 2)),
            features,
        )


def load_movenet(name: Literal["lightning", "thunder"] = "thunder") -> MoveNet:
    """The network with its published weights, float32, ready to evaluate. `packed` makes it fast on a CPU."""
    network = MoveNet(WIDTHS[name])
    load_bundled(network, f"movenet_{name}")
    return network.eval()


def decode(output: MoveNetOutput) -> Keypoints:
    """The joints of the most central person, by the publisher's rule: near is worth more.

    First the person's centre, near the middle of the picture; from there each joint, near where the centre
    expects it.
    """
    h, w = output.centre.shape[-2:]
    middle = output.centre.new_tensor([(w - 1) / 2, (h - 1) / 2])
    person = best_near(output.centre, middle.expand(len(output.centre), 1, 2))
    expected = cells_of(person, w) + read_at(output.regress, person.expand(-1, JOINTS))
    return Keypoints(*refine(output.heatmaps, output.offset, expected))


def refine(
    heatmaps: Float[Tensor, "B 17 h w"],
    offset: Float[Tensor, "B 17 2 h w"],
    expected: Float[Tensor, "B *n 17 2"],
) -> tuple[Float[Tensor, "B *n 17 2"], Float[Tensor, "B *n 17"]]:
    """From the cells where joints are expected to points in pixels and their scores.

    Each joint moves to the best cell of its heatmap nearby, and to the place inside it that the offset names.
    """
    cell = best_near(heatmaps, expected)
    points_px = pixels_of(cells_of(cell, heatmaps.shape[-1]) + read_at(offset, cell))
    return points_px, torch.sigmoid(read_at(heatmaps[:, :, None], cell)[..., 0])


def best_near(logits: Float[Tensor, "B J h w"], expected: Float[Tensor, "B *n J 2"]) -> Int[Tensor, "B *n J"]:
    """Flat index of the cell with the best sigmoid(logit) / (distance to `expected` in cells + 1.8)."""
    h, w = logits.shape[-2:]
    y, x = torch.arange(h).to(expected), torch.arange(w).to(expected)
    squared = (x - expected[..., :1])[..., None, :] ** 2 + (y - expected[..., 1:])[..., :, None] ** 2
    scores = torch.sigmoid(logits)
    scores = scores.view(len(scores), *[1] * (expected.ndim - 3), *scores.shape[1:])
    return (scores / (squared.sqrt() + 1.8)).flatten(-2).argmax(-1)


def pixels_of(places: Float[Tensor, "*b 2"]) -> Float[Tensor, "*b 2"]:
    """Pixels (corner origin) of what the network says as cell plus offset."""
    return places * STRIDE + CORNER_SHIFT_PX


def cells_of(index: Int[Tensor, "*b"], width: int) -> Float[Tensor, "*b 2"]:
    """Cells (x, y) of flat indices."""
    return torch.stack([index % width, index // width], dim=-1).float()


def read_at(maps: Float[Tensor, "B J C h w"], index: Int[Tensor, "B *n J"]) -> Float[Tensor, "B *n J C"]:
    """What the maps of each joint hold in its cells, given by flat indices."""
    batch = torch.arange(len(maps), device=maps.device).view(-1, *[1] * (index.ndim - 1))
    joint = torch.arange(maps.shape[1], device=maps.device)
    return maps.flatten(-2).movedim(-1, 2)[batch, joint, index]
