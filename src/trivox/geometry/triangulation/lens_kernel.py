"""The lens of `distortion.py` for one point at a time, as machine code: forward with slope, and its inverse.

`lens` is one row of `CameraArrays.lens`: k1, k2, p1, p2, k3, squared trusted radius, tangential factor.
"""

from __future__ import annotations

from trivox.geometry.triangulation.compiled import inlined

_NEWTON_STEPS = 20


@inlined
def distorted(x, y, lens):
    """Distorted (x, y), and the 2x2 derivative by rows."""
    q0, q1, factor = lens[3], lens[2], lens[6]
    r2 = x * x + y * y
    s = min(r2, lens[5])
    gain = 1.0 + s * (lens[0] + s * (lens[1] + s * lens[4]))
    slope = 0.0
    if r2 < lens[5]:
        slope = 2.0 * (lens[0] + s * (2.0 * lens[1] + s * 3.0 * lens[4]))
    diagonal = gain + factor * (q0 * x + q1 * y)
    d0, d1 = slope * x + factor * q0, slope * y + factor * q1
    return (
        x * diagonal + r2 * q0,
        y * diagonal + r2 * q1,
        diagonal + x * d0 + 2.0 * q0 * x,
        x * d1 + 2.0 * q0 * y,
        y * d0 + 2.0 * q1 * x,
        diagonal + y * d1 + 2.0 * q1 * y,
    )


@inlined
def undistorted(target_x, target_y, lens):
    """The point that `distorted` sends to the target: Newton's method from the target, steps bounded."""
    x, y = target_x, target_y
    for _ in range(_NEWTON_STEPS):
        at_x, at_y, j00, j01, j10, j11 = distorted(x, y, lens)
        miss_x, miss_y = target_x - at_x, target_y - at_y
        determinant = j00 * j11 - j01 * j10
        if abs(determinant) < 1e-150:
            determinant = 1e-150
        step_x = (j11 * miss_x - j01 * miss_y) / determinant
        step_y = (j00 * miss_y - j10 * miss_x) / determinant
        length = (step_x * step_x + step_y * step_y) ** 0.5
        limit = 1.0 + (x * x + y * y) ** 0.5
        scale = min(1.0, limit / max(length, 1e-30))
        x += scale * step_x
        y += scale * step_y
        if length <= 1e-15 * limit:
            break
    return x, y
