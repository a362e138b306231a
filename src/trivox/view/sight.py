"""What a model sees: its heatmaps over the crops they were made from, its volumes as the cameras look through them.

Both have the colours of left and right, brighter where the model is surer. The model is asked about the people that
were found; what it says is drawn and changes no pose.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, Int, UInt8
from torch import Tensor

from trivox.errors import InputError
from trivox.geometry.axes import estimated_up, moved_points
from trivox.geometry.cameras import Cameras
from trivox.geometry.skeletons import Skeleton
from trivox.models.configs import Model
from trivox.models.volumetric import Volumetric
from trivox.options import Method, chosen_model
from trivox.people.boxes import boxes_around
from trivox.people.followed import Track
from trivox.people.learned import Learned, roots_mm
from trivox.view.colours import LEFT, RIGHT, joint_colours
from trivox.view.instants import Instant

_MIDDLE = (235, 235, 235)  # grey would be lost in the picture
# Heat is shown on a darkened picture.
_DARKENED = 0.45
# Voxels with less than this share of the heaviest are nothing to see.
_LEAST_VOXEL = 1e-3


@dataclass(frozen=True)
class Sight:
    """Of P people at one instant: `boxes` (x0, y0, x1, y1) without area where a view does not show one.

    `heatmaps` are of the joints of `heatmap_skeleton`, and fill the boxes. `volumes` of a volumetric model are of
    `volume_skeleton`, its voxels at `grid_mm` in the world.
    """

    boxes: Int[Tensor, "P V 4"]
    heatmaps: Float[Tensor, "P V M h w"]
    heatmap_skeleton: Skeleton
    volumes: Float[Tensor, "P J X Y Z"] | None = None
    volume_skeleton: Skeleton | None = None
    grid_mm: Float[Tensor, "P X Y Z 3"] | None = None


def model_to_show(method: Method | None, weights: str | Path | Model | None, *, volumes: bool) -> Model:
    """The model of these. Raises `InputError` where there is none, or none with `volumes` though these are wanted."""
    model = chosen_model(method, weights)
    if model is None:
        raise InputError("heatmaps and volumes are those of a model; say which (--method volumetric or --weights)")
    if volumes and not isinstance(model, Volumetric):
        raise InputError("this model has no volumes to show; take a volumetric one (--method volumetric)")
    return model


class Looker:
    """A model that looks at people where they were found."""

    def __init__(self, model: Model, cameras: Cameras) -> None:
        model = copy(model)  # the caller's stays as it is
        if isinstance(model, Volumetric):
            model.passes = 1  # the cube stays where it is known to be
        self._model, self._ready = model, Learned.prepared(model, cameras)

    def look(self, instant: Instant) -> Sight | None:
        """What the model sees of the instant's people; None where no view shows any."""
        people = instant.found
        found = Track(torch.where(people.valid[..., None], people.points_mm.double(), 0.0), people.valid)
        there = torch.tensor([picture is not None for picture in instant.pictures])
        boxes = boxes_around(found.points_mm, found.valid, _sized(instant)) * there[None, :, None]
        seen = (boxes[..., 2] > boxes[..., 0]).any(-1)
        if not bool(seen.any()):
            return None
        boxes, centre_mm = boxes[seen], roots_mm(found[seen], instant.found.skeleton)
        nothing = np.zeros((1, 1, 3), np.uint8)
        pictures = [nothing if picture is None else picture for picture in instant.pictures]
        ready = replace(self._ready, cameras=instant.cameras)
        if ready.has_an_up:
            ready = ready.upright(_up(instant))
        said = ready.ask(pictures, boxes, centre_mm)
        assert said.heatmaps is not None
        if not isinstance(self._model, Volumetric):
            return Sight(boxes, said.heatmaps.float(), self._model.skeleton)
        in_model_mm = self._model.cube.voxel_centres(moved_points(centre_mm, ready.model_from_world))
        grid_mm = moved_points(in_model_mm, torch.linalg.inv(ready.model_from_world))
        own = self._model.heatmap_skeleton
        return Sight(boxes, said.heatmaps.float(), own, said.volumes, self._model.skeleton, grid_mm)


def _up(instant: Instant) -> Float[Tensor, "3"]:  # noqa: UP037
    if instant.up is not None:
        return instant.up
    found = instant.found
    return estimated_up(found.points_mm, found.valid, found.skeleton, instant.cameras).up


def _sized(instant: Instant) -> Cameras:
    """The cameras with the sizes of their pictures, which a label table may not know."""
    sizes = [(1, 1) if picture is None else picture.shape[:2] for picture in instant.pictures]
    return replace(instant.cameras, image_hw=torch.tensor(sizes))


def with_sight(
    picture: UInt8[np.ndarray, "h w 3"], instant: Instant, view: int, sight: Sight, layers: Sequence[str]
) -> UInt8[np.ndarray, "h w 3"]:
    """The picture, darker, with the heat that `layers` ask for."""
    hw = (picture.shape[0], picture.shape[1])
    heats = []
    if "heatmaps" in layers:
        heats += [heat_of_maps(sight, person, view, hw) for person in range(len(sight.boxes))]
    if "volumes" in layers and sight.volumes is not None:
        heats += [heat_of_volume(sight, person, instant.cameras[view], hw) for person in range(len(sight.boxes))]
    glow = np.zeros((*hw, 3), np.float32)
    for heat, colours in heats:
        glow = np.maximum(glow, _glow(heat, colours))
    share = glow.max(-1, keepdims=True) / 255
    return (picture * (_DARKENED * (1 - share)) + glow).clip(0, 255).astype(np.uint8)


