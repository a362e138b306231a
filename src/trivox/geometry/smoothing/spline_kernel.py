"""Smoothing splines of many tracks, and how each instant looks without its own measurement, as machine code.

A track is a joint over F instants. Its smooth path x minimises

    sum_f (z_f - x_f)^T W_f (z_f - x_f)  +  stiffness * sum_f |sum_k d_fk x_(f+k)|^2

where d_f are divided differences of the third order. In coordinates (instant, axis) the normal matrix is banded, nine
places below its diagonal: L D L^T solves it, and Takahashi's recursion gives the band of its inverse, which holds the
covariance of every instant (Takahashi, Fagan & Chen 1973; Hutchinson & de Hoog, Numerische Mathematik 47, 1985).
"""

from __future__ import annotations

import numpy as np

from trivox.geometry.triangulation.algebra_kernel import solve_positive
from trivox.geometry.triangulation.compiled import compiled, inlined

ORDER = 3
BAND = 3 * ORDER  # places below the diagonal
# A measurement that its path goes through, to the precision of numbers, says nothing of what others foretell.
SMALLEST_FREEDOM = 1e-27


@inlined
def _assemble(z, W, together, differences, stiffness, lower, x):
    """Normal matrix, lower band: `lower[i, k]` is the element (i, i - k); its right side in `x`."""
    frames = len(z)
    for i in range(3 * frames):
        for k in range(BAND + 1):
            lower[i, k] = 0.0
    for f in range(frames):
        for a in range(3):
            x[3 * f + a] = W[f, a, 0] * z[f, 0] + W[f, a, 1] * z[f, 1] + W[f, a, 2] * z[f, 2]
            for b in range(a + 1):
                lower[3 * f + a, a - b] = W[f, a, b]
    for f in range(frames - ORDER):
        if together[f]:
            for r in range(ORDER + 1):
                for q in range(r + 1):
                    pull = stiffness * differences[f, r] * differences[f, q]
                    for a in range(3):
                        lower[3 * (f + r) + a, 3 * (r - q)] += pull


@inlined
def _factorise(lower):
    """L D L^T in place: D where the diagonal was, L below. A place that nothing holds gets the pivot 1."""
    for i in range(len(lower)):
        first = max(0, i - BAND)
        for j in range(first, i):
            total = lower[i, i - j]
            for k in range(max(first, j - BAND), j):
                total -= lower[i, i - k] * lower[j, j - k]
            lower[i, i - j] = total  # L_ij D_j, until the row is done
        pivot = lower[i, 0]
        for j in range(first, i):
            share = lower[i, i - j] / lower[j, 0]
            pivot -= share * lower[i, i - j]
            lower[i, i - j] = share
        lower[i, 0] = pivot if pivot > 0.0 else 1.0


@inlined
def _substitute(lower, x):
    """The solution, where the right side was."""
    places = len(lower)
    for i in range(places):
        for j in range(max(0, i - BAND), i):
            x[i] -= lower[i, i - j] * x[j]
    for i in range(places):
        x[i] /= lower[i, 0]
    for back in range(places):
        i = places - 1 - back
        for j in range(i + 1, min(places, i + BAND + 1)):
            x[i] -= lower[j, j - i] * x[j]


@inlined
def _invert_band(lower, inverse):
    """The band of the inverse: `inverse[i, k]` is the element (i + k, i)."""
    places = len(lower)
    for back in range(places):
        i = places - 1 - back
        last = min(places - 1, i + BAND)
        for j in range(last, i - 1, -1):
            total = 1.0 / lower[i, 0] if i == j else 0.0
            for k in range(i + 1, last + 1):
                total -= lower[k, k - i] * (inverse[j, k - j] if k >= j else inverse[k, j - k])
            inverse[i, j - i] = total


