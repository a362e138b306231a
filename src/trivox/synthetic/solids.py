"""Still things: rooms and furniture made of boxes, cylinders and ellipsoids, drawn by rays.

Every sample's ray is freed of the lens distortion and meets the solids exactly, so straight edges and checker corners
lie where the cameras project them. A solid is looked for only where it can be in the picture.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from trivox.geometry.triangulation.compiled import compiled, inlined
from trivox.synthetic.lights import arriving, seen_share, through_opening

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
def undistorted_rays(h, w, K, distortion, offsets, out):
    """Normalised points (S, h, w, 2) whose distorted pixels are the samples; fixed point, to float32's 1e-8."""
    k1, k2, p1, p2, k3 = distortion[0], distortion[1], distortion[2], distortion[3], distortion[4]
    for s in range(offsets.shape[0]):
        for y in range(h):
            b0 = (y + offsets[s, 1] - K[1, 2]) / K[1, 1]
            a, b, da, db = (offsets[s, 0] - K[0, 2] - K[0, 1] * b0) / K[0, 0], b0, 0.0, 0.0
            for x in range(w):
                a0 = (x + offsets[s, 0] - K[0, 2] - K[0, 1] * b0) / K[0, 0]
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


@compiled
def cast(rays, R, centre, geometry, boxes, depth, hit):
    """1 / depth (S, h, w) and 8 * solid + side of what each ray meets first; boxes (P, 4) bound each solid's picture.

    Depth along the camera's axis; rays (S, h, w, 2) at depth 1. Nothing met: depth 0, hit -1.
    """
    S, h, w = depth.shape
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
        for sample in range(S):
            for y in range(boxes[p, 1], boxes[p, 3]):
                for x in range(boxes[p, 0], boxes[p, 2]):
                    a, b = rays[sample, y, x, 0], rays[sample, y, x, 1]
                    # No direction is exactly parallel to a side: 1 / 0 would be no number.
                    dx = a * m00 + b * m10 + m20 + 1e-15
                    dy = a * m01 + b * m11 + m21 + 1e-15
                    dz = a * R[0, 2] + b * R[1, 2] + R[2, 2] + 1e-15
                    t, side = 0.0, -1
                    if kind in (BOX, INSIDE):
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
                        if kind == BOX and near <= far and near > 0.0:
                            t, side = near, near_side
                        if kind == INSIDE and far > 0.0 and near <= far:
                            t, side = far, far_side
                    elif kind == CYLINDER:
                        A = dx * dx / (hx * hx) + dy * dy / (hy * hy)
                        B = px * dx / (hx * hx) + py * dy / (hy * hy)
                        C = px * px / (hx * hx) + py * py / (hy * hy) - 1.0
                        root = B * B - A * C
                        if root >= 0.0 and A > 1e-18:
                            t = (-B - np.sqrt(root)) / A
                            z = pz + t * dz
                            side = 0
                            if z > hz or z < -hz:
                                cap = hz if z > hz else -hz
                                t = (cap - pz) / dz if abs(dz) > 1e-12 else -1.0
                                ex, ey = px + t * dx, py + t * dy
                                side = 4 if cap > 0.0 else 5
                                if ex * ex / (hx * hx) + ey * ey / (hy * hy) > 1.0:
                                    side = -1
                    else:
                        A = dx * dx / (hx * hx) + dy * dy / (hy * hy) + dz * dz / (hz * hz)
                        B = px * dx / (hx * hx) + py * dy / (hy * hy) + pz * dz / (hz * hz)
                        C = px * px / (hx * hx) + py * py / (hy * hy) + pz * pz / (hz * hz) - 1.0
                        root = B * B - A * C
                        if root >= 0.0:
                            t, side = (-B - np.sqrt(root)) / A, 0
                    if side >= 0 and t > 1e-6 and 1.0 / t > depth[sample, y, x]:
                        depth[sample, y, x] = 1.0 / t
                        hit[sample, y, x] = 8 * p + side


@inlined
def surface(geometry, p, side, X, Y, Z, out):
    """Normal (3) and place on the side (u, v in mm from its corner, sizes of the side) of a point: out (7,)."""
    kind = int(geometry[p, 0])
    c, s = geometry[p, 7], geometry[p, 8]
    ox, oy, z = X - geometry[p, 1], Y - geometry[p, 2], Z - geometry[p, 3]
    x, y = c * ox + s * oy, -s * ox + c * oy
    hx, hy, hz = geometry[p, 4], geometry[p, 5], geometry[p, 6]
    nx = ny = nz = 0.0
    if kind in (BOX, INSIDE) or side >= 4:
        sign = 1.0 if side % 2 == 0 else -1.0
        if kind == INSIDE:
            sign = -sign
        axis = side // 2
        if axis == 0:
            nx, u, v, su, sv = sign, y + hy, hz - z, 2 * hy, 2 * hz
        elif axis == 1:
            ny, u, v, su, sv = sign, x + hx, hz - z, 2 * hx, 2 * hz
        else:
            nz, u, v, su, sv = sign, x + hx, y + hy, 2 * hx, 2 * hy
    elif kind == CYLINDER:
        nx, ny = x / (hx * hx), y / (hy * hy)
        around = np.arctan2(y, x) + np.pi
        u, v, su, sv = around * hx, hz - z, 2 * np.pi * hx, 2 * hz
    else:
        nx, ny, nz = x / (hx * hx), y / (hy * hy), z / (hz * hz)
        u, v = (np.arctan2(y, x) + np.pi) * hx, np.arccos(min(1.0, max(-1.0, z / hz))) * hz
        su, sv = 2 * np.pi * hx, np.pi * hz
    length = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-12
    nx, ny, nz = nx / length, ny / length, nz / length
    out[0], out[1], out[2] = c * nx - s * ny, s * nx + c * ny, nz
    out[3], out[4], out[5], out[6] = u, v, su, sv


