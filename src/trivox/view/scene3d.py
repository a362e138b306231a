"""Numbers of the 3D scene: where its floor is, from where to look, and how people are put together of solids.

Everything is in metres of the world, which is neither turned nor moved; no drawing library is needed here.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from trivox.geometry.cameras import Cameras
from trivox.geometry.poses import Poses
from trivox.geometry.rig import Rig
from trivox.geometry.skeletons import Skeleton

M_PER_MM = 1e-3
JOINT_RADIUS_M, BONE_RADIUS_M = 0.027, 0.016
_FACE = ("eye", "ear", "nose")
# How high joints are above the floor in a standing person; toes and heels are measured near their skin.
_ABOVE_FLOOR_M = {"toe": 0.02, "heel": 0.03, "ankle": 0.08}
# A floor that is found so near to the origin's height is that of the origin, where calibrations put it.
_ORIGIN_M = 0.12
FIELD_OF_VIEW = np.deg2rad(50)  # from the bottom of the scene to its top
# The first look: ways around the people from their front, and above the horizon.
_ANGLES = np.deg2rad([25, -25, 40, -40, 10, -10, 60, -60, 85, -85, 120, -120, 150, 180])
_PITCHES = (0.35, 0.55)
# It fills so much of a scene that is so much narrower than high (between two panels); it leaves cameras out rather than
# to stand so many times farther away than people alone need.
_FILLED, _NARROWEST, _FARTHER = 0.92, 0.8, 10.0
_HIDDEN = 1e-6  # the size of a solid that is not there: zero has no inverse

Vector = Float[np.ndarray, "3"]


@dataclass(frozen=True)
class Floor:
    """A square around the people. `up` is a unit vector; `note` says how it was found where no file told."""

    up: Vector
    centre_m: Vector
    size_m: float
    note: str | None = None


def floor_of(people: Sequence[Poses], rig: Rig | None) -> Floor:
    """The floor at the people's feet. Where neither rig nor poses say which way is up, people tell, else cameras."""
    up, note = _up_of(people, rig)
    points = np.concatenate([known_points_m(poses) for poses in people])
    places = np.concatenate([points, camera_positions_m(rig)]) if rig is not None else points
    if not len(places):
        return Floor(up, np.zeros(3), 6.0, note)
    centre = np.median(points if len(points) else places, 0)
    height = _floor_height_m(people, up, stated=note is None)
    reach = np.abs((places - centre) - np.outer((places - centre) @ up, up)).max()
    size = 2.0 * np.ceil(float(reach) + 1.0)
    return Floor(up, centre + (height - centre @ up) * up, float(np.clip(size, 4.0, 60.0)), note)


def known_points_m(poses: Poses) -> Float[np.ndarray, "N 3"]:
    """All valid joints of all frames and people."""
    return (poses.points_mm[poses.valid].double().numpy() * M_PER_MM).reshape(-1, 3)


def camera_positions_m(rig: Rig) -> Float[np.ndarray, "V 3"]:
    return rig.cameras.position_mm.double().numpy() * M_PER_MM


def _up_of(people: Sequence[Poses], rig: Rig | None) -> tuple[Vector, str | None]:
    for stated in (None if rig is None else rig.up, *(poses.up for poses in people)):
        if stated is not None:
            return _unit(stated.double().numpy()), None
    for poses in people:
        standing = _standing(poses)
        if standing is not None:
            return standing, "which way is up is not stated; it is taken from how people stand (--up tells it)"
    if rig is not None:
        above = -rig.upright_cameras.R[:, 1].double().numpy().sum(0)
        return _unit(above), "which way is up is not stated; it is taken from how cameras are held (--up tells it)"
    return np.array([0.0, 0.0, 1.0]), "which way is up is not stated; z is taken (--up tells it)"


def _unit(vector: Vector) -> Vector:
    return vector / np.linalg.norm(vector)


def _standing(poses: Poses) -> Vector | None:
    """The mean direction from ankles to shoulders; None where these are not seen together."""
    names = [tuple(f"{side}_{part}" for side in ("left", "right")) for part in ("ankle", "shoulder")]
    if not set(names[0] + names[1]) <= set(poses.skeleton.names):
        return None
    low, high = (list(poses.skeleton.indices(pair)) for pair in names)
    seen = poses.valid[:, :, low + high].all(-1)
    points = poses.points_mm.double()
    along = (points[:, :, high].mean(2) - points[:, :, low].mean(2))[seen].numpy()
    mean = along.sum(0)
    return _unit(mean) if len(along) and np.linalg.norm(mean) > 0 else None


def _floor_height_m(people: Sequence[Poses], up: Vector, stated: bool) -> float:
    """Height of the floor along `up`: where feet are when they are lowest."""
    heights: list[float] = []
    for poses in people:
        for part, above in _ABOVE_FLOOR_M.items():
            feet = [i for i, name in enumerate(poses.skeleton.names) if part in name]
            seen = poses.points_mm[:, :, feet][poses.valid[:, :, feet]].double().numpy() * M_PER_MM
            if len(seen):
                heights.append(float(np.percentile(seen @ up, 5)) - above)
                break
    if not heights:
        lowest = [float((known_points_m(poses) @ up).min()) for poses in people if bool(poses.valid.any())]
        heights = lowest or [0.0]
    height = min(heights)
    return 0.0 if stated and abs(height) < _ORIGIN_M else height