Heat = tuple[Float32[np.ndarray, "S h w"], list[tuple[int, int, int]]]
"""How bright each side is at each pixel, 0..1, and the colour of each."""


def heat_of_maps(sight: Sight, person: int, view: int, image_hw: tuple[int, int]) -> Heat:
    """Heatmaps of one person in one picture, the strongest of each side, brought to the box they were made from."""
    maps, colours = _by_side(sight.heatmaps[person, view].clamp_min(0), sight.heatmap_skeleton)
    heat = np.zeros((len(maps), *image_hw), np.float32)
    left, top, right, bottom = sight.boxes[person, view].tolist()
    if right <= left:
        return heat, colours
    # Heat in the picture's pixels from the crop's: cells fill the box from corner to corner.
    h, w = maps.shape[1:]
    sx, sy = (right - left) / w, (bottom - top) / h
    picture_from_map = np.array([[sx, 0, left + 0.5 * sx - 0.5], [0, sy, top + 0.5 * sy - 0.5]])
    for side, values in enumerate(maps):
        heat[side] = cv2.warpAffine(values, picture_from_map, image_hw[::-1], flags=cv2.INTER_LINEAR)
    return heat / max(float(maps.max()), 1e-12), colours


def heat_of_volume(sight: Sight, person: int, camera: Cameras, image_hw: tuple[int, int]) -> Heat:
    """A volume as a camera looks through it: the sum along its rays of the strongest joint of each side."""
    assert sight.volumes is not None and sight.volume_skeleton is not None and sight.grid_mm is not None
    sides, colours = _by_side(sight.volumes[person].float().clamp_min(0), sight.volume_skeleton)
    values, voxels_mm = sides.reshape(len(sides), -1), sight.grid_mm[person].reshape(-1, 3).double()
    heavy = values.max(0) > _LEAST_VOXEL * max(float(values.max()), 1e-12)
    values, voxels_mm = values[:, heavy], voxels_mm[torch.from_numpy(heavy)]
    depth_mm = camera.depth_mm(voxels_mm)
    in_front = depth_mm > 1.0
    pixels = camera.project(voxels_mm[in_front]).numpy()
    heat = np.zeros((len(sides), *image_hw), np.float32)
    if not len(pixels):
        return heat, colours
    step_mm = float((sight.grid_mm[person, 1, 0, 0] - sight.grid_mm[person, 0, 0, 0]).norm())
    cell_px = max(1.0, step_mm * float(camera.K[0, 0] / depth_mm[in_front].median()))
    for side, weights in enumerate(values[:, in_front.numpy()]):
        heat[side] = _splatted(pixels, weights, cell_px, image_hw)
    return heat / max(float(heat.max()), 1e-12), colours


def _splatted(
    pixels: Float[np.ndarray, "N 2"], weights: Float32[np.ndarray, "N"], cell_px: float, image_hw: tuple[int, int]
) -> Float32[np.ndarray, "h w"]:
    """Weights collected in cells as large as a voxel looks, each shared out to the four cells around it, and smooth."""
    rows, columns = (int(np.ceil(side / cell_px)) + 1 for side in image_hw)
    at = pixels / cell_px - 0.5
    low = np.floor(at).astype(int)
    share = at - low
    cells = np.zeros((rows, columns), np.float32)
    for dx in (0, 1):
        for dy in (0, 1):
            x, y = low[:, 0] + dx, low[:, 1] + dy
            inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
            part = np.where(dx, share[:, 0], 1 - share[:, 0]) * np.where(dy, share[:, 1], 1 - share[:, 1])
            np.add.at(cells, (y[inside], x[inside]), (weights * part)[inside])
    picture_from_cells = np.array([[cell_px, 0, 0.5 * cell_px - 0.5], [0, cell_px, 0.5 * cell_px - 0.5]])
    return cv2.warpAffine(cells, picture_from_cells, image_hw[::-1], flags=cv2.INTER_LINEAR)


def _by_side(
    values: Float[Tensor, "J *s"], skeleton: Skeleton
) -> tuple[Float32[np.ndarray, "S *s"], list[tuple[int, int, int]]]:
    """The strongest of the left joints, of the right and of those in the middle, with their colours."""
    colours = joint_colours(skeleton)
    sides = [colour for colour in (LEFT, RIGHT) if colour in colours]
    sides += [colour for colour in dict.fromkeys(colours) if colour not in (LEFT, RIGHT)]
    strongest = [values[[c == side for c in colours]].amax(0) for side in sides]
    shown = [side if side in (LEFT, RIGHT) else _MIDDLE for side in sides]
    return torch.stack(strongest).numpy().astype(np.float32), shown


def _glow(heat: Float32[np.ndarray, "S h w"], colours: Sequence[tuple[int, int, int]]) -> Float32[np.ndarray, "h w 3"]:
    """The colours of all sides together; the square root lifts what is faint."""
    bright = np.sqrt(heat)[..., None] * np.array(colours, np.float32)[:, None, None]
    return bright.max(0)
