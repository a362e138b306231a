"""The smallest backbone and scene that a method can be tried on."""

from __future__ import annotations

import torch
from rigs import ring, standing_people
from torch import Tensor, nn

from trivox.geometry.cameras import Cameras
from trivox.geometry.heatmaps import cell_from_pixel
from trivox.models.backbones import VOLUME_CHANNELS, BackboneOutput

STRIDE = 4


class Tiny(nn.Module):
    """One convolution, and everything read off it."""

    stride, feature_channels = STRIDE, 6

    def __init__(self, joints: int = 17) -> None:
        super().__init__()
        self.joints = joints
        self.look = nn.Conv2d(3, self.feature_channels, STRIDE, STRIDE)
        self.heatmaps = nn.Conv2d(self.feature_channels, joints, 3, padding=1)
        self.trust = nn.Linear(self.feature_channels, joints + VOLUME_CHANNELS)

    def forward(self, images: Tensor) -> BackboneOutput:
        features = torch.tanh(self.look(images))
        trust = torch.sigmoid(self.trust(features.mean((-2, -1))))
        return BackboneOutput(self.heatmaps(features), features, trust[:, : self.joints], trust[:, self.joints :])


class Stored(nn.Module):
    """A backbone that has its heatmaps ready; `features` are the heatmaps again."""

    stride = STRIDE

    def __init__(self, heatmaps: Tensor, joint_confidences: Tensor | None = None) -> None:
        super().__init__()
        self.stored, self.trust = heatmaps, joint_confidences
        self.joints = self.feature_channels = heatmaps.shape[2]

    def forward(self, images: Tensor) -> BackboneOutput:
        heatmaps = self.stored.flatten(0, 1)
        return BackboneOutput(heatmaps, heatmaps, None if self.trust is None else self.trust.flatten(0, 1))


def scene(
    views: int, samples: int = 2, image_hw: tuple[int, int] = (192, 256), lens: float = 0.0
) -> tuple[Tensor, Cameras, Tensor]:
    """Random pictures, their cameras, and a person (B, 17, 3) in the middle of each sample."""
    cameras = ring(views, distortion=(lens, 0.0, 0.0, 0.0, 0.0)).scaled(torch.tensor([0.2, 0.266667]).double())
    truth_mm = standing_people([(120.0 * i, -80.0 * i) for i in range(samples)])
    generator = torch.Generator().manual_seed(views)
    images = torch.rand(samples, views, 3, *image_hw, generator=generator)
    return images, cameras.expanded(samples, views).map(Tensor.clone), truth_mm


def logits_of(truth_mm: Tensor, cameras: Cameras, image_hw: tuple[int, int], sigma: float = 1.5) -> Tensor:
    """Heatmaps (B, V, J, h, w) whose softmax is a Gaussian around the projection of each joint."""
    cells = cell_from_pixel(cameras.project(truth_mm[:, None]), STRIDE)
    y, x = (torch.arange(side // STRIDE, dtype=cells.dtype) for side in image_hw)
    squared = (x - cells[..., :1])[..., None, :] ** 2 + (y - cells[..., 1:])[..., :, None] ** 2
    return -squared / (2 * sigma**2)