@dataclass(frozen=True)
class Look:
    """Where the viewer stands at first, and at what they look."""

    from_m: Vector
    at_m: Vector


def first_look(people: Sequence[Poses], floor: Floor, cameras_m: Float[np.ndarray, "V 5 3"]) -> Look:
    """At all the people and the corners of all cameras, nothing cut, from their front and above.

    Of the ways around the people that one is taken which has them large, not behind cameras, and from their front.
    """
    points = np.concatenate([known_points_m(poses) for poses in people])
    if not len(points):
        points = floor.centre_m + np.array([[0.0, 0.0, 0.0], 1.8 * floor.up])
    low, high = np.percentile(points, 2, axis=0), np.percentile(points, 98, axis=0)
    reach = np.maximum((high - low) / 2 + 0.1, 0.5)
    bodies = (low + high) / 2 + reach * (2 * np.indices((2, 2, 2)).reshape(3, 8).T - 1)
    front, all_m = _front(people, floor.up), np.concatenate([bodies, cameras_m.reshape(-1, 3)])
    looks, worth = [], []
    for angle, pitch in itertools.product(_ANGLES, _PITCHES):
        back = np.cos(pitch) * _turned(front, floor.up, angle) + np.sin(pitch) * floor.up
        look, near = _fitting(all_m, back, floor.up), _fitting(bodies, back, floor.up)
        farther = float((look.from_m - bodies.mean(0)) @ back / ((near.from_m - bodies.mean(0)) @ back))
        looks.append(look if farther < _FARTHER else near)
        worth.append(-2 * _covered(looks[-1], bodies, cameras_m, floor.up) - np.log(farther) - 0.1 * abs(angle))
    return looks[int(np.argmax(worth))]


