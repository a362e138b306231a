"""A world of coloured dots, and networks that see exactly that: tests of following need neither weights nor luck.

Joint j of person p is drawn as a square of colour (60 + 40 p, 100 + 8 j, 200) on black.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from rigs import ring, standing_people
from torch import Tensor

from trivox.geometry.rig import Rig
from trivox.people.networks import Joints2D, Networks

_HALF = 3  # half a side of a dot, pixels
_PEOPLE = 3
# One filter, none, and little compression: pictures are black but for the dots, and are written to be read once.
QUICK_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE]


class DotNetworks(Networks):
    """Finds dots by their colour. Scores are 1 for what is seen."""

    def __init__(self) -> None:  # no weights to load
        self.__dict__["looks_at_whole_pictures"] = []

    def find_people(self, pictures: Sequence[np.ndarray | None]) -> Joints2D:
        self.__dict__["looks_at_whole_pictures"].append(len(pictures))
        found = [_dots(np.zeros((2, 2, 3), np.uint8) if picture is None else picture) for picture in pictures]
        return Joints2D(
            torch.stack([torch.stack([p for p, _ in row]) for row in found]),
            torch.stack([torch.stack([s for _, s in row]) for row in found]),
        )

    def find_joints(self, crops: np.ndarray) -> Joints2D:
        found = [central_person(crop) for crop in crops]
        return Joints2D(torch.stack([p for p, _ in found]), torch.stack([s for _, s in found]))


def _dots(picture: np.ndarray, hidden: float = 0.7) -> list[tuple[Tensor, Tensor]]:
    """Of each person the centre of each colour. A dot of less than `hidden` is not seen."""
    # Blended edges are neither colour, and fall out; of nearly all pixels no more is asked than this.
    at = cv2.findNonZero(cv2.inRange(picture, (48, 97, 188), (152, 231, 212)))
    pixels = np.zeros((0, 2), np.int64) if at is None else np.asarray(at, np.int64).reshape(-1, 2)
    red, green = picture[pixels[:, 1], pixels[:, 0], :2].astype(int).T
    joint = np.round((green - 100) / 8).astype(int)
    is_a_joint = np.abs(green - 100 - 8 * joint) <= 3
    found = []
    for person in range(_PEOPLE):
        of_person = np.flatnonzero(is_a_joint & (np.abs(red - (60 + 40 * person)) <= 12))
        found.append(_centres(pixels[of_person], joint[of_person], hidden))
    return found


def _centres(pixels: np.ndarray, joint: np.ndarray, hidden: float) -> tuple[Tensor, Tensor]:
    points, count = np.zeros((17, 2), np.float32), np.bincount(joint, minlength=17)
    for j in np.flatnonzero(count):
        # The median: where two other dots touch, their blend has the colour of a third.
        points[j] = np.median(pixels[joint == j], axis=0) + 0.5
    seen = (count >= min(4, 6 * hidden)) & (count >= hidden * np.median(count[count > 0])) if count.any() else count > 0
    return torch.from_numpy(points * seen[:, None]), torch.from_numpy(seen).float()


def central_person(crop: np.ndarray, hidden: float = 0.7) -> tuple[Tensor, Tensor]:
    """Of the people in the crop, the one with most joints around the middle."""
    found = _dots(crop, hidden)
    middle = torch.tensor([crop.shape[1] / 2, crop.shape[0] / 2])
    near = [
        float(s.sum()) - float(((p - middle).norm(dim=-1) * s).sum() / 256 / s.sum().clamp_min(1)) for p, s in found
    ]
    return found[int(np.argmax(near))]


def rig_of(views: int) -> Rig:
    return Rig(tuple(f"cam{v + 1}" for v in range(views)), ring(views), torch.tensor([0.0, 0, 1]).double())


def walk(frames: int, people: int, step_mm: float = 30.0, *, wide_faces: bool = True) -> Tensor:
    """People (F, P, 17, 3) that walk along x, two metres apart."""
    start = standing_people([(-400.0, 1800.0 * p - 900.0 * (people - 1)) for p in range(people)])
    start = _with_wide_faces(start) if wide_faces else start
    shift = torch.arange(frames).double()[:, None, None, None] * torch.tensor([step_mm, 0.0, 0.0]).double()
    return start + shift


def _with_wide_faces(people_mm: Tensor) -> Tensor:
    """Eyes and ears apart by more than a dot."""
    people_mm = people_mm.clone()
    nose = people_mm[:, :1]
    people_mm[:, 1:5] = nose + (people_mm[:, 1:5] - nose) * 4
    return people_mm


def draw(points_mm: Tensor, visible: Tensor, rig: Rig, folder: Path) -> list[Path]:
    """Write an image folder per camera. `visible` (F, V, P) says which person is drawn where."""
    folders = [folder / name for name in rig.names]
    frames, people = points_mm.shape[:2]
    turned_hw = rig.upright_cameras.image_hw
    assert turned_hw is not None
    for v, path in enumerate(folders):
        path.mkdir(parents=True)
        stored_h, stored_w = rig.cameras.image_hw[v].tolist()  # pyright: ignore[reportOptionalSubscript]
        pixels = rig.cameras[v].project(points_mm.reshape(-1, 3)).reshape(frames, people, 17, 2).numpy()
        for f in range(frames):
            picture = np.zeros((stored_h, stored_w, 3), np.uint8)
            for p in range(people):
                if visible[f, v, p]:
                    _draw_person(picture, pixels[f, p], p)
            cv2.imwrite(str(path / f"{f:06d}.png"), picture, QUICK_PNG)
    return folders


def _draw_person(picture: np.ndarray, pixels: np.ndarray, person: int) -> None:
    for joint, (x, y) in enumerate(pixels):
        colour = (200, 100 + 8 * joint, 60 + 40 * person)  # OpenCV writes blue first
        left, top = round(float(x)) - _HALF, round(float(y)) - _HALF
        cv2.rectangle(picture, (left, top), (left + 2 * _HALF - 1, top + 2 * _HALF - 1), colour, -1)
