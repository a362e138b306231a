"""The largest set of views that agree: all pairs of one joint, as machine code (rules: ransac.py)."""

from __future__ import annotations

import numpy as np

from trivox.geometry.cameras import SMALLEST_DEPTH_MM
from trivox.geometry.triangulation.arrays import clear, copy
from trivox.geometry.triangulation.camera_kernel import pixel_and_depth
from trivox.geometry.triangulation.compiled import inlined
from trivox.geometry.triangulation.limits import MAX_SEARCH_VIEWS
from trivox.geometry.triangulation.linear_kernel import least_squares_point


@inlined
def _choose_views(s, spread):
    """Choose the views whose pairs are tried: all, or the heaviest 16, ties to the better spread."""
    count = 0
    for v in range(len(s.usable)):
        if s.usable[v]:
            s.chosen[count] = v
            count += 1
    if count <= MAX_SEARCH_VIEWS:
        return count
    for place in range(MAX_SEARCH_VIEWS):
        best = place
        for other in range(place + 1, count):
            v, w = s.chosen[best], s.chosen[other]
            heavier = s.weight[w] > s.weight[v]
            if heavier or (s.weight[w] == s.weight[v] and spread[w] < spread[v]):
                best = other
        s.chosen[place], s.chosen[best] = s.chosen[best], s.chosen[place]
    return MAX_SEARCH_VIEWS


@inlined
def _miss2(x, y, z, v, cameras, c, s):
    """Squared distance of a point's projection from what view v observed; infinite behind the camera."""
    px, py, depth = pixel_and_depth(x, y, z, cameras, c, v)
    if not depth > SMALLEST_DEPTH_MM:
        return np.inf
    dx, dy = px - s.observed[v, 0], py - s.observed[v, 1]
    return dx * dx + dy * dy


@inlined
def search_pairs(cameras, c, threshold2, s):
    """Mark in `used` the views that agree with the point of the best pair; none where no pair agrees."""
    clear(s.used)
    count = _choose_views(s, cameras.spread[c])
    best_close, best_score, best_error = False, 0.0, np.inf
    for first in range(count - 1):
        for second in range(first + 1, count):
            i, k = s.chosen[first], s.chosen[second]
            for n in range(10):
                s.system[n] = s.normal[i, n] + s.normal[k, n]
            fine, x, y, z = least_squares_point(s.system)
            if not fine:
                continue
            own2 = max(_miss2(x, y, z, i, cameras, c, s), _miss2(x, y, z, k, cameras, c, s))
            close = own2 < 0.25 * threshold2
            if own2 >= threshold2 or (best_close and not close):
                continue
            score = error = 0.0
            for v in range(len(s.used)):
                miss2 = _miss2(x, y, z, v, cameras, c, s) if s.usable[v] else np.inf
                s.trial[v] = miss2 < threshold2
                if s.trial[v]:
                    score += s.weight[v]
                    error += s.weight[v] ** 2 * miss2
            better = score > best_score or (score == best_score and error < best_error)
            if better or (close and not best_close):
                best_close, best_score, best_error = close, score, error
                copy(s.trial, s.used)
