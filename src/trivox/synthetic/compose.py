"""A picture from its parts: the still room, the people's shadows on it, and the people where they are seen."""

from __future__ import annotations

import numpy as np

from trivox.geometry.triangulation.compiled import compiled, inlined
from trivox.synthetic.lights import seen_share


@inlined
def unshadowed(y, x, fractions, places, lights, maps, near, near_cell, taps):
    """The share (0..1) of a pixel's light that people leave."""
    free = 1.0
    X, Y, Z = places[y, x, 0], places[y, x, 1], places[y, x, 2]
    for k in range(lights.shape[0]):
        if fractions[y, x, k] < 0.02:
            continue
        z = lights[k, 6] * X + lights[k, 7] * Y + lights[k, 8] * Z + lights[k, 11]
        if z < 50.0:
            continue
        u = lights[k, 12] * (lights[k, 0] * X + lights[k, 1] * Y + lights[k, 2] * Z + lights[k, 9]) / z + lights[k, 13]
        v = lights[k, 12] * (lights[k, 3] * X + lights[k, 4] * Y + lights[k, 5] * Z + lights[k, 10]) / z + lights[k, 13]
        iu, iv = int(u / near_cell), int(v / near_cell)
        if u < 0 or v < 0 or iu >= near.shape[2] or iv >= near.shape[1] or near[k, iv, iu] == 0:
            continue
        spiral = (5 * x + 3 * y + (x * y) // 7) % 16
        free -= fractions[y, x, k] * (1.0 - seen_share(maps, lights, k, X, Y, Z, taps, spiral))
    return free


@inlined
def at_pixel(screen, faces, offsets, s, f, x, y):
    """Barycentric shares of the corners of triangle f where sample s of a pixel sees it."""
    i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
    px, py = x + offsets[s, 0], y + offsets[s, 1]
    x0, y0 = screen[s, i, 0] - px, screen[s, i, 1] - py
    x1, y1 = screen[s, j, 0] - px, screen[s, j, 1] - py
    x2, y2 = screen[s, k, 0] - px, screen[s, k, 1] - py
    p, q, m = x1 * y2 - x2 * y1, x2 * y0 - x0 * y2, x0 * y1 - x1 * y0
    total = p + q + m
    p, q = p / total, q / total
    return p, q, 1.0 - p - q


@inlined
def between(values, c, i, j, k, p, q, m):
    """Column c of the vertices' values at a point of a triangle."""
    return p * values[i, c] + q * values[j, c] + m * values[k, c]


@inlined
def cell(place_mm, cell_mm, count):
    """The cell of a pattern that repeats every `count` cells."""
    return int(np.floor(place_mm / cell_mm)) % count


@compiled
def compose(
    still, fractions, places, lights, maps, near, near_cell, taps, ids, screen, offsets, faces, material, rest,
    irradiance, cells, cell_mm, linear, coarse, out,
):  # fmt: skip
    """Linear light (h, w, 3) into `out`.

    ids (S, h, w) the triangle that each sample sees, or -1; screen (S, N, 3) the vertices at each sample's instant;
    cells (M, C, C, C, 3) uint8, whose light `linear (256,)` gives;
    `coarse` (half of h, w) is room for shadows;
    near (L, m, m) which squares (of `near_cell` cells) of each people's shadow map are near to anything in it.
    """
    S, h, w = ids.shape
    for y in range(coarse.shape[0]):
        for x in range(coarse.shape[1]):
            coarse[y, x] = unshadowed(2 * y, 2 * x, fractions, places, lights, maps, near, near_cell, taps)
    C = cells.shape[1]
    for y in range(h):
        for x in range(w):
            # Every other pixel knows its shadow; between four that agree nothing changes.
            ya, xa = y // 2, x // 2
            yb, xb = min(ya + 1, coarse.shape[0] - 1), min(xa + 1, coarse.shape[1] - 1)
            free = coarse[ya, xa]
            if free != coarse[ya, xb] or free != coarse[yb, xa] or free != coarse[yb, xb]:
                free = unshadowed(y, x, fractions, places, lights, maps, near, near_cell, taps)
            r = g = b = 0.0
            still_samples = 0
            for s in range(S):
                f = ids[s, y, x]
                if f < 0:
                    still_samples += 1
                    continue
                i, j, k, kind = faces[f, 0], faces[f, 1], faces[f, 2], material[f]
                p, q, m = at_pixel(screen, faces, offsets, s, f, x, y)
                cx = cell(between(rest, 0, i, j, k, p, q, m), cell_mm, C)
                cy = cell(between(rest, 1, i, j, k, p, q, m), cell_mm, C)
                cz = cell(between(rest, 2, i, j, k, p, q, m), cell_mm, C)
                r += linear[cells[kind, cx, cy, cz, 0]] * between(irradiance, 0, i, j, k, p, q, m)
                g += linear[cells[kind, cx, cy, cz, 1]] * between(irradiance, 1, i, j, k, p, q, m)
                b += linear[cells[kind, cx, cy, cz, 2]] * between(irradiance, 2, i, j, k, p, q, m)
            share = free * still_samples
            out[y, x, 0] = (still[y, x, 0] * share + r) / S
            out[y, x, 1] = (still[y, x, 1] * share + g) / S
            out[y, x, 2] = (still[y, x, 2] * share + b) / S
