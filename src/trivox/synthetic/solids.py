"""Still things: rooms and furniture made of boxes, cylinders and ellipsoids, met by rays (`shading.py` colours them).

Every sample's ray is freed of the lens distortion and meets the solids exactly, so straight edges and checker corners
lie where the cameras project them. A solid is looked for only where it can be in the picture.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from trivox.geometry.distortion import KIND, PLAIN_LENS
from trivox.geometry.triangulation.compiled import compiled, inlined
from trivox.geometry.triangulation.lens_kernel import undistorted

BOX, CYLINDER, ELLIPSOID, INSIDE = 0, 1, 2, 3
TEXTURE_SIZE = 128


@dataclass
class Solids:
    """The still things of a scene, as rows for the kernels.

    geometry: kind, centre (3), half sizes (3), cos and sin of the turn about z. INSIDE is the room: a box seen from
    within. Materials belong to a solid's sides: x, -x, y, -y, z, -z; a texture covers `tile_mm` or, where that is 0,
    the whole side. `second`, where not negative, takes every other square of a checker of `tile_mm`. `glow` is the
    light that a side gives off by itself.
    """

    geometry: list[list[float]] = field(default_factory=list)
    texture: list[list[int]] = field(default_factory=list)
    second: list[int] = field(default_factory=list)
    tile_mm: list[list[float]] = field(default_factory=list)
    glow: list[float] = field(default_factory=list)

    def add(
        self,
        kind: int,
        centre_mm: tuple[float, float, float] | np.ndarray,
        half_mm: tuple[float, float, float] | np.ndarray,
        texture: int | list[int],
        turn: float = 0.0,
        tile_mm: float | list[float] = 0.0,
        second: int = -1,
        glow: float = 0.0,
    ) -> None:
        self.geometry.append([kind, *centre_mm, *half_mm, float(np.cos(turn)), float(np.sin(turn))])
        self.texture.append([texture] * 6 if isinstance(texture, int) else texture)
        self.tile_mm.append([float(tile_mm)] * 6 if isinstance(tile_mm, int | float) else tile_mm)
        self.second.append(second)
        self.glow.append(glow)

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        return (
            np.array(self.geometry, np.float64),
            np.array(self.texture, np.int32),
            np.array(self.second, np.int32),
            np.array(self.tile_mm, np.float64),
            np.array(self.glow, np.float64),
        )


@compiled
def undistorted_rays(h, w, K, lens, offsets, out):
    """Normalised points (S, h, w, 2) whose distorted pixels are the samples; of five terms by fixed point, to
    float32's 1e-8."""
    k1, k2, p1, p2, k3 = lens[0], lens[1], lens[2], lens[3], lens[4]
    for s in range(offsets.shape[0]):
        for y in range(h):
            b0 = (y + offsets[s, 1] - K[1, 2]) / K[1, 1]
            a, b, da, db = (offsets[s, 0] - K[0, 2] - K[0, 1] * b0) / K[0, 0], b0, 0.0, 0.0
            for x in range(w):
                a0 = (x + offsets[s, 0] - K[0, 2] - K[0, 1] * b0) / K[0, 0]
                if lens[KIND] != PLAIN_LENS:
                    out[s, y, x, 0], out[s, y, x, 1] = undistorted(a0, b0, lens)
                    continue
                # Begin where the last two pixels of the row lead.
                last_a, last_b = a, b
                a, b = a + da, b + db
                for _ in range(40):
                    r2 = a * a + b * b
                    radial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3))
                    na = (a0 - 2.0 * p1 * a * b - p2 * (r2 + 2.0 * a * a)) / radial
                    nb = (b0 - p1 * (r2 + 2.0 * b * b) - 2.0 * p2 * a * b) / radial
                    change = abs(na - a) + abs(nb - b)
                    a, b = na, nb
                    if change < 1e-8:
                        break
                out[s, y, x, 0], out[s, y, x, 1] = a, b
                if x > 0:
                    da, db = a - last_a, b - last_b


@inlined
def box_met(px, py, pz, hx, hy, hz, dx, dy, dz, inside):
    """Depth and side at which a ray from p along d meets a box of half sizes h: its front or, `inside`, its back.

    Side -1 where it misses (the slabs of Kay and Kajiya, 1986).
    """
    ix, iy, iz = 1.0 / dx, 1.0 / dy, 1.0 / dz
    cx, cy, cz = -px * ix, -py * iy, -pz * iz
    wx, wy, wz = abs(hx * ix), abs(hy * iy), abs(hz * iz)
    near, near_side = cx - wx, 1 if dx > 0.0 else 0
    if cy - wy > near:
        near, near_side = cy - wy, 3 if dy > 0.0 else 2
    if cz - wz > near:
        near, near_side = cz - wz, 5 if dz > 0.0 else 4
    far, far_side = cx + wx, 0 if dx > 0.0 else 1
    if cy + wy < far:
        far, far_side = cy + wy, 2 if dy > 0.0 else 3
    if cz + wz < far:
        far, far_side = cz + wz, 4 if dz > 0.0 else 5
    if near > far:
        return 0.0, -1
    if inside:
        return (far, far_side) if far > 0.0 else (0.0, -1)
    return (near, near_side) if near > 0.0 else (0.0, -1)


