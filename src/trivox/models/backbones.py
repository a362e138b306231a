"""Backbones: what looks at single pictures and says where joints may be, for every method of triangulation.

A backbone is a module that takes RGB pictures in 0..1 and returns a `BackboneOutput`. It normalises by itself,
and has the attributes `stride` (picture pixels per cell of its maps), `joints` and `feature_channels`.
`PoseResNet` lives in a file of its own; here is MoveNet seen as one: small, quick and already trained.

Heads for confidences are those of Iskakov et al., "Learnable Triangulation of Human Pose" (ICCV 2019): from
the deepest features, one number per picture and joint (algebraic triangulation weighs views by it), or per
picture and channel of the volumes (volumetric triangulation does).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trivox.errors import InputError
from trivox.geometry.heatmaps import cell_from_pixel
from trivox.geometry.skeletons import COCO_17
from trivox.geometry.tensors import TensorDataclass
from trivox.models.movenet import JOINTS, MoveNet, MoveNetOutput, decode, load_movenet
from trivox.models.movenet_trunk import COARSEST, FEATURES, STRIDE
from trivox.models.movenet_trunk import Backbone as MobileNet

VOLUME_CHANNELS = 32  # feature channels that go into a volume, each with a confidence of its own


@dataclass(frozen=True)
class BackboneOutput(TensorDataclass):
    """What a backbone says about pictures.

    heatmaps             raw, before any softmax.
    features             what the heatmaps are read from.
    joint_confidences    in 0..1, one per joint; None without that head.
    feature_confidences  in 0..1, one per channel of a volume; None without that head.
    scores               how far to trust the place of each joint, 0..1; None where the backbone cannot tell.
    deepest              the coarsest maps, which heads for confidences read.
    places               cells (x, y), with fractions, where the backbone itself reads the joints off its maps (the
                         middle of the first cell is 0, 0); None: where the heatmaps are highest.
    """

    heatmaps: Float[Tensor, "*b J h w"]
    features: Float[Tensor, "*b C h w"]
    joint_confidences: Float[Tensor, "*b J"] | None = None
    feature_confidences: Float[Tensor, "*b K"] | None = None
    scores: Float[Tensor, "*b J"] | None = None
    deepest: Float[Tensor, "*b D i j"] | None = None
    places: Float[Tensor, "*b J 2"] | None = None


class Backbone(Protocol):
    """What the methods need to know of a backbone, which is an `nn.Module`."""

    stride: int
    joints: int
    feature_channels: int

    def __call__(self, images: Float[Tensor, "n 3 H W"]) -> BackboneOutput:
        """Output for RGB pictures in 0..1."""
        ...


class ConfidenceHead(nn.Module):
    """From the deepest features (stride 32) to `outputs` numbers in 0..1 per picture."""

    SMALLEST = 4  # it halves its input twice

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 512, 3, padding=1),
            nn.BatchNorm2d(512),
            nn.MaxPool2d(2),
            nn.ReLU(inplace=True),
            nn.Conv2d(512, 256, 3, padding=1),
            nn.BatchNorm2d(256),
            nn.MaxPool2d(2),
            nn.ReLU(inplace=True),
        )
        self.head = nn.Sequential(
            nn.Linear(256, 512),
            nn.ReLU(inplace=True),
            nn.Linear(512, 256),
            nn.ReLU(inplace=True),
            nn.Linear(256, outputs),
            nn.Sigmoid(),
        )

    def forward(self, deepest: Float[Tensor, "n C h w"]) -> Float[Tensor, "n K"]:
        """Confidences; `InputError` where the pictures were too small to be halved that often."""
        h, w = deepest.shape[-2:]
        if min(h, w) < self.SMALLEST:
            raise InputError(
                f"the pictures are too small for confidences: {h}x{w} cells remain of them, {self.SMALLEST}x"
                f"{self.SMALLEST} are needed; give pictures of at least 128x128 pixels, or a model without confidences"
            )
        means = self.features(deepest).mean(dim=(-2, -1))
        return self.head(means.to(self.head[0].weight.dtype))  # features may come in half precision, see `folded`


class Evidence(nn.Module):
    """MoveNet's confidence per joint: what the picture looks like, and how each heatmap looks.

    A peak that is high and narrow is one to trust, whoever it belongs to; whether the right joint made it, the deepest
    features may tell. Far smaller than the published head, which would be larger than the network it judges.
    """

    WIDTH = 128

    def __init__(self, channels: int, joints: int) -> None:
        super().__init__()
        width = self.WIDTH
        self.picture = nn.Sequential(
            nn.Conv2d(channels, width, 1), nn.ReLU(inplace=True), nn.Conv2d(width, width, 3, padding=1), nn.ReLU()
        )
        self.joints = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, joints))
        self.shape = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, deepest: Float[Tensor, "n C i j"], heatmaps: Float[Tensor, "n J h w"]) -> Float[Tensor, "n J"]:
        """Confidences in 0..1. The heatmaps are evidence, nothing that confidences should change."""
        seen = self.joints(self.picture(deepest).mean(dim=(-2, -1)))
        return torch.sigmoid(seen + self.shape(_shapes(heatmaps.detach()))[..., 0])


def _shapes(heatmaps: Float[Tensor, "n J h w"]) -> Float[Tensor, "n J 2"]:
    """Of each map: the height of its peak, a logit, and the logarithm of its spread in cells."""
    weights = heatmaps.flatten(-2).softmax(-1).unflatten(-1, heatmaps.shape[-2:])
    along = [weights.sum(-2), weights.sum(-1)]  # the marginals along x and y have all that a spread needs
    places = [torch.arange(line.shape[-1], device=line.device, dtype=line.dtype) for line in along]
    means = [line @ place for line, place in zip(along, places, strict=True)]
    squares = [line @ place**2 for line, place in zip(along, places, strict=True)]
    variance = torch.stack(squares).sub(torch.stack(means) ** 2).sum(0)
    return torch.stack([heatmaps.amax((-2, -1)) / 4, (variance.relu() + 0.1).log()], dim=-1)


class Reader(nn.Module):
    """Where MoveNet itself reads joints off its maps: near where the person in the middle has them, to parts of a cell.

    A peak is often somebody else's joint; this reading seldom is. It belongs to the published network and never learns.
    """

    def __init__(self, movenet: MoveNet) -> None:
        super().__init__()
        self.centre, self.regress, self.offset = movenet.centre, movenet.regress, movenet.offset
        self.requires_grad_(False)

    @torch.no_grad()
    def forward(
        self, heatmaps: Float[Tensor, "n J h w"], features: Float[Tensor, "n C h w"]
    ) -> tuple[Float[Tensor, "n J 2"], Float[Tensor, "n J"]]:
        """Cells (x, y) and scores of the joints."""
        regress, offset = (head(features).float().unflatten(1, (JOINTS, 2)) for head in (self.regress, self.offset))
        found = decode(MoveNetOutput(heatmaps.float(), self.centre(features).float(), regress, offset, features))
        return cell_from_pixel(found.points_px, STRIDE), found.scores


class MoveNetBackbone(nn.Module):
    """MoveNet with its published weights: 17 COCO joints, 24-channel features, optional (untrained) confidences.

    `reader` is None for a network that was trained further, since the published reading is no longer its own: then
    joints are where its heatmaps are highest.

    Pictures need sides that are multiples of 32; the networks were made for 192x192 ("lightning") and 256x256
    ("thunder").
    """

    stride = STRIDE
    joints = JOINTS
    skeleton = COCO_17  # what its heatmaps mean
    feature_channels = FEATURES

    def __init__(
        self,
        name: Literal["lightning", "thunder"] = "thunder",
        *,
        joint_confidences: bool = False,
        feature_confidences: bool = False,
        reads: bool = True,
    ) -> None:
        super().__init__()
        self.name: Literal["lightning", "thunder"] = name
        movenet = load_movenet(name)
        self.trunk, self.heatmaps = movenet.trunk, movenet.heatmaps
        self.reader = Reader(movenet) if reads else None
        deepest = MobileNet.OUTPUT_CHANNELS
        self.alg_confidences = Evidence(deepest, JOINTS) if joint_confidences else None
        self.vol_confidences = ConfidenceHead(deepest, VOLUME_CHANNELS) if feature_confidences else None
        self.train()  # as every new module; the published network came ready to evaluate

    def forward(self, images: Float[Tensor, "n 3 H W"]) -> BackboneOutput:
        """Output for RGB pictures in 0..1; `InputError` where a side is not a multiple of 32."""
        h, w = images.shape[-2:]
        if h % COARSEST or w % COARSEST:
            raise InputError(
                f"pictures of {w}x{h} pixels cannot go through MoveNet, whose sides are multiples of {COARSEST};"
                " resize or crop them"
            )
        scaled = (images * 2 - 1).contiguous(memory_format=torch.channels_last)
        levels = self.trunk.backbone(scaled)
        features = self.trunk.pyramid(levels)
        heatmaps = self.heatmaps(features)
        if self.reader is None:
            places, scores = None, torch.sigmoid(heatmaps.detach().amax((-2, -1)))
        else:
            places, scores = self.reader(heatmaps, features)
        return self.confident(BackboneOutput(heatmaps, features, scores=scores, deepest=levels[-1], places=places))

    def confident(self, seen: BackboneOutput) -> BackboneOutput:
        """What was seen in pictures (batch axis n), with the confidences that the heads have by now."""
        joints, features = self.alg_confidences, self.vol_confidences
        return replace(
            seen,
            joint_confidences=joints(seen.deepest, seen.heatmaps) if joints is not None else None,
            feature_confidences=features(seen.deepest) if features is not None else None,
        )

    def is_bundled(self) -> bool:
        """Whether the network itself, without heads for confidences, is the one that comes with the package."""
        published = load_movenet(self.name).state_dict()
        return all(torch.equal(t.cpu(), published[name]) for name, t in self.state_dict().items() if name in published)

    @staticmethod
    def probabilities(heatmaps: Float[Tensor, "*b J h w"]) -> Float[Tensor, "*b J h w"]:
        """Heatmaps in 0..1: MoveNet gives logits."""
        return torch.sigmoid(heatmaps)