@inlined
def _without_itself(f, z, W, R, x, inverse, out):
    """How far measurement f lies from what all others say: squared Mahalanobis distance, log determinant.

    With the smoothed P and x: e = (1 - P W)^-1 (z - x) is the distance from the path without f, (1 - P W)^-1 P its
    covariance, to which the measurement adds R.
    """
    P, A, S, e = out
    for a in range(3):
        for b in range(a + 1):
            P[a, b] = inverse[3 * f + b, a - b]
            P[b, a] = P[a, b]
    for a in range(3):
        for b in range(3):
            A[a, b] = (1.0 if a == b else 0.0) - P[a, 0] * W[f, 0, b] - P[a, 1] * W[f, 1, b] - P[a, 2] * W[f, 2, b]
    c00 = A[1, 1] * A[2, 2] - A[1, 2] * A[2, 1]
    c01 = A[1, 2] * A[2, 0] - A[1, 0] * A[2, 2]
    c02 = A[1, 0] * A[2, 1] - A[1, 1] * A[2, 0]
    determinant = A[0, 0] * c00 + A[0, 1] * c01 + A[0, 2] * c02
    if not determinant > SMALLEST_FREEDOM:
        return 0.0, 0.0, False
    S[0, 0], S[1, 0], S[2, 0] = c00, c01, c02
    S[0, 1] = A[0, 2] * A[2, 1] - A[0, 1] * A[2, 2]
    S[1, 1] = A[0, 0] * A[2, 2] - A[0, 2] * A[2, 0]
    S[2, 1] = A[0, 1] * A[2, 0] - A[0, 0] * A[2, 1]
    S[0, 2] = A[0, 1] * A[1, 2] - A[0, 2] * A[1, 1]
    S[1, 2] = A[0, 2] * A[1, 0] - A[0, 0] * A[1, 2]
    S[2, 2] = A[0, 0] * A[1, 1] - A[0, 1] * A[1, 0]
    for a in range(3):
        e[a] = 0.0
        for b in range(3):
            S[a, b] /= determinant
            e[a] += S[a, b] * (z[f, b] - x[3 * f + b])
    for a in range(3):
        for b in range(3):
            A[a, b] = S[a, 0] * P[0, b] + S[a, 1] * P[1, b] + S[a, 2] * P[2, b] + R[f, a, b]
    s01, s02, s12 = 0.5 * (A[0, 1] + A[1, 0]), 0.5 * (A[0, 2] + A[2, 0]), 0.5 * (A[1, 2] + A[2, 1])
    y0, y1, y2, pivot = solve_positive(A[0, 0], s01, s02, A[1, 1], s12, A[2, 2], e[0], e[1], e[2])
    volume = (
        A[0, 0] * (A[1, 1] * A[2, 2] - s12 * s12)
        - s01 * (s01 * A[2, 2] - s12 * s02)
        + s02 * (s01 * s12 - A[1, 1] * s02)
    )
    if not (pivot > 0.0 and volume > 0.0):
        return 0.0, 0.0, False
    return e[0] * y0 + e[1] * y1 + e[2] * y2, np.log(volume), True


@compiled
def smooth_tracks(
    points, precision, noise, share, together, differences, stiffness, room, path, covariance, distance2, log_volume
):
    """Smooth N tracks by each of C stiffnesses.

    points (N, F, 3), precision (N, F, 3, 3) the inverse of noise (N, F, 3, 3), both zero where there is no
    measurement; share (C, N, F) of the precision that counts; together (N, F): whether the differences that start here
    lie in one piece; differences (F, ORDER + 1); stiffness (C). Filled: path (C, N, F, 3), covariance
    (C, N, F, 3, 3), distance2 and log_volume (C, N, F), which are zero where nothing is known of them.
    """
    lower, inverse, x, W, small = room
    for c in range(len(stiffness)):
        for n in range(len(points)):
            z, R = points[n], noise[n]
            for f in range(len(z)):
                for a in range(3):
                    for b in range(3):
                        W[f, a, b] = share[c, n, f] * precision[n, f, a, b]
            _assemble(z, W, together[n], differences, stiffness[c], lower, x)
            _factorise(lower)
            _substitute(lower, x)
            _invert_band(lower, inverse)
            for f in range(len(z)):
                known = W[f, 0, 0] > 0.0
                d2, log_det, sound = _without_itself(f, z, W, R, x, inverse, small)
                distance2[c, n, f] = d2 if known and sound else 0.0
                log_volume[c, n, f] = log_det if known and sound else 0.0
                for a in range(3):
                    path[c, n, f, a] = x[3 * f + a]
                    for b in range(3):
                        covariance[c, n, f, a, b] = inverse[3 * f + min(a, b), abs(a - b)]


@compiled
def sum_nearby(values, fading, total):
    """Sums over time, each instant counting less the further away: total (C, N, F) of values (C, N, F).

    `fading[f]` is the factor from instant f - 1 to instant f.
    """
    for c in range(values.shape[0]):
        for n in range(values.shape[1]):
            carried = 0.0
            for f in range(values.shape[2]):
                carried = carried * fading[f] + values[c, n, f]
                total[c, n, f] = carried
            carried = 0.0
            for back in range(values.shape[2]):
                f = values.shape[2] - 1 - back
                total[c, n, f] += carried
                carried = (carried + values[c, n, f]) * fading[f]