@inlined
def cylinder_met(px, py, pz, hx, hy, hz, dx, dy, dz):
    """The same of an upright cylinder: side 0, or the caps 4 (top) and 5."""
    A = dx * dx / (hx * hx) + dy * dy / (hy * hy)
    B = px * dx / (hx * hx) + py * dy / (hy * hy)
    C = px * px / (hx * hx) + py * py / (hy * hy) - 1.0
    root = B * B - A * C
    if root < 0.0 or A <= 1e-18:
        return 0.0, -1
    t = (-B - np.sqrt(root)) / A
    z = pz + t * dz
    if -hz <= z <= hz:
        return t, 0
    cap = hz if z > hz else -hz
    t = (cap - pz) / dz if abs(dz) > 1e-12 else -1.0
    ex, ey = px + t * dx, py + t * dy
    if ex * ex / (hx * hx) + ey * ey / (hy * hy) > 1.0:
        return 0.0, -1
    return t, 4 if cap > 0.0 else 5


@inlined
def ellipsoid_met(px, py, pz, hx, hy, hz, dx, dy, dz):
    """The same of an ellipsoid: side 0."""
    A = dx * dx / (hx * hx) + dy * dy / (hy * hy) + dz * dz / (hz * hz)
    B = px * dx / (hx * hx) + py * dy / (hy * hy) + pz * dz / (hz * hz)
    C = px * px / (hx * hx) + py * py / (hy * hy) + pz * pz / (hz * hz) - 1.0
    root = B * B - A * C
    if root < 0.0:
        return 0.0, -1
    return (-B - np.sqrt(root)) / A, 0


@compiled
def cast(rays, R, centre, geometry, boxes, depth, hit):
    """1 / depth (S, h, w) and 8 * solid + side of what each ray meets first; boxes (P, 4) bound each solid's picture.

    Depth along the camera's axis; rays (S, h, w, 2) at depth 1. Nothing met: depth 0, hit -1.
    """
    for p in range(geometry.shape[0]):
        kind = int(geometry[p, 0])
        c, s = geometry[p, 7], geometry[p, 8]
        ox, oy, oz = centre[0] - geometry[p, 1], centre[1] - geometry[p, 2], centre[2] - geometry[p, 3]
        px, py, pz = c * ox + s * oy, -s * ox + c * oy, oz
        hx, hy, hz = geometry[p, 4], geometry[p, 5], geometry[p, 6]
        # Camera axes in the solid's own axes.
        m00, m01 = c * R[0, 0] + s * R[0, 1], -s * R[0, 0] + c * R[0, 1]
        m10, m11 = c * R[1, 0] + s * R[1, 1], -s * R[1, 0] + c * R[1, 1]
        m20, m21 = c * R[2, 0] + s * R[2, 1], -s * R[2, 0] + c * R[2, 1]
        for sample in range(depth.shape[0]):
            for y in range(boxes[p, 1], boxes[p, 3]):
                for x in range(boxes[p, 0], boxes[p, 2]):
                    a, b = rays[sample, y, x, 0], rays[sample, y, x, 1]
                    # No direction is exactly parallel to a side: 1 / 0 would be no number.
                    dx = a * m00 + b * m10 + m20 + 1e-15
                    dy = a * m01 + b * m11 + m21 + 1e-15
                    dz = a * R[0, 2] + b * R[1, 2] + R[2, 2] + 1e-15
                    if kind in (BOX, INSIDE):
                        t, side = box_met(px, py, pz, hx, hy, hz, dx, dy, dz, kind == INSIDE)
                    elif kind == CYLINDER:
                        t, side = cylinder_met(px, py, pz, hx, hy, hz, dx, dy, dz)
                    else:
                        t, side = ellipsoid_met(px, py, pz, hx, hy, hz, dx, dy, dz)
                    if side >= 0 and t > 1e-6 and 1.0 / t > depth[sample, y, x]:
                        depth[sample, y, x] = 1.0 / t
                        hit[sample, y, x] = 8 * p + side
