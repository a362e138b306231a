"""The colours of still things: what each ray of the room met, its texture, and the light that reaches it."""

from __future__ import annotations

import numpy as np

from trivox.geometry.triangulation.compiled import compiled, inlined
from trivox.synthetic.lights import arriving, seen_share, through_opening
from trivox.synthetic.solids import BOX, CYLINDER, INSIDE


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


@inlined
def receive(
    geometry, p, X, Y, Z, nx, ny, nz, lights, maps, ambient, taps, spiral, light_of, direct
):  # fmt: skip
    """Light at a point of solid p: of each light into `light_of (L, 3)`, with the room's own into `direct (3,)`."""
    up = 0.5 + 0.5 * nz
    # Corners and the ground are darker: less of the room's light comes there.
    open_ = 0.72 + 0.28 * min(1.0, Z / 700.0) if int(geometry[p, 0]) != INSIDE or nz == 0.0 else 1.0
    for c in range(3):
        direct[c] = ambient[c] * (0.45 + 0.55 * up) * open_
    for k in range(lights.shape[0]):
        share = arriving(lights, k, X, Y, Z, nx, ny, nz)
        if share > 0.0:
            share *= through_opening(lights, k, X, Y, Z)
        if share > 0.0:
            share *= seen_share(maps, lights, k, X + 8.0 * nx, Y + 8.0 * ny, Z + 8.0 * nz, taps, spiral)
        for c in range(3):
            light_of[k, c] = share * lights[k, 19 + c]
            direct[c] += light_of[k, c]


@inlined
def texel(texture, second, tile, p, side, found, facing, pixel_mm, levels, size):
    """Image, level and cell (row, column) that a point of a side shows.

    A pixel that covers `pixel_mm` of a surface seen at right angles covers more of one seen aslant (`facing`, the
    cosine): the level is the one whose cells are about as large.
    """
    image, u, v = texture[p, side], found[3], found[4]
    square = int(np.floor(u / max(tile[p, side], 1.0))) + int(np.floor(v / max(tile[p, side], 1.0)))
    if second[p] >= 0 and square % 2 != 0:
        image = second[p]
    scale_u = size / (tile[p, side] if tile[p, side] > 0.0 else found[5])
    scale_v = size / (tile[p, side] if tile[p, side] > 0.0 else found[6])
    reach = pixel_mm * max(scale_u, scale_v) / np.sqrt(max(facing, 0.05))
    level = int(min(levels - 1.0, max(0.0, np.log2(max(reach, 1e-6)))))
    step = 2**level
    return image, level, (int(np.floor(v * scale_v)) % size) // step, (int(np.floor(u * scale_u)) % size) // step


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
                    receive(geometry, p, X, Y, Z, nx, ny, nz, lights, maps, ambient, taps, spiral, light_of, direct)
                    if s == 0:
                        places[y, x, 0], places[y, x, 1], places[y, x, 2] = X, Y, Z
                        total = direct[0] + direct[1] + direct[2] + 1e-9
                        for k in range(lights.shape[0]):
                            share = (light_of[k, 0] + light_of[k, 1] + light_of[k, 2]) / total
                            fractions[y, x, k] = share if glow[p] <= 0.0 else 0.0
                facing = abs(dx * nx + dy * ny + dz * nz) / np.sqrt(dx * dx + dy * dy + dz * dz)
                image, level, iv, iu = texel(
                    texture, second, tile, p, side, found, facing, pixel_angle * t, textures.shape[1], textures.shape[2]
                )
                for c in range(3):
                    value = textures[image, level, iv, iu, c]
                    if glow[p] > 0.0:
                        picture[y, x, c] += value * glow[p] * weight
                    else:
                        picture[y, x, c] += value * direct[c] * weight
