"""What all MoveNets are built from: a MobileNetV2 backbone, a feature pyramid, and one small head per output.

MobileNetV2 (Sandler et al., CVPR 2018) is a chain of inverted residuals: a 1x1 convolution widens, a 3x3
depthwise one looks around, a 1x1 one narrows. The pyramid (Lin et al., CVPR 2017) carries the coarse features
back to a quarter of the picture, where separable heads read them. Batch normalisation is already folded into
the weights.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Activation = Literal["none", "relu", "relu6"]
ACTIVATIONS = {"none": nn.Identity(), "relu": nn.ReLU(), "relu6": nn.ReLU6()}

STRIDE = 4  # picture pixels per cell of every output
FEATURES = 24  # channels of the finest pyramid level, which the heads read
COARSEST = 32  # a picture side must be a multiple of this


class Convolution(nn.Module):
    """Convolution, bias and activation, padded as TensorFlow's "same": at stride 2 only right and below."""

    def __init__(
        self,
        channels: tuple[int, int],
        size: int = 1,
        stride: int = 1,
        *,
        depthwise: bool = False,
        bias: bool = True,
        activation: Activation = "none",
    ) -> None:
        super().__init__()
        inside, outside = channels
        self.stride, self.activation = stride, activation
        self.groups = inside if depthwise else 1
        self.weight = nn.Parameter(torch.empty(outside, inside // self.groups, size, size))
        self.bias = nn.Parameter(torch.zeros(outside)) if bias else None
        nn.init.kaiming_normal_(self.weight)

    def forward(self, x: Float[Tensor, "B C h w"], plus: Tensor | None = None) -> Float[Tensor, "B D i j"]:
        """The convolution of `x`; `plus`, a shortcut of the result's shape, joins before the activation."""
        size = self.weight.shape[-1]
        padding = size // 2
        if self.stride == 2:  # sizes are even, so "same" needs size - 2 more pixels, none of them before
            x, padding = F.pad(x, (0, size - 2, 0, size - 2)), 0
        y = F.conv2d(x, self.weight, self.bias, self.stride, padding, groups=self.groups)
        if plus is not None:
            y = y + plus
        return ACTIVATIONS[self.activation](y)


class InvertedResidual(nn.Module):
    """Widen by `widening` (1: not at all), look around, narrow; plus the input where the shapes agree."""

    def __init__(self, channels: tuple[int, int], stride: int, widening: int = 6) -> None:
        super().__init__()
        inside, outside = channels
        wide = inside * widening
        self.is_residual = stride == 1 and inside == outside
        self.expand = Convolution((inside, wide), activation="relu6") if widening > 1 else None
        self.depthwise = Convolution((wide, wide), 3, stride, depthwise=True, activation="relu6")
        self.project = Convolution((wide, outside))

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B D i j"]:
        wide = self.expand(x) if self.expand is not None else x
        return self.project(self.depthwise(wide), plus=x if self.is_residual else None)


class Backbone(nn.Module):
    """MobileNetV2: features at strides 4, 8, 16 and 32. `widths`: of the stem and the seven stages."""

    DEPTHS = (1, 2, 3, 4, 3, 3, 1)
    STRIDES = (1, 2, 2, 2, 1, 2, 1)
    OUTPUT_CHANNELS = 1280

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = Convolution((3, widths[0]), 3, 2, activation="relu6")
        self.stages = nn.ModuleList(
            nn.Sequential(
                InvertedResidual((before, after), stride, widening=1 if stage == 0 else 6),
                *(InvertedResidual((after, after), 1) for _ in range(depth - 1)),
            )
            for stage, (before, after, depth, stride) in enumerate(
                zip(widths[:-1], widths[1:], self.DEPTHS, self.STRIDES, strict=True)
            )
        )
        self.last = Convolution((widths[-1], self.OUTPUT_CHANNELS), activation="relu6")

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        x = self.stem(x)
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        return [levels[1], levels[2], levels[3], self.last(x)]


class PyramidLevel(nn.Module):
    """Upsample the coarser features twofold, add the backbone's, smooth by a separable convolution."""

    def __init__(self, lateral: int, inside: int, outside: int) -> None:
        super().__init__()
        self.lateral = Convolution((lateral, inside))
        self.depthwise = Convolution((inside, inside), 3, depthwise=True, bias=False)
        self.pointwise = Convolution((inside, outside), activation="relu")

    def forward(self, fine: Float[Tensor, "B C h w"], coarse: Tensor) -> Float[Tensor, "B D h w"]:
        up = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
        return self.pointwise(self.depthwise(self.lateral(fine, plus=up)))


class Pyramid(nn.Module):
    """From the backbone's four levels to one map of `FEATURES` channels at stride 4."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.top = Convolution((Backbone.OUTPUT_CHANNELS, 64))
        self.levels = nn.ModuleList(
            [
                PyramidLevel(widths[4], 64, 32),
                PyramidLevel(widths[3], 32, FEATURES),
                PyramidLevel(widths[2], FEATURES, FEATURES),
            ]
        )

    def forward(self, backbone: list[Tensor]) -> Float[Tensor, "B 24 h w"]:
        *finer, coarsest = backbone
        x = self.top(coarsest)
        for level, fine in zip(self.levels, reversed(finer), strict=True):
            x = level(fine, x)
        return x


class Head(nn.Module):
    """A separable convolution and one more 1x1: reads one kind of output off the features."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = Convolution((FEATURES, FEATURES), 3, depthwise=True, bias=False)
        self.expand = Convolution((FEATURES, 96), activation="relu")
        self.project = Convolution((96, channels))

    def forward(self, x: Float[Tensor, "B 24 h w"]) -> Float[Tensor, "B C h w"]:
        return self.project(self.expand(self.depthwise(x)))


class Trunk(nn.Module):
    """Picture to features: scale the values, run the backbone and the pyramid."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.backbone = Backbone(widths)
        self.pyramid = Pyramid(widths)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 24 h w"]:
        """Features at stride 4 of RGB pictures in 0..1 whose sides are multiples of 32."""
        sides = images.shape[-2:]
        assert all(side % COARSEST == 0 for side in sides), f"sides must be multiples of {COARSEST}: {sides}"
        scaled = (images * 2 - 1).contiguous(memory_format=torch.channels_last)
        return self.pyramid(self.backbone(scaled))
