"""The bundled 2D networks as predict uses them: people in whole pictures, joints of a person in a crop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from trivox.data.crops import letterboxed, to_images
from trivox.geometry.tensors import TensorDataclass
from trivox.models.movenet import MoveNet, decode, load_movenet
from trivox.models.movenet_multipose import MoveNetMultiPose, load_multipose
from trivox.models.packed import packed

CROP_HW = (256, 256)
# Longer side of a whole picture for the person detector: a person a tenth of it high is still found.
_DETECTOR_SIDE = 512
# The networks' strides; their inputs must be multiples of this.
_MULTIPLE = 32
# People kept of each picture, the best first.
_MOST_PEOPLE = 8


@dataclass(frozen=True)
class Joints2D(TensorDataclass):
    """Joints in pixels of the picture (corner origin) with scores 0..1; score 0 marks an absent one."""

    points_px: Float[Tensor, "*b J 2"]
    scores: Float[Tensor, "*b J"]


@dataclass(frozen=True)
class Networks:
    """Both networks on one device."""

    detector: MoveNetMultiPose
    pose: MoveNet
    device: torch.device

    @classmethod
    def load(cls) -> Networks:
        detector, pose = load_multipose(), load_movenet("thunder")
        if torch.cuda.is_available():
            device = torch.device("cuda")
            return cls(detector.to(device), pose.to(device), device)
        packed_detector = packed(detector, (_DETECTOR_SIDE, _DETECTOR_SIDE))
        return cls(packed_detector, packed(pose, CROP_HW), torch.device("cpu"))

    @torch.inference_mode()
    def find_people(self, pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> Joints2D:
        """People of V whole pictures, which may differ in size: `Joints2D` with batch (V, D), padded with score 0."""
        framed = [letterboxed(picture, _detector_hw(picture)) for picture in pictures]
        found = [self.detector.detect(to_images(image[None], self.device)) for image, _ in framed]
        joints = [
            Joints2D(people.points_px[0, :_MOST_PEOPLE].cpu() * scale, people.joint_scores[0, :_MOST_PEOPLE].cpu())
            for people, (_, scale) in zip(found, framed, strict=True)
        ]
        return Joints2D.stack(joints)

    @torch.inference_mode()
    def find_joints(self, crops: UInt8[np.ndarray, "B 256 256 3"]) -> Joints2D:
        """Joints of the person in the middle of each crop, in pixels of the crop."""
        found = decode(self.pose(to_images(crops, self.device)))
        return Joints2D(found.points_px.cpu(), found.scores.cpu())


def _detector_hw(picture: np.ndarray) -> tuple[int, int]:
    longer = max(picture.shape[:2])
    height, width = (
        max(_MULTIPLE, -(-_DETECTOR_SIDE * side // (longer * _MULTIPLE)) * _MULTIPLE) for side in picture.shape[:2]
    )
    return height, width
