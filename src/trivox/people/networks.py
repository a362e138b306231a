"""The bundled 2D networks as predict uses them: people in whole pictures, joints of a person in a crop."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from trivox.data.crops import letterboxed, to_images
from trivox.geometry.heatmaps import pixel_from_cell
from trivox.geometry.skeletons import COCO_17
from trivox.geometry.tensors import TensorDataclass
from trivox.models.backbones import BackboneOutput, MoveNetBackbone
from trivox.models.folded import folded
from trivox.models.movenet_multipose import MoveNetMultiPose, load_multipose
from trivox.models.packed import packed

CROP_HW = (256, 256)
# Longer side of a whole picture for the person detector: a person a tenth of it high is still found.
_DETECTOR_SIDE = 512
# The networks' strides; their inputs must be multiples of this.
_MULTIPLE = 32
# People kept of each picture, the best first.
_MOST_PEOPLE = 8

_SETTING_THREADS = threading.Lock()


@dataclass(frozen=True)
class Joints2D(TensorDataclass):
    """Joints in pixels of the picture (corner origin) with scores 0..1; score 0 marks an absent one.

    `views` is all that the network said of each picture, kept where a model goes on from there.
    """

    points_px: Float[Tensor, "*b J 2"]
    scores: Float[Tensor, "*b J"]
    views: BackboneOutput | None = None


class Networks:
    """Both networks, on the GPU where there is one, else on all cores of the CPU.

    On the CPU the pictures of an instant are shared out to threads that each compute alone. Splitting every layer
    over the cores instead makes them wait for each other at each of its layers, and wait long when videos are being
    decoded meanwhile.
    """

    def __init__(self, detector: MoveNetMultiPose, pose: MoveNetBackbone, *, keeps_views: bool) -> None:
        self._device = _device()
        self._on_gpu = self._device.type == "cuda"
        self._detector = detector.to(self._device)
        self._pose, self._keeps_views = pose, keeps_views
        with torch.inference_mode():
            pose(torch.zeros(1, 3, *CROP_HW, device=self._device))  # packs, before several threads use it at once
        self._packed_detectors: dict[tuple[int, int], MoveNetMultiPose] = {}
        self._cores = _usable_cores()
        self._threads = ThreadPoolExecutor(self._cores, "trivox-networks", _compute_alone)
        weakref.finalize(self, self._threads.shutdown, wait=False)

    @classmethod
    def load(cls, backbone: MoveNetBackbone | None = None) -> Networks:
        """With the bundled weights.

        `backbone`, that of a model and `folded` where the networks compute, is the pose network if it is given: its
        joints come with `views`, from which the model can go on.
        """
        # Moved before it is folded: packed weights stay where they are.
        pose = folded(MoveNetBackbone("thunder").to(_device())) if backbone is None else backbone
        return cls(load_multipose(), pose, keeps_views=backbone is not None)

    def find_people(self, pictures: Sequence[UInt8[np.ndarray, "_ _ 3"] | None]) -> Joints2D:
        """People of V whole pictures, which may differ in size: `Joints2D` with batch (V, D), padded with score 0.

        Where a picture is None there is nobody.
        """
        detectors = [None if picture is None else self._detector_for(_detector_hw(picture)) for picture in pictures]
        return Joints2D.stack(list(self._map(self._people_of, pictures, detectors)))

    def find_joints(self, crops: UInt8[np.ndarray, "B 256 256 3"]) -> Joints2D:
        """Joints of the person in the middle of each crop, in pixels of the crop."""
        pieces = np.array_split(crops, 1 if self._on_gpu else min(len(crops), self._cores))
        return Joints2D.concatenated(list(self._map(self._joints_of, pieces)))

    def _map(self, function: Callable[..., Joints2D], *arguments: Sequence[Any]) -> Iterator[Joints2D]:
        return map(function, *arguments) if self._on_gpu else self._threads.map(function, *arguments)

    def _detector_for(self, hw: tuple[int, int]) -> MoveNetMultiPose:
        """Packing takes a moment and is worth it for one size of picture: done once for each."""
        if self._on_gpu:
            return self._detector
        if hw not in self._packed_detectors:
            self._packed_detectors[hw] = packed(self._detector, hw)
        return self._packed_detectors[hw]

    @torch.inference_mode()
    def _people_of(self, picture: UInt8[np.ndarray, "_ _ 3"] | None, detector: MoveNetMultiPose | None) -> Joints2D:
        if picture is None or detector is None:
            return Joints2D(torch.zeros(_MOST_PEOPLE, len(COCO_17), 2), torch.zeros(_MOST_PEOPLE, len(COCO_17)))
        framed, scale = letterboxed(picture, _detector_hw(picture))
        people = detector.detect(to_images(framed[None], self._device))
        points_px = people.points_px[0, :_MOST_PEOPLE].cpu() * scale
        return Joints2D(points_px, people.joint_scores[0, :_MOST_PEOPLE].cpu())

    @torch.inference_mode()
    def _joints_of(self, crops: UInt8[np.ndarray, "B 256 256 3"]) -> Joints2D:
        said = self._pose(to_images(crops, self._device))
        points_px = pixel_from_cell(said.places, self._pose.stride)
        return Joints2D(points_px.cpu(), said.scores.cpu(), said if self._keeps_views else None)


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _usable_cores() -> int:
    """Cores this process may run on; a container or a cluster's job may have fewer than the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _compute_alone() -> None:
    """Let this thread, just started, compute on one core, and no other thread.

    torch.set_num_threads speaks for the thread that calls it and for all that start later. A second thread, which
    does nothing else, therefore takes the latter back.
    """
    with _SETTING_THREADS:
        default = torch.get_num_threads()
        torch.set_num_threads(1)
        restoring = threading.Thread(target=torch.set_num_threads, args=(default,))
        restoring.start()
        restoring.join()


def _detector_hw(picture: np.ndarray) -> tuple[int, int]:
    longer = max(picture.shape[:2])
    height, width = (
        max(_MULTIPLE, -(-_DETECTOR_SIDE * side // (longer * _MULTIPLE)) * _MULTIPLE) for side in picture.shape[:2]
    )
    return height, width