@compiled
def shade(
    rays, R, centre, geometry, texture, second, tile, glow, depth, hit, lights, maps, ambient, textures, taps,
    pixel_angle, found, light_of, direct, picture, fractions, places,
):  # fmt: skip
    """The still picture (h, w, 3), linear light; per light the share of it (h, w, L); world points (h, w, 3) mm.

    `found (7,)`, `light_of (L, 3)` and `direct (3,)` are room for what a sample needs.
    textures (T, levels, size, size, 3): each coarser level is blurred, chosen by the size of a pixel on the surface.
    """
    S, h, w = depth.shape
    L = lights.shape[0]
    size = textures.shape[2]
    for y in range(h):
        for x in range(w):
            picture[y, x, 0] = picture[y, x, 1] = picture[y, x, 2] = 0.0
            last = -2
            spiral = (5 * x + 3 * y + (x * y) // 7) % 16
            # Within one surface the coarser textures do the smoothing, and every other sample will do.
            first_code = hit[0, y, x]
            stride = 2 if first_code >= 0 and second[first_code // 8] < 0 else 1
            for s in range(1, S):
                if hit[s, y, x] != first_code:
                    stride = 1
            weight = stride / S
            for s in range(0, S, stride):
                code = hit[s, y, x]
                if code < 0:
                    continue
                a, b = rays[s, y, x, 0], rays[s, y, x, 1]
                t = 1.0 / depth[s, y, x]
                dx = a * R[0, 0] + b * R[1, 0] + R[2, 0]
                dy = a * R[0, 1] + b * R[1, 1] + R[2, 1]
                dz = a * R[0, 2] + b * R[1, 2] + R[2, 2]
                X, Y, Z = centre[0] + t * dx, centre[1] + t * dy, centre[2] + t * dz
                p, side = code // 8, code % 8
                surface(geometry, p, side, X, Y, Z, found)
                nx, ny, nz = found[0], found[1], found[2]
                if code != last:
                    last = code
                    up = 0.5 + 0.5 * nz
                    # Corners and the ground are darker: less of the room's light comes there.
                    open_ = 0.72 + 0.28 * min(1.0, Z / 700.0) if int(geometry[p, 0]) != INSIDE or nz == 0.0 else 1.0
                    for c in range(3):
                        direct[c] = ambient[c] * (0.45 + 0.55 * up) * open_
                    for k in range(L):
                        share = arriving(lights, k, X, Y, Z, nx, ny, nz)
                        if share > 0.0:
                            share *= through_opening(lights, k, X, Y, Z)
                        if share > 0.0:
                            share *= seen_share(maps, lights, k, X + 8.0 * nx, Y + 8.0 * ny, Z + 8.0 * nz, taps, spiral)
                        for c in range(3):
                            light_of[k, c] = share * lights[k, 19 + c]
                            direct[c] += light_of[k, c]
                    if s == 0:
                        places[y, x, 0], places[y, x, 1], places[y, x, 2] = X, Y, Z
                        total = direct[0] + direct[1] + direct[2] + 1e-9
                        for k in range(L):
                            share = (light_of[k, 0] + light_of[k, 1] + light_of[k, 2]) / total
                            fractions[y, x, k] = share if glow[p] <= 0.0 else 0.0
                image = texture[p, side]
                u, v = found[3], found[4]
                square = int(np.floor(u / max(tile[p, side], 1.0))) + int(np.floor(v / max(tile[p, side], 1.0)))
                if second[p] >= 0 and square % 2 != 0:
                    image = second[p]
                scale_u = size / (tile[p, side] if tile[p, side] > 0.0 else found[5])
                scale_v = size / (tile[p, side] if tile[p, side] > 0.0 else found[6])
                facing = abs(dx * nx + dy * ny + dz * nz) / np.sqrt(dx * dx + dy * dy + dz * dz)
                reach = pixel_angle * t * max(scale_u, scale_v) / np.sqrt(max(facing, 0.05))
                level = int(min(textures.shape[1] - 1.0, max(0.0, np.log2(max(reach, 1e-6)))))
                step = 2**level
                iu = (int(np.floor(u * scale_u)) % size) // step
                iv = (int(np.floor(v * scale_v)) % size) // step
                for c in range(3):
                    value = textures[image, level, iv, iu, c]
                    if glow[p] > 0.0:
                        picture[y, x, c] += value * glow[p] * weight
                    else:
                        picture[y, x, c] += value * direct[c] * weight
