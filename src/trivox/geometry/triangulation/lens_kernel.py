"""The lenses of `distortion.py` for one point at a time, as machine code: forward with slope, and its inverse.

`lens` is one row of `distortion.lens_rows`. Lenses of five terms are pasted into the kernels that use them; the others
are functions that are called.
"""

from __future__ import annotations

from math import atan, sqrt, tan

from trivox.geometry.distortion import (
    FACTOR,
    FISHEYE_LENS,
    KIND,
    LARGEST_INVERSE_ANGLE,
    PLAIN_LENS,
    SMALL_RADIUS_SQUARED,
    SMALLEST_TILT_DIVISOR,
    TILT,
    TRUSTED,
)
from trivox.geometry.triangulation.compiled import called, inlined

_NEWTON_STEPS = 20
_RADIAL_STEPS = 60


@inlined
def distorted(x, y, lens):
    """Distorted (x, y), and the 2x2 derivative by rows."""
    if lens[KIND] == PLAIN_LENS:
        return _distorted_plain(x, y, lens)
    return _distorted_general(x, y, lens)


@inlined
def undistorted(target_x, target_y, lens):
    """The point that `distorted` sends to the target."""
    if lens[KIND] == PLAIN_LENS:
        return _undistorted_plain(target_x, target_y, lens)
    return _undistorted_general(target_x, target_y, lens)


@inlined
def _distorted_plain(x, y, lens):
    q0, q1, factor = lens[3], lens[2], lens[FACTOR]
    r2 = x * x + y * y
    s = min(r2, lens[TRUSTED])
    gain = 1.0 + s * (lens[0] + s * (lens[1] + s * lens[4]))
    slope = 0.0
    if r2 < lens[TRUSTED]:
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
def _newton_step(x, y, miss_x, miss_y, j00, j01, j10, j11):
    """The step that takes the miss away, bounded, with its length and its bound."""
    determinant = j00 * j11 - j01 * j10
    if abs(determinant) < 1e-150:
        determinant = 1e-150
    step_x = (j11 * miss_x - j01 * miss_y) / determinant
    step_y = (j00 * miss_y - j10 * miss_x) / determinant
    length = (step_x * step_x + step_y * step_y) ** 0.5
    limit = 1.0 + (x * x + y * y) ** 0.5
    scale = min(1.0, limit / max(length, 1e-30))
    return scale * step_x, scale * step_y, length, limit


@inlined
def _undistorted_plain(target_x, target_y, lens):
    """Newton's method from the target, steps bounded."""
    x, y = target_x, target_y
    for _ in range(_NEWTON_STEPS):
        at_x, at_y, j00, j01, j10, j11 = _distorted_plain(x, y, lens)
        step_x, step_y, length, limit = _newton_step(x, y, target_x - at_x, target_y - at_y, j00, j01, j10, j11)
        x += step_x
        y += step_y
        if length <= 1e-15 * limit:
            break
    return x, y


@inlined
def _radial_factor(s, lens):
    """The radial factor at a squared radius, and its derivative."""
    if lens[KIND] == FISHEYE_LENS:
        if s < SMALL_RADIUS_SQUARED:
            ratio = 1.0 + s * (-1.0 / 3.0 + s * (1.0 / 5.0 + s * (-1.0 / 7.0 + s * (1.0 / 9.0))))
            ratio_slope = -1.0 / 3.0 + s * (2.0 / 5.0 + s * (-3.0 / 7.0 + s * (4.0 / 9.0)))
        else:
            r = sqrt(s)
            ratio = atan(r) / r
            ratio_slope = (1.0 / (1.0 + s) - ratio) / (2.0 * s)
        t = s * ratio * ratio
        value = 1.0 + t * (lens[0] + t * (lens[1] + t * (lens[2] + t * lens[3])))
        slope = lens[0] + t * (2.0 * lens[1] + t * (3.0 * lens[2] + t * 4.0 * lens[3]))
        return ratio * value, ratio_slope * value + ratio * slope * ratio / (1.0 + s)
    divisor = 1.0 + s * (lens[8] + s * (lens[9] + s * lens[10]))
    gain = (1.0 + s * (lens[0] + s * (lens[1] + s * lens[4]))) / divisor
    slope = lens[0] + s * (2.0 * lens[1] + s * 3.0 * lens[4])
    divisor_slope = lens[8] + s * (2.0 * lens[9] + s * 3.0 * lens[10])
    return gain, (slope - gain * divisor_slope) / divisor