def _covered(
    look: Look, bodies_m: Float[np.ndarray, "N 3"], cameras_m: Float[np.ndarray, "V 5 3"], up: Vector
) -> float:
    """The share of the people's box in the picture that lies behind boxes of cameras before them; may exceed 1."""
    back = _unit(look.from_m - look.at_m)
    across = _unit(np.cross(up, back))
    axes = np.stack([across, np.cross(back, across), -back])

    def box(points_m: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        seen = (points_m - look.from_m) @ axes.T
        flat = seen[..., :2] / np.maximum(seen[..., 2:], 1e-3)
        return flat.min(-2), flat.max(-2), seen[..., 2].mean(-1)

    low, high, depth = box(bodies_m[None])
    camera_low, camera_high, camera_depth = box(cameras_m)
    sides = np.clip(np.minimum(high, camera_high) - np.maximum(low, camera_low), 0, None)
    return float((sides.prod(-1) * (camera_depth < depth)).sum() / (high - low).prod())


def _fitting(points_m: Float[np.ndarray, "N 3"], back: Vector, up: Vector) -> Look:
    """The nearest look along -`back` that has all points in the picture, to each side with the same margin.

    A point at x across and z towards the viewer is within a half-width of w per depth where |x - s| <= w (d - z), for a
    viewer moved by s across and d back: the points that bind at both edges give s and d.
    """
    across = _unit(np.cross(up, back))
    axes, toward = np.stack([across, np.cross(back, across)]), points_m @ back
    half = np.tan(FIELD_OF_VIEW / 2) * _FILLED * np.array([_NARROWEST, 1.0])[:, None]
    beyond = (axes @ points_m.T + half * toward).max(1)
    before = (-(axes @ points_m.T) + half * toward).max(1)
    away = ((beyond + before) / (2 * half[:, 0])).max()
    middle = axes.T @ ((beyond - before) / 2)
    return Look(middle + away * back, middle + np.median(toward) * back)


def _front(people: Sequence[Poses], up: Vector) -> Vector:
    """The horizontal direction that people face most, by their hips."""
    total = np.zeros(3)
    for poses in people:
        hips = ("left_hip", "right_hip")
        if set(hips) <= set(poses.skeleton.names):
            left, right = poses.skeleton.indices(hips)
            seen = poses.valid[:, :, left] & poses.valid[:, :, right]
            across = (poses.points_mm[:, :, left] - poses.points_mm[:, :, right])[seen].double().numpy()
            total += np.cross(across, up).sum(0)
    horizontal = total - (total @ up) * up
    if np.linalg.norm(horizontal) < 1e-9:
        horizontal = np.cross(up, np.eye(3)[int(np.abs(up).argmin())])
    return _unit(horizontal)


def _turned(vector: Vector, axis: Vector, angle: float) -> Vector:
    """A vector across `axis`, turned about it."""
    return np.cos(angle) * vector + np.sin(angle) * np.cross(axis, vector)


@dataclass(frozen=True)
class Solids:
    """N copies of one solid: where they are, how they are turned (w, x, y, z) and how large."""

    wxyz: Float[np.ndarray, "N 4"]
    position_m: Float[np.ndarray, "N 3"]
    scale: Float[np.ndarray, "N 3"]


def joint_solids(points_m: Float[np.ndarray, "N 3"], valid: Bool[np.ndarray, "N"], radius_m: np.ndarray) -> Solids:
    """Spheres of radius 1 as joints; those that are not `valid` are too small to see."""
    scale = np.where(valid, radius_m, _HIDDEN)[:, None].repeat(3, 1)
    wxyz = np.tile([1.0, 0.0, 0.0, 0.0], (len(points_m), 1))
    return Solids(wxyz, points_m, scale)


def bone_solids(
    start_m: Float[np.ndarray, "N 3"],
    end_m: Float[np.ndarray, "N 3"],
    valid: Bool[np.ndarray, "N"],
    radius_m: np.ndarray,
) -> Solids:
    """Cylinders of radius 1 and height 1 around z as bones from `start_m` to `end_m`."""
    along = end_m - start_m
    length = np.linalg.norm(along, axis=-1)
    direction = along / np.maximum(length, 1e-9)[:, None]
    there = valid & (length > 1e-6)
    scale = np.stack([radius_m, radius_m, np.maximum(length, _HIDDEN)], -1)
    scale = np.where(there[:, None], scale, _HIDDEN)
    wxyz = np.where(there[:, None], _from_z_to(direction), [1.0, 0.0, 0.0, 0.0])
    return Solids(wxyz, (start_m + end_m) / 2, scale)


def _from_z_to(direction: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 4"]:
    """The quaternion that turns z the short way onto a unit vector: (1 + z . d, z x d), normalised."""
    x, y, z = direction.T
    wxyz = np.stack([1 + z, -y, x, np.zeros_like(z)], -1)
    wxyz = np.where((z < -1 + 1e-9)[:, None], [0.0, 1.0, 0.0, 0.0], wxyz)  # straight down: half a turn about x
    return wxyz / np.linalg.norm(wxyz, axis=-1, keepdims=True)


def joint_radii_m(skeleton: Skeleton) -> Float[np.ndarray, "J"]:
    """Joints of the face lie close together and are small."""
    return np.array([JOINT_RADIUS_M * (0.5 if _of_face(name) else 1.0) for name in skeleton.names])


def bone_radii_m(skeleton: Skeleton) -> Float[np.ndarray, "B"]:
    return np.array([BONE_RADIUS_M * (0.4 if _of_face(a) or _of_face(b) else 1.0) for a, b in skeleton.bones])


def _of_face(name: str) -> bool:
    return any(part in name for part in _FACE)


@dataclass(frozen=True)
class Frustum:
    """A camera as a pyramid: half of its angle of view decides the size of its picture at a given depth."""

    wxyz: Float[np.ndarray, "4"]
    position_m: Vector
    vertical_fov: float
    aspect: float

    def corners_m(self, scale_m: float) -> Float[np.ndarray, "5 3"]:
        """Its tip, and the corners of its picture. viser draws all lenses with one volume: narrow ones are deep."""
        half = np.tan(self.vertical_fov / 2)
        depth = scale_m / np.cbrt(half**2 * self.aspect / 3)
        corners = depth * np.array([[x * half * self.aspect, y * half, 1.0] for x in (-1, 1) for y in (-1, 1)])
        return self.position_m + np.concatenate([np.zeros((1, 3)), _rotated(self.wxyz, corners)])


def _rotated(wxyz: Float[np.ndarray, "4"], points: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 3"]:
    axis = np.broadcast_to(wxyz[1:], points.shape)
    return points + 2 * np.cross(axis, np.cross(axis, points) + wxyz[0] * points)


def frusta(cameras: Cameras, image_hw: Sequence[tuple[int, int]]) -> list[Frustum]:
    """The cameras of upright pictures; `image_hw` are their sizes. Lenses and shifted centres are not drawn."""
    K, R = cameras.K.double().numpy(), cameras.R.double().numpy()
    positions = cameras.position_mm.double().numpy() * M_PER_MM
    found = []
    for v, (h, w) in enumerate(image_hw):
        fov = 2 * np.arctan(h / (2 * K[v, 1, 1]))
        aspect = (w / K[v, 0, 0]) / (h / K[v, 1, 1])
        found.append(Frustum(_quaternion(R[v].T), positions[v], float(fov), float(aspect)))
    return found


def _quaternion(R: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "4"]:
    """(w, x, y, z) of a rotation: the eigenvector of Bar-Itzhack's symmetric matrix with the largest eigenvalue."""
    (a, b, c), (d, e, f), (g, h, i) = R
    N = np.array(
        [
            [a + e + i, h - f, c - g, d - b],
            [h - f, a - e - i, b + d, c + g],
            [c - g, b + d, e - a - i, f + h],
            [d - b, c + g, f + h, i - a - e],
        ]
    )
    return np.linalg.eigh(N)[1][:, -1]
