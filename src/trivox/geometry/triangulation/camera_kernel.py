"""Projection of one point into one camera, lens included, and back, as machine code."""

from __future__ import annotations

from trivox.geometry.cameras import SMALLEST_DEPTH_MM
from trivox.geometry.triangulation.compiled import inlined
from trivox.geometry.triangulation.lens_kernel import distorted, undistorted


@inlined
def pixel_and_depth(x, y, z, cameras, c, v):
    """Picture pixel of a world point, and its depth, kept off zero."""
    R, t, K = cameras.R[c, v], cameras.t_mm[c, v], cameras.K[c, v]
    depth = R[2, 0] * x + R[2, 1] * y + R[2, 2] * z + t[2]
    if abs(depth) < SMALLEST_DEPTH_MM:
        depth = SMALLEST_DEPTH_MM
    p = (R[0, 0] * x + R[0, 1] * y + R[0, 2] * z + t[0]) / depth
    q = (R[1, 0] * x + R[1, 1] * y + R[1, 2] * z + t[1]) / depth
    if cameras.has_lens:
        p, q, _, _, _, _ = distorted(p, q, cameras.lens[c, v])
    return K[0, 0] * p + K[0, 1] * q + K[0, 2], K[1, 0] * p + K[1, 1] * q + K[1, 2], depth


@inlined
def project(x, y, z, cameras, c, v, slope):
    """The same, and the 2x3 derivative of the pixel with respect to the point, per mm."""
    R, t, K = cameras.R[c, v], cameras.t_mm[c, v], cameras.K[c, v]
    depth = R[2, 0] * x + R[2, 1] * y + R[2, 2] * z + t[2]
    if abs(depth) < SMALLEST_DEPTH_MM:
        depth = SMALLEST_DEPTH_MM
    a = (R[0, 0] * x + R[0, 1] * y + R[0, 2] * z + t[0]) / depth
    b = (R[1, 0] * x + R[1, 1] * y + R[1, 2] * z + t[1]) / depth
    p, q, d00, d01, d10, d11 = a, b, 1.0, 0.0, 0.0, 1.0
    if cameras.has_lens:
        p, q, d00, d01, d10, d11 = distorted(a, b, cameras.lens[c, v])
    for i in range(2):
        e0 = (K[i, 0] * d00 + K[i, 1] * d10) / depth
        e1 = (K[i, 0] * d01 + K[i, 1] * d11) / depth
        for n in range(3):
            slope[i, n] = e0 * (R[0, n] - a * R[2, n]) + e1 * (R[1, n] - b * R[2, n])
    return K[0, 0] * p + K[0, 1] * q + K[0, 2], K[1, 0] * p + K[1, 1] * q + K[1, 2], depth


@inlined
def undistorted_pixel(x, y, cameras, c, v):
    """Where a picture's pixel would be without the lens."""
    K, inverse = cameras.K[c, v], cameras.K_inverse[c, v]
    x, y = x - K[0, 2], y - K[1, 2]
    x, y = inverse[0, 0] * x + inverse[0, 1] * y, inverse[1, 0] * x + inverse[1, 1] * y
    x, y = undistorted(x, y, cameras.lens[c, v])
    return K[0, 0] * x + K[0, 1] * y + K[0, 2], K[1, 0] * x + K[1, 1] * y + K[1, 2]
