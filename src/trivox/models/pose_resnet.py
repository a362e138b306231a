"""PoseResNet: a residual network that looks, and three transposed convolutions that say where.

He et al., "Deep Residual Learning" (CVPR 2016); Xiao et al., "Simple Baselines for Human Pose Estimation"
(ECCV 2018); the confidence heads of Iskakov et al. (ICCV 2019, see `backbones.py`). Modules carry the names of
the published checkpoints, so that these load strictly.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trivox.errors import InputError
from trivox.models.backbones import VOLUME_CHANNELS, BackboneOutput, ConfidenceHead

Depth = Literal[18, 34, 50, 101, 152]
Style = Literal["simple", "caffe"]
Colours = Literal["rgb", "bgr"]

# ImageNet statistics, for red, green, blue.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)

BLOCKS: dict[int, tuple[int, int, int, int]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
WIDTHS = (64, 128, 256, 512)
FEATURES = 256


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around which the input passes unchanged, or through a 1x1 where shapes differ."""

    def __init__(self, inside: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inside, width, stride)

    def forward(self, x: Float[Tensor, "n C h w"]) -> Float[Tensor, "n D i j"]:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1 narrows, 3x3 looks around, 1x1 widens fourfold; shortcut as in `BasicBlock`.

    A stride is taken by the 3x3 ("simple"), or by the first 1x1 ("caffe").
    """

    WIDENING = 4

    def __init__(self, inside: int, width: int, stride: int, style: Style) -> None:
        super().__init__()
        first, second = (stride, 1) if style == "caffe" else (1, stride)
        outside = width * self.WIDENING
        self.conv1 = nn.Conv2d(inside, width, 1, first, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, second, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outside, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outside)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inside, outside, stride)

    def forward(self, x: Float[Tensor, "n C h w"]) -> Float[Tensor, "n D i j"]:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


def _shortcut(inside: int, outside: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and inside == outside:
        return None
    return nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))


class PoseResNet(nn.Module):
    """Heatmaps and 256-channel features at stride 4, optionally confidences; starts with He's initialisation.

    `style` "caffe" has bottlenecks at every depth, "simple" from 50 on. `colours` "bgr" is what the published
    checkpoints were trained with: channels turned to blue, green, red, but normalised with the statistics of
    red, green, blue. Sides that are no multiple of 32 are rounded up: the maps reach beyond the picture.
    """

    stride = 4
    feature_channels = FEATURES
    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        depth: Depth,
        joints: int,
        *,
        style: Style = "simple",
        joint_confidences: bool = False,
        feature_confidences: bool = False,
        colours: Colours = "rgb",
    ) -> None:
        super().__init__()
        _check_words(depth, style, colours)
        self.joints, self.colours = joints, colours
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION)[:, None, None], persistent=False)
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.layer1, self.layer2, self.layer3, self.layer4 = _stages(depth, style)
        deepest = WIDTHS[-1] * (Bottleneck.WIDENING if _has_bottlenecks(depth, style) else 1)
        self.alg_confidences = ConfidenceHead(deepest, joints) if joint_confidences else None
        self.vol_confidences = ConfidenceHead(deepest, VOLUME_CHANNELS) if feature_confidences else None
        self.deconv_layers = _upsampling(deepest)
        self.final_layer = nn.Conv2d(FEATURES, joints, 1)
        self._initialise()

    def forward(self, images: Float[Tensor, "n 3 H W"]) -> BackboneOutput:
        """Output for RGB pictures in 0..1; `InputError` where they are too small for a confidence head."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(self.normalised(images)))))
        deepest = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        features = self.deconv_layers(deepest)
        heatmaps = self.final_layer(features)
        scores = heatmaps.detach().amax((-2, -1)).clamp(0, 1)  # trained towards Gaussians of height 1
        return self.confident(BackboneOutput(heatmaps, features, scores=scores, deepest=deepest.to(heatmaps.dtype)))

    def confident(self, seen: BackboneOutput) -> BackboneOutput:
        """What was seen in pictures (batch axis n), with the confidences that the heads have by now."""
        joints, features = self.alg_confidences, self.vol_confidences
        return replace(
            seen,
            joint_confidences=joints(seen.deepest) if joints is not None else None,
            feature_confidences=features(seen.deepest) if features is not None else None,
        )

    def normalised(self, images: Float[Tensor, "n 3 H W"]) -> Float[Tensor, "n 3 H W"]:
        """What the first convolution sees. Everything after it keeps this memory format, channels innermost."""
        stored = images if self.colours == "rgb" else images.flip(1)
        return ((stored - self.mean) / self.deviation).contiguous(memory_format=torch.channels_last)

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        # Heatmaps start flat: no cell is believed before the first step.
        nn.init.normal_(self.final_layer.weight, std=0.001)
        assert self.final_layer.bias is not None
        nn.init.zeros_(self.final_layer.bias)


def _check_words(depth: object, style: object, colours: object) -> None:
    """A style that is misspelt would else be another one, silently."""
    for what, given, allowed in (("depth", depth, Depth), ("style", style, Style), ("colours", colours, Colours)):
        if given not in get_args(allowed):
            words = ", ".join(map(str, get_args(allowed)))
            raise InputError(f"a PoseResNet of {what} {given!r} was asked for; give one of {words}")


def _has_bottlenecks(depth: int, style: Style) -> bool:
    return depth >= 50 or style == "caffe"


def _stages(depth: int, style: Style) -> list[nn.Sequential]:
    inside, stages = WIDTHS[0], []
    for width, blocks, stride in zip(WIDTHS, BLOCKS[depth], (1, 2, 2, 2), strict=True):
        stage = nn.Sequential()
        for block_stride in (stride, *itertools.repeat(1, blocks - 1)):
            if _has_bottlenecks(depth, style):
                stage.append(Bottleneck(inside, width, block_stride, style))
                inside = width * Bottleneck.WIDENING
            else:
                stage.append(BasicBlock(inside, width, block_stride))
                inside = width
        stages.append(stage)
    return stages


def _upsampling(inside: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inside, FEATURES, FEATURES):
        layers.append(nn.ConvTranspose2d(channels, FEATURES, 4, 2, padding=1, bias=False))
        layers.append(nn.BatchNorm2d(FEATURES))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)