@called
def _distorted_general(x, y, lens):
    """`_distorted_plain` with all terms there are."""
    r2 = x * x + y * y
    s = min(r2, lens[TRUSTED])
    gain, slope = _radial_factor(s, lens)
    inside = 1.0 if r2 < lens[TRUSTED] else 0.0
    slope *= 2.0 * inside
    if lens[KIND] == FISHEYE_LENS:
        return x * gain, y * gain, gain + slope * x * x, slope * x * y, slope * x * y, gain + slope * y * y
    q0, q1, factor = lens[3], lens[2], lens[FACTOR]
    diagonal = gain + factor * (q0 * x + q1 * y)
    d0, d1 = slope * x + factor * q0, slope * y + factor * q1
    across = s + inside * r2
    e0, e1 = 2.0 * (q0 + lens[11] + lens[12] * across), 2.0 * (q1 + lens[13] + lens[14] * across)
    u, v = x * diagonal + r2 * (q0 + lens[11] + lens[12] * s), y * diagonal + r2 * (q1 + lens[13] + lens[14] * s)
    j00, j01 = diagonal + x * d0 + e0 * x, x * d1 + e0 * y
    j10, j11 = y * d0 + e1 * x, diagonal + y * d1 + e1 * y
    w = lens[TILT + 6] * u + lens[TILT + 7] * v + lens[TILT + 8]
    h0, h1 = lens[TILT + 6], lens[TILT + 7]
    if not w > SMALLEST_TILT_DIVISOR:
        w, h0, h1 = SMALLEST_TILT_DIVISOR, 0.0, 0.0
    a = (lens[TILT] * u + lens[TILT + 1] * v + lens[TILT + 2]) / w
    b = (lens[TILT + 3] * u + lens[TILT + 4] * v + lens[TILT + 5]) / w
    t00, t01 = (lens[TILT] - a * h0) / w, (lens[TILT + 1] - a * h1) / w
    t10, t11 = (lens[TILT + 3] - b * h0) / w, (lens[TILT + 4] - b * h1) / w
    return a, b, t00 * j00 + t01 * j10, t00 * j01 + t01 * j11, t10 * j00 + t11 * j10, t10 * j01 + t11 * j11


@inlined
def _untilted(a, b, lens):
    """The point before the tilt; far outside where there is none."""
    m00, m01, m02 = lens[TILT], lens[TILT + 1], lens[TILT + 2]
    m10, m11, m12 = lens[TILT + 3], lens[TILT + 4], lens[TILT + 5]
    m20, m21, m22 = lens[TILT + 6], lens[TILT + 7], lens[TILT + 8]
    c0, c1, c2 = m10 * m21 - m11 * m20, m01 * m20 - m00 * m21, m00 * m11 - m01 * m10
    determinant = m00 * (m11 * m22 - m12 * m21) - m01 * (m10 * m22 - m12 * m20) + m02 * (m10 * m21 - m11 * m20)
    along = (c0 * a + c1 * b + c2) / determinant
    if along < 1.0 / SMALLEST_TILT_DIVISOR:
        scale = 1.0 / (determinant * max(along, SMALLEST_TILT_DIVISOR))
        x = (m11 * m22 - m12 * m21) * a + (m02 * m21 - m01 * m22) * b + m01 * m12 - m02 * m11
        y = (m12 * m20 - m10 * m22) * a + (m00 * m22 - m02 * m20) * b + m02 * m10 - m00 * m12
        return x * scale, y * scale
    u, v = a * SMALLEST_TILT_DIVISOR - m02, b * SMALLEST_TILT_DIVISOR - m12
    return (m11 * u - m01 * v) / c2, (m00 * v - m10 * u) / c2


@inlined
def _radial_inverse(target, lens):
    """The radius whose product with its radial factor is the target: Newton's method in the angle, bracketed."""
    low, high = 0.0, LARGEST_INVERSE_ANGLE
    angle = min(atan(target), high)
    for _ in range(_RADIAL_STEPS):
        r = tan(angle)
        r2 = r * r
        gain, slope = _radial_factor(min(r2, lens[TRUSTED]), lens)
        grows = (gain + (2.0 * r2 * slope if r2 < lens[TRUSTED] else 0.0)) * (1.0 + r2)
        missed = r * gain - target
        if missed < 0.0:
            low = angle
        if missed > 0.0:
            high = angle
        moved = angle - missed / grows if grows > 0.0 else low - 1.0
        if not low <= moved <= high:
            moved = 0.5 * (low + high)
        done = abs(moved - angle) <= 1e-15
        angle = moved
        if done:
            break
    return tan(angle)


@called
def _undistorted_general(target_x, target_y, lens):
    """From the radial part's own inverse, by the Newton steps of `_undistorted_plain`."""
    x, y = target_x, target_y
    if lens[KIND] != FISHEYE_LENS:
        x, y = _untilted(x, y, lens)
    radius = sqrt(x * x + y * y)
    if radius > 0.0:
        share = _radial_inverse(radius, lens) / radius
        x, y = x * share, y * share
    if lens[KIND] == FISHEYE_LENS:
        return x, y
    for _ in range(_NEWTON_STEPS):
        at_x, at_y, j00, j01, j10, j11 = _distorted_general(x, y, lens)
        step_x, step_y, length, limit = _newton_step(x, y, target_x - at_x, target_y - at_y, j00, j01, j10, j11)
        x += step_x
        y += step_y
        if length <= 1e-15 * limit:
            break
    return x, y
