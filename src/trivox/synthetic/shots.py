"""Random scenes in memory, for training: pictures, cameras and truth of one instant at a time.

Processes may share the work: give each its own seeds. A shot depends on its scene's seed and its frame alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trivox.geometry.cameras import Cameras
from trivox.geometry.skeletons import H36M_17, Skeleton
from trivox.synthetic.renderer import Renderer
from trivox.synthetic.scene import SceneOptions, draw_scene
from trivox.synthetic.worlds import World


@dataclass(frozen=True)
class Shot:
    """One instant of one scene, V views, P people of whom the first is the one that the rig looks at.

    `pictures`: V arrays (h, w, 3) uint8 RGB. `cameras (V,)`: those that the calibration tells. `boxes_px`: around each
    person's joints in each view (left, top, right, bottom), as the exact cameras see them; they may leave the picture.
    `inside`: whether a third of a box lies in the picture.
    """

    key: str
    pictures: list[np.ndarray]
    cameras: Cameras
    points_mm: Float[Tensor, "P J 3"]
    boxes_px: Float[Tensor, "P V 4"]
    inside: Bool[Tensor, "P V"]


def shots(
    seeds: Iterable[int],
    options: SceneOptions | None = None,
    world: World = "train",
    skeleton: Skeleton = H36M_17,
    threads: int = 1,
) -> Iterator[Shot]:
    """Every frame of the scene of every seed, in order; without options, eight instants half a second apart.

    Raises `InputError` as `draw_scene` does.
    """
    options = options or SceneOptions(frames=8, fps=2.0)
    for seed in seeds:
        scene = draw_scene(seed, options, world)
        points_mm = scene.truth(skeleton).points_mm
        boxes = torch.from_numpy(scene.boxes_px())
        inside = _inside(boxes, scene.rig.cameras)
        for frame, pictures in enumerate(Renderer(scene, threads).frames(range(options.frames))):
            key = f"{world}/{seed}/{frame}"
            yield Shot(key, pictures, scene.told_rig.cameras, points_mm[frame], boxes[frame], inside[frame])


def _inside(boxes: Float[Tensor, "F P V 4"], cameras: Cameras) -> Bool[Tensor, "F P V"]:
    assert cameras.image_hw is not None
    size = cameras.image_hw.flip(-1)
    shown = (torch.minimum(boxes[..., 2:], size) - boxes[..., :2].clamp_min(0)).clamp_min(0).prod(-1)
    return shown > (boxes[..., 2:] - boxes[..., :2]).prod(-1) / 3
