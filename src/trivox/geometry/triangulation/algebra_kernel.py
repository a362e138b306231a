"""Closed forms for one joint, as machine code: a 3x3 solve, and the smallest eigenvector of a 4x4 matrix."""

from __future__ import annotations

import numpy as np

from trivox.geometry.triangulation.compiled import inlined

# A pivot this small beside the trace is rounding: the rays leave a direction open.
PIVOT_FLOOR = 1e-15
_STEPS = 100


@inlined
def solve_positive(a00, a01, a02, a11, a12, a22, b0, b1, b2):
    """Solve a symmetric 3x3 system by LDL^T; last, the smallest pivot, positive if the matrix is."""
    l10, l20 = a01 / a00, a02 / a00
    d1 = a11 - l10 * a01
    rest = a12 - l10 * a02
    l21 = rest / d1
    d2 = a22 - l20 * a02 - l21 * rest
    y1 = b1 - l10 * b0
    y2 = b2 - l20 * b0 - l21 * y1
    x2 = y2 / d2
    x1 = y1 / d1 - l21 * x2
    x0 = b0 / a00 - l10 * x1 - l20 * x2
    return x0, x1, x2, min(a00, d1, d2)


@inlined
def smallest_eigenvector(m):
    """Success, and the X with (X, 1) along the eigenvector of the smallest eigenvalue of the 4x4 matrix m.

    `m` holds the upper triangle by rows. With m = [[A, b], [b^T, c]] the eigenvalue is the smallest root of
    f(l) = c - l - b^T (A - l)^-1 b, which falls and is concave below A's own smallest eigenvalue, and X = -(A
    - l)^-1 b. Newton's method on f is the Rayleigh quotient iteration; from 0 it takes two or three steps.
    Bisection catches the rare start that leaps over A's smallest eigenvalue (a noisy point at the world's
    origin).
    """
    floor = PIVOT_FLOOR * (m[0] + m[4] + m[7])
    shift, low, high = 0.0, 0.0, np.inf
    for _ in range(_STEPS):
        x, y, z, pivot = solve_positive(m[0] - shift, m[1], m[2], m[4] - shift, m[5], m[7] - shift, -m[3], -m[6], -m[8])
        if pivot > floor:
            norm2 = 1.0 + x * x + y * y + z * z
            change = (m[9] + m[3] * x + m[6] * y + m[8] * z - shift) / norm2
            if abs(change) <= 1e-12 * pivot + 1e-15 * m[9] / norm2:
                return True, x, y, z
            if change > 0.0:
                low = max(low, shift)
            else:
                high = min(high, shift)
            shift += change
            if shift < high or change < 0.0:
                continue
        elif shift == 0.0:
            break
        else:
            high = shift
        shift = 0.5 * (low + high)
    return False, 0.0, 0.0, 0.0
