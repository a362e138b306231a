"""Pictures of the views at one instant, small, with people drawn over them. Decoded when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from trivox.drawing import draw_bones, draw_dot, draw_name, drawable, projected
from trivox.files.views import ViewFrames, Views
from trivox.geometry.cameras import Cameras
from trivox.geometry.poses import Poses
from trivox.view.colours import RGB, bone_colours, joint_colours
from trivox.view.shown import TRUTH, Content, at_frame

# Up to so many instants ahead are decoded and dropped; beyond, the videos are opened again there.
_NEAR_AHEAD = 24
_NAME_SIZE = 1.1  # of a field 900 px wide: legible where it is shown at a third of its size

Picture = UInt8[np.ndarray, "_ _ 3"]


class Pictures:
    """The pictures of `views` in any order, quickest in their own."""

    def __init__(self, views: Views) -> None:
        self.views = views
        self._run: Iterator[ViewFrames] = iter(())
        self._next = -1

    def at(self, frame: int) -> list[Picture | None] | None:
        """Upright RGB pictures in the order of the cameras, None where one has none; None after the videos' end."""
        if not 0 <= frame < self.views.frame_count:
            return None
        if self._next < 0 or not 0 <= frame - self._next < _NEAR_AHEAD:
            self._begin(frame)
        for _ in range(frame - self._next):
            next(self._run)
        self._next = frame + 1
        return next(self._run).pictures

    def _begin(self, frame: int) -> None:
        self.close()
        self._run, self._next = self.views.frames(frame), frame

    def close(self) -> None:
        """End the threads that decode."""
        self.views.__exit__()
        self._next = -1


def shrunk(picture: Picture, longest_px: int) -> Picture:
    """The picture with no side longer than this; never enlarged."""
    factor = longest_px / max(picture.shape[:2])
    if factor >= 1:
        return np.ascontiguousarray(picture)
    h, w = picture.shape[:2]
    size = (max(1, round(w * factor)), max(1, round(h * factor)))
    while w % 2 == h % 2 == 0 and w >= 2 * size[0] and h >= 2 * size[1]:  # OpenCV halves many times faster
        w, h = w // 2, h // 2
        picture = cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA)
    return cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR if w < 2 * size[0] else cv2.INTER_AREA)


@dataclass(frozen=True)
class Drawn:
    """People to draw: which, in one colour or (None) by their sides."""

    poses: Poses
    colour: RGB | None


def drawn_people(content: Content, hidden: frozenset[str] = frozenset()) -> list[Drawn]:
    """The truth first, so that predictions lie over it. Several results have a colour each."""
    several = len(content.results) > 1
    truth = [Drawn(content.truth, TRUTH)] if content.truth is not None and "truth" not in hidden else []
    results = [s for s in content.results if s.name not in hidden]
    return truth + [Drawn(shown.poses, shown.tint if several else None) for shown in results]


def draw_over(picture: Picture, cameras: Cameras, image_hw: tuple[int, int], people: list[Drawn], frame: int) -> None:
    """Draw everybody as `cameras` (of one upright picture of size `image_hw`) sees them, into the shrunk picture."""
    factor = np.array([picture.shape[1] / image_hw[1], picture.shape[0] / image_hw[0]])
    for drawn in people:
        row = at_frame(drawn.poses, frame)
        if row is None:
            continue
        points = projected(drawn.poses.points_mm[row], drawn.poses.valid[row], cameras)
        for pixels, seen in zip(points.pixels * factor, points.shown, strict=True):
            _draw_person(picture, pixels, seen, drawn)


def _draw_person(picture: Picture, pixels: Float[np.ndarray, "J 2"], seen: Bool[np.ndarray, "J"], drawn: Drawn) -> None:
    shown, skeleton = seen & drawable(pixels), drawn.poses.skeleton
    thickness = max(1, round(max(picture.shape) / 260))
    of_bones, of_joints = bone_colours(skeleton), joint_colours(skeleton)
    if drawn.colour is not None:
        of_bones, of_joints = (drawn.colour,) * len(of_bones), (drawn.colour,) * len(of_joints)
    draw_bones(picture, pixels, shown, skeleton.bone_indices, of_bones, thickness)
    for joint in np.flatnonzero(shown):
        draw_dot(picture, pixels[joint], thickness * 1.25, of_joints[joint])


def mosaic(pictures: list[Picture], names: list[str], width_px: int) -> Picture:
    """The views side by side with their names, as square a field as fits them."""
    columns = int(np.ceil(np.sqrt(len(pictures)))) if len(pictures) > 2 else 1
    tile_w = width_px // columns
    tile_h = round(tile_w * float(np.median([p.shape[0] / p.shape[1] for p in pictures])))
    rows = -(-len(pictures) // columns)
    field = np.full((rows * tile_h, columns * tile_w, 3), 245, np.uint8)
    for i, (picture, name) in enumerate(zip(pictures, names, strict=True)):
        factor = min(tile_w / picture.shape[1], tile_h / picture.shape[0])
        size = (max(1, int(picture.shape[1] * factor)), max(1, int(picture.shape[0] * factor)))
        fitted = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        top = i // columns * tile_h + (tile_h - size[1]) // 2
        left = i % columns * tile_w + (tile_w - size[0]) // 2
        field[top : top + size[1], left : left + size[0]] = fitted
        draw_name(field, name, (i % columns * tile_w, i // columns * tile_h), _NAME_SIZE * field.shape[1] / 900)
    return field


def blank(image_hw: tuple[int, int], longest_px: int) -> Picture:
    """Where there is no picture: a light field of the camera's shape."""
    h, w = image_hw
    factor = longest_px / max(h, w)
    return np.full((max(1, round(h * factor)), max(1, round(w * factor)), 3), 232, np.uint8)


class PicturesOver:
    """The picture of every camera of the content's rig, with people drawn over; a light field where there is none."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._pictures = None if content.views is None else Pictures(content.views)

    def at(self, frame: int, longest_px: Sequence[int], people: list[Drawn] | None = None) -> list[Picture]:
        """In the order of the rig's cameras, each of its size; everybody is drawn unless `people` says whom."""
        rig, views = self._content.rig, self._content.views
        if rig is None:
            return []
        stored = None if self._pictures is None else self._pictures.at(frame)
        of_camera = {} if stored is None or views is None else dict(zip(views.rig.names, stored, strict=True))
        drawn, cameras = [], rig.upright_cameras
        people = drawn_people(self._content) if people is None else people
        for v, (name, image_hw, px) in enumerate(zip(rig.names, self._content.image_hw, longest_px, strict=True)):
            picture = of_camera.get(name)
            canvas = blank(image_hw, px) if picture is None else shrunk(picture, px)
            draw_over(canvas, cameras[v], image_hw, people, frame)
            drawn.append(canvas)
        return drawn

    def close(self) -> None:
        """End the threads that decode."""
        if self._pictures is not None:
            self._pictures.close()
