"""One picture with what is known drawn over it: the found people, the truth, 2D joints and how far they are off.

Bones and joints have the colours of left and right. What lies on top says more: heat first, truth as thin green
bones, the found people as thick ones, last what the detector saw as rings, with a line to the joint's reprojection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8

from trivox.drawing import (
    BLACK,
    WHITE,
    Colour,
    Projected,
    draw_bones,
    draw_dot,
    draw_line,
    draw_words,
    drawable,
    projected,
    resized,
)
from trivox.geometry.cameras import Cameras
from trivox.lift import LEAST_SCORE
from trivox.view.colours import bone_colours, joint_colours
from trivox.view.instants import Instant, People

Layer = Literal["pose", "detections", "reprojection", "truth", "heatmaps", "volumes"]

TRUTH: Colour = (70, 210, 90)
OFF: Colour = (255, 230, 60)


def drawn_view(
    instant: Instant,
    view: int,
    picture: UInt8[np.ndarray, "_ _ 3"],
    layers: Sequence[Layer],
    scale: float = 1.0,
) -> UInt8[np.ndarray, "h w 3"]:
    """The picture of one view, `scale` times as large, with `layers` drawn over it: as thick as its size asks for."""
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    canvas = np.ascontiguousarray(resized(picture, (height, width)) if scale != 1.0 else picture.copy())
    # The size in whole pixels decides, so that points stay where they are in the picture.
    factors = np.array([width / picture.shape[1], height / picture.shape[0]])
    camera, thickness = instant.cameras[view], line_thickness(height)
    if "truth" in layers and instant.truth is not None:
        _draw_truth(canvas, instant.truth, camera, factors, thickness)
    found = _scaled(instant.found, camera, factors)
    if "pose" in layers:
        _draw_people(canvas, instant.found, found, thickness)
    if instant.detections is not None:
        points = instant.detections.points_px[:, view].numpy() * factors
        seen = (instant.detections.scores[:, view].numpy() >= LEAST_SCORE) & drawable(points)
        if "reprojection" in layers:
            _draw_misses(canvas, points, found, seen & found.shown, thickness)
        if "detections" in layers:
            _draw_detections(canvas, instant.found, points, seen, thickness)
    return canvas


def line_thickness(height: int) -> int:
    return max(2, round(height / 240))


def _scaled(people: People, camera: Cameras, factors: Float[np.ndarray, "2"]) -> Projected:
    seen = projected(people.points_mm, people.valid, camera)
    pixels = seen.pixels * factors
    return Projected(pixels, seen.shown & drawable(pixels))


def _draw_truth(
    canvas: np.ndarray, truth: People, camera: Cameras, factors: Float[np.ndarray, "2"], thickness: int
) -> None:
    seen, bones = _scaled(truth, camera, factors), truth.skeleton.bone_indices
    for pixels, shown in zip(seen.pixels, seen.shown, strict=True):
        for colour, width in ((BLACK, thickness + 1), (TRUTH, max(1, thickness - 1))):
            draw_bones(canvas, pixels, shown, bones, [colour] * len(bones), width)


def _draw_people(canvas: np.ndarray, people: People, seen: Projected, thickness: int) -> None:
    bones, colours = people.skeleton.bone_indices, bone_colours(people.skeleton)
    dots = joint_colours(people.skeleton)
    for person, (pixels, shown) in enumerate(zip(seen.pixels, seen.shown, strict=True)):
        draw_bones(canvas, pixels, shown, bones, [BLACK] * len(bones), thickness + 2)
        draw_bones(canvas, pixels, shown, bones, colours, thickness)
        for joint in np.flatnonzero(shown):
            draw_dot(canvas, pixels[joint], thickness * 1.3 + 1, BLACK)
            draw_dot(canvas, pixels[joint], thickness * 1.3, dots[joint])
        if len(seen.pixels) > 1 and shown.any():
            _draw_number(canvas, person, pixels[shown], thickness)


def _draw_number(canvas: np.ndarray, number: int, pixels: Float[np.ndarray, "N 2"], thickness: int) -> None:
    x, y = pixels[:, 0].mean(), pixels[:, 1].min()
    draw_words(canvas, str(number), (round(x), round(y - 6 * thickness)), 0.3 * thickness)


def _draw_misses(canvas: np.ndarray, points: np.ndarray, found: Projected, seen: np.ndarray, thickness: int) -> None:
    for person, joint in np.argwhere(seen):
        draw_line(canvas, points[person, joint], found.pixels[person, joint], OFF, max(1, thickness - 1))


def _draw_detections(canvas: np.ndarray, people: People, points: np.ndarray, seen: np.ndarray, thickness: int) -> None:
    colours = joint_colours(people.skeleton)
    for person, joint in np.argwhere(seen):
        draw_dot(canvas, points[person, joint], thickness * 2 + 1, WHITE, 1)
        draw_dot(canvas, points[person, joint], thickness * 2, colours[joint], 1)
