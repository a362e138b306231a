"""A picture from its parts: the still room, the people's shadows on it, and the people where they are seen."""

from __future__ import annotations

import numpy as np

from trivox.synthetic.compiled import compiled
from trivox.synthetic.lights import seen_share


@compiled
def compose(
    still, fractions, places, lights, maps, near, near_cell, taps, ids, screen, offsets, faces, material, rest,
    irradiance, cells, cell_mm, linear, out,
):  # fmt: skip
    """Linear light (h, w, 3) into `out`.

    ids (S, h, w) the triangle that each sample sees, or -1; screen (S, N, 3) the vertices at each sample's instant;
    cells (M, C, C, C, 3) uint8, whose light `linear (256,)` gives;
    near (L, m, m) which squares (of `near_cell` cells) of each people's shadow map are near to anything in it.
    """
    S, h, w = ids.shape
    L = lights.shape[0]
    C = cells.shape[1]
    for y in range(h):
        for x in range(w):
            free = 1.0
            X, Y, Z = places[y, x, 0], places[y, x, 1], places[y, x, 2]
            for l in range(L):
                if fractions[y, x, l] < 0.02:
                    continue
                light = lights[l]
                z = light[6] * X + light[7] * Y + light[8] * Z + light[11]
                if z < 50.0:
                    continue
                u = light[12] * (light[0] * X + light[1] * Y + light[2] * Z + light[9]) / z + light[13]
                v = light[12] * (light[3] * X + light[4] * Y + light[5] * Z + light[10]) / z + light[13]
                iu, iv = int(u / near_cell), int(v / near_cell)
                if u < 0 or v < 0 or iu >= near.shape[2] or iv >= near.shape[1] or near[l, iv, iu] == 0:
                    continue
                spiral = (5 * x + 3 * y + (x * y) // 7) % 16
                free -= fractions[y, x, l] * (1.0 - seen_share(maps[l], light, X, Y, Z, taps, spiral))
            r = g = b = 0.0
            still_samples = 0
            for s in range(S):
                f = ids[s, y, x]
                if f < 0:
                    still_samples += 1
                    continue
                i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
                px, py = x + offsets[s, 0], y + offsets[s, 1]
                x0, y0 = screen[s, i, 0] - px, screen[s, i, 1] - py
                x1, y1 = screen[s, j, 0] - px, screen[s, j, 1] - py
                x2, y2 = screen[s, k, 0] - px, screen[s, k, 1] - py
                p, q, m = x1 * y2 - x2 * y1, x2 * y0 - x0 * y2, x0 * y1 - x1 * y0
                total = p + q + m
                p, q = p / total, q / total
                m = 1.0 - p - q
                cx = int(np.floor((p * rest[i, 0] + q * rest[j, 0] + m * rest[k, 0]) / cell_mm)) % C
                cy = int(np.floor((p * rest[i, 1] + q * rest[j, 1] + m * rest[k, 1]) / cell_mm)) % C
                cz = int(np.floor((p * rest[i, 2] + q * rest[j, 2] + m * rest[k, 2]) / cell_mm)) % C
                cell = cells[material[f], cx, cy, cz]
                r += linear[cell[0]] * (p * irradiance[i, 0] + q * irradiance[j, 0] + m * irradiance[k, 0])
                g += linear[cell[1]] * (p * irradiance[i, 1] + q * irradiance[j, 1] + m * irradiance[k, 1])
                b += linear[cell[2]] * (p * irradiance[i, 2] + q * irradiance[j, 2] + m * irradiance[k, 2])
            share = free * still_samples
            out[y, x, 0] = (still[y, x, 0] * share + r) / S
            out[y, x, 1] = (still[y, x, 1] * share + g) / S
            out[y, x, 2] = (still[y, x, 2] * share + b) / S
