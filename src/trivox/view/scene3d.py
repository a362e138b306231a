"""Numbers of the 3D scene: where its floor is, from where to look, and how people are put together of solids.

Everything is in metres of the world, which is neither turned nor moved; no drawing library is needed here.
"""

from __future__ import annotations

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
# The first look comes from so far above the horizon, past cameras by up to so much; radians.
_PITCH, _CLEAR = 0.4, 1.2
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


def first_look(people: Sequence[Poses], floor: Floor, rig: Rig | None) -> Look:
    """At all the people, from their front and a little above, near enough to see joints; past the cameras."""
    points = np.concatenate([known_points_m(poses) for poses in people])
    if not len(points):
        points = floor.centre_m + np.array([[0.0, 0.0, 0.0], 1.8 * floor.up])
    low, high = np.percentile(points, 2, axis=0), np.percentile(points, 98, axis=0)
    centre, extent = (low + high) / 2, float(np.linalg.norm(high - low))
    distance = 1.3 + 1.1 * max(extent, 1.5)
    front = _front(people, floor.up)
    angles = np.deg2rad([25, -25, 40, -40, 10, -10, 60, -60, 85, -85, 120, -120, 150, 180])
    ways = [np.cos(_PITCH) * _turned(front, floor.up, a) + np.sin(_PITCH) * floor.up for a in angles]
    worth = [
        min(_clearance(centre, centre + distance * way, rig), _CLEAR) - 0.1 * abs(angle)
        for way, angle in zip(ways, angles, strict=True)
    ]
    best = int(np.argmax(worth))
    return Look(centre + distance * ways[best], centre)


def _clearance(at_m: Vector, eye_m: Vector, rig: Rig | None) -> float:
    """The smallest angle at the eye between the middle of the people and a camera before them, in radians."""
    if rig is None:
        return np.pi
    to_cameras, sight = camera_positions_m(rig) - eye_m, at_m - eye_m
    away = np.linalg.norm(to_cameras, axis=-1)
    cosine = to_cameras @ sight / np.maximum(away * np.linalg.norm(sight), 1e-9)
    before = away < np.linalg.norm(sight)
    return float(np.arccos(np.clip(cosine[before], -1, 1)).min(initial=np.pi))


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
