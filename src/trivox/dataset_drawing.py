"""One instant of a dataset in all its cameras, side by side, with truth and boxes drawn over the pictures."""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from jaxtyping import Int, UInt8

from trivox.data.labels import Labels
from trivox.data.picture_reading import PictureReader
from trivox.drawing import draw_bones, draw_dot, draw_name, grid_of, projected, resized
from trivox.errors import InputError
from trivox.geometry.cameras import Cameras

TILE_HEIGHT = 480
COLOURS = ((0, 230, 255), (255, 60, 160), (120, 255, 90), (255, 210, 60), (190, 120, 255), (255, 130, 40))


def instant_to_draw(labels: Labels, recording: str | None, frame: int | None) -> Int[np.ndarray, "P"]:
    """Rows of one instant: that of `recording` and `frame`, where given, with most joints in most views.

    Raises `InputError` where there is no such row.
    """
    rows = np.arange(len(labels))
    if recording is not None:
        rows = rows[np.array([labels.recordings[r].name == recording for r in labels.recording], bool)]
    if frame is not None:
        rows = rows[labels.frames[rows] == frame]
    if not len(rows):
        asked = " ".join(str(word) for word in (recording, None if frame is None else f"frame {frame}") if word)
        raise InputError(f"{labels.name} has no row{' of ' + asked if asked else ''}; choose another, or leave it out")
    worth = labels.present[rows].sum(-1) * (1 + labels.valid[rows].sum(-1))
    keys, where = np.unique(np.stack([labels.recording[rows], labels.frames[rows]], 1), axis=0, return_inverse=True)
    best = int(np.bincount(where.reshape(-1), worth, len(keys)).argmax())
    return rows[where.reshape(-1) == best]


def draw_instant(labels: Labels, rows: Int[np.ndarray, "P"]) -> UInt8[np.ndarray, "h w 3"]:
    """The mosaic of one instant. A picture that cannot be read is an empty tile that says so."""
    recording = int(labels.recording[rows[0]])
    cameras = np.flatnonzero(labels.has_camera[recording])
    reader = PictureReader(labels.pictures, undistorted=False)
    drawn = [_drawn(labels, rows, int(c), reader) for c in cameras]
    width = max((picture.shape[1] for picture in drawn if picture is not None), default=TILE_HEIGHT)
    tiles = [_tile(p, labels.camera_names[c], width) for p, c in zip(drawn, cameras, strict=True)]
    return grid_of(tiles, columns=math.ceil(math.sqrt(len(tiles))))


def _tile(picture: np.ndarray | None, name: str, width: int) -> np.ndarray:
    tile = np.zeros((TILE_HEIGHT, width, 3), np.uint8)
    if picture is not None:
        tile[:, : picture.shape[1]] = picture
    draw_name(tile, name if picture is not None else f"{name}: no picture", (0, 0), 0.6)
    return tile


def _drawn(labels: Labels, rows: np.ndarray, c: int, reader: PictureReader) -> np.ndarray | None:
    """One picture at the height of a tile, with everybody drawn over it; None where it cannot be read."""
    recording, frame = int(labels.recording[rows[0]]), int(labels.frames[rows[0]])
    name, lens = labels.camera_names[c], labels.cameras[recording, c].to(torch.float64)
    try:
        picture = reader.read(labels.recordings[recording], name, frame, lens, 1.0).picture
    except InputError:
        return None
    factor = TILE_HEIGHT / picture.shape[0]
    shrunk = resized(picture, (TILE_HEIGHT, max(1, round(picture.shape[1] * factor))))
    for i, row in enumerate(rows):
        _draw_person(shrunk, labels, int(row), c, lens, factor, COLOURS[i % len(COLOURS)])
    return shrunk


def _draw_person(
    picture: np.ndarray, labels: Labels, row: int, c: int, lens: Cameras, factor: float, colour: tuple[int, int, int]
) -> None:
    points_mm, valid = torch.from_numpy(labels.points_mm[row]), torch.from_numpy(labels.valid[row])
    seen = projected(points_mm, valid, lens)
    pixels, bones = seen.pixels * factor, labels.skeleton.bone_indices
    draw_bones(picture, pixels, seen.shown, bones, [colour] * len(bones), 2)
    for at in pixels[seen.shown]:
        draw_dot(picture, at, 3, colour)
    if labels.present[row, c]:
        left, top, right, bottom = (labels.boxes_px[row, c] * factor).round().astype(int).tolist()
        cv2.rectangle(picture, (left, top), (right - 1, bottom - 1), colour, 1, cv2.LINE_AA)
