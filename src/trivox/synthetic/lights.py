"""Lamps and sunlight: where they stand, what they see (shadow maps), and how much of them reaches a point.

Every light is a pinhole camera that looks at the middle of the room; the sun is one that stands far away. A point is in
shadow where the map holds something nearer to the light (Williams, 1978), softened over a few cells of the map (Reeves
et al., 1987). Furniture and people have maps of their own: the furniture's is drawn once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trivox.geometry.triangulation.compiled import compiled, inlined

# Vogel's spiral: taps spread evenly over a disc of radius 1.
_TURN = 2.399963
_RADII = np.sqrt((np.arange(9) + 0.5) / 9)
_ANGLES = np.arange(9) * _TURN + 2 * np.pi * np.arange(16)[:, None] / 16
# Sixteen turned spirals (16, 9, 2); neighbouring pixels use different ones.
TAPS = np.stack([_RADII * np.cos(_ANGLES), _RADII * np.sin(_ANGLES)], -1).astype(np.float32)
BIAS_MM = 12.0


@dataclass(frozen=True)
class Light:
    """`colour` is the irradiance at `reference_mm` from the light; it falls with the square of the distance.

    `opening` is the window that a sun shines through: wall axis (0 x, 1 y), its coordinate, then the low and high
    limits along the wall and in height, all mm. A lamp has none (axis -1). `softness` is the blur of its shadows as the
    tangent of an angle seen from the light.
    """

    position_mm: np.ndarray  # (3,)
    target_mm: np.ndarray  # (3,)
    colour: np.ndarray  # (3,)
    reference_mm: float
    half_tangent: float
    softness: float
    opening: np.ndarray  # (6,)

    def row(self, cells: int) -> np.ndarray:
        """The light as one row of numbers for the kernels (see `_LAYOUT` in the functions below), float32 (30,)."""
        forward = self.target_mm - self.position_mm
        forward = forward / np.linalg.norm(forward)
        side = np.cross(forward, [0.0, 0.0, 1.0] if abs(forward[2]) < 0.9 else [0.0, 1.0, 0.0])
        side /= np.linalg.norm(side)
        R = np.stack([side, np.cross(forward, side), forward])
        focal = cells / 2 / self.half_tangent
        blur = self.softness * focal
        head = [*R.ravel(), *(-R @ self.position_mm), focal, cells / 2, blur, self.reference_mm]
        return np.array([*head, *self.position_mm, *self.colour, *self.opening, *forward[:2]], np.float64)[:30]


def no_opening() -> np.ndarray:
    return np.array([-1.0, 0, 0, 0, 0, 0])


def map_camera(row: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """R, t_mm and K of the shadow map of a light's row."""
    K = np.array([[row[12], 0, row[13]], [0, row[12], row[13]], [0, 0, 1.0]])
    return row[:9].reshape(3, 3).copy(), row[9:12].copy(), K


@inlined
def through_opening(lights, k, X, Y, Z):
    """Does the straight way from the light to the point pass its window? 1 or 0."""
    axis = int(lights[k, 22])
    if axis < 0:
        return 1.0
    wall = lights[k, 23]
    start = lights[k, 16] if axis == 0 else lights[k, 17]
    end = X if axis == 0 else Y
    if abs(end - start) < 1e-6:
        return 0.0
    share = (wall - start) / (end - start)
    if share <= 0.0 or share >= 1.0:
        return 0.0
    along = lights[k, 17] + share * (Y - lights[k, 17]) if axis == 0 else lights[k, 16] + share * (X - lights[k, 16])
    height = lights[k, 18] + share * (Z - lights[k, 18])
    if along < lights[k, 24] or along > lights[k, 25] or height < lights[k, 26] or height > lights[k, 27]:
        return 0.0
    # One upright and one bar divide the window.
    if (
        abs(along - 0.5 * (lights[k, 24] + lights[k, 25])) < 25.0
        or abs(height - 0.5 * (lights[k, 26] + lights[k, 27])) < 25.0
    ):
        return 0.0
    return 1.0


@inlined
def seen_share(maps, lights, k, X, Y, Z, taps, spiral):
    """How much of the light (0..1) reaches the point past what the map holds."""
    z = lights[k, 6] * X + lights[k, 7] * Y + lights[k, 8] * Z + lights[k, 11]
    if z < 50.0:
        return 1.0
    u = lights[k, 12] * (lights[k, 0] * X + lights[k, 1] * Y + lights[k, 2] * Z + lights[k, 9]) / z + lights[k, 13]
    v = lights[k, 12] * (lights[k, 3] * X + lights[k, 4] * Y + lights[k, 5] * Z + lights[k, 10]) / z + lights[k, 13]
    h, w = maps.shape[1], maps.shape[2]
    radius = lights[k, 14]
    if u < -radius or v < -radius or u > w + radius or v > h + radius:
        return 1.0
    limit = 1.0 / (z - BIAS_MM)
    free = 0
    count = taps.shape[1]
    for tap in range(count - 1, -1, -1):
        # Three outer taps that agree speak for all: half shadow is only where they differ.
        if tap == count - 4 and (free == 0 or free == 3):
            return free / 3.0
        x = int(u + radius * taps[spiral, tap, 0])
        y = int(v + radius * taps[spiral, tap, 1])
        if x < 0 or y < 0 or x >= w or y >= h or maps[k, y, x] <= limit:
            free += 1
    return free / count


@inlined
def arriving(lights, k, X, Y, Z, nx, ny, nz):
    """Irradiance share of an unshadowed light on a surface of this normal: cosine over squared distance."""
    dx, dy, dz = lights[k, 16] - X, lights[k, 17] - Y, lights[k, 18] - Z
    r2 = dx * dx + dy * dy + dz * dz
    r = np.sqrt(r2)
    cosine = (dx * nx + dy * ny + dz * nz) / r
    if cosine <= 0.0:
        return 0.0
    if int(lights[k, 22]) < 0:
        # A lamp shines into the half space below it, with a soft edge.
        down = (-dx * lights[k, 6] - dy * lights[k, 7] - dz * lights[k, 8]) / r
        if down <= 0.0:
            return 0.0
        cosine *= min(1.0, 4.0 * down)
    return cosine * lights[k, 15] * lights[k, 15] / r2


@compiled
def light_vertices(points, normals, lights, still_lights, still_maps, people_maps, ambient, bounce, taps, out):
    """Irradiance (N, 3) of moving vertices: ambient from above, bounce from below, each light where it reaches."""
    for n in range(points.shape[0]):
        X, Y, Z = points[n, 0], points[n, 1], points[n, 2]
        nx, ny, nz = normals[n, 0], normals[n, 1], normals[n, 2]
        up = 0.5 + 0.5 * nz
        for c in range(3):
            out[n, c] = ambient[c] * (0.35 + 0.65 * up) + bounce[c] * (1.0 - up)
        # Look from a little outside of the surface, so that it does not shadow itself.
        x, y, z = X + 14.0 * nx, Y + 14.0 * ny, Z + 14.0 * nz
        for k in range(lights.shape[0]):
            share = arriving(lights, k, X, Y, Z, nx, ny, nz)
            if share <= 0.0:
                continue
            share *= through_opening(lights, k, X, Y, Z)
            if share <= 0.0:
                continue
            share *= seen_share(still_maps, still_lights, k, x, y, z, taps, 0)
            share *= seen_share(people_maps, lights, k, x, y, z, taps, 0)
            for c in range(3):
                out[n, c] += share * lights[k, 19 + c]
