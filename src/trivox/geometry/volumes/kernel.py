"""Unprojection as machine code: voxel by voxel, project, sample and join the views in one pass; and its gradient.

Channels lie innermost. Maps have a border of zero cells, so that a bilinear sample anywhere within one cell of the
map needs no question about its corners. The forward pass is cut into pieces of voxels; the backward pass into items
and blocks of channels, which touch no common number: no locks, and the same result with any number of threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from trivox.geometry.triangulation.compiled import compiled, inlined
from trivox.geometry.triangulation.lens_kernel import distorted

Array = np.ndarray[Any, Any]

SUM, CONF, MAX, SOFTMAX = range(4)
# So many voxels are projected together.
PIECE = 64

_ONE, _LOWEST = np.float32(1.0), np.float32(-3.0e38)
_LOG2_E, _ROUND = np.float32(1.44269504), np.float32(12582912.0)
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
# The series of Cephes' expf, from x^2 on.
_E2, _E3, _E4 = np.float32(5.0000001201e-1), np.float32(1.6666665459e-1), np.float32(4.1665795894e-2)
_E5, _E6, _E7 = np.float32(8.3334519073e-3), np.float32(1.3981999507e-3), np.float32(1.9875691500e-4)
_SMALLEST_EXPONENT = np.float32(-87.0)


class Scene(NamedTuple):
    """B items of V views; cells are counted from the corner of the border."""

    maps: Array  # (B, V, (h + 2) * (w + 2), C) float32
    points_mm: Array  # (B, N, 3)
    rows: Array  # (B, V, 3, 4) float64: homogeneous cells of points, or with a lens camera coordinates
    cells: Array  # (B, V, 2, 3) float64: with a lens, cells of normalised points
    lens: Array  # (B, V, 24) see distortion.lens_rows
    used: Array  # (B, V) bool
    weights: Array  # (B, V, C) float32
    height: int  # of the maps, without border
    width: int
    has_lens: bool


class Room(NamedTuple):
    """What a thread knows of its piece of voxels, and of the voxel at hand."""

    place: Array  # (V, PIECE) upper left cell of the sample, or -1
    corner: Array  # (V, PIECE, 4) float32: bilinear weights
    samples: Array  # (V, C) float32
    top: Array  # (C) float32
    total: Array  # (C) float32
    mean: Array  # (C) float32
    slope: Array  # (C) float32


def room_for(views: int, channels: int) -> Room:
    """One for each thread."""
    return Room(
        np.empty((views, PIECE), np.int64),
        np.empty((views, PIECE, 4), np.float32),
        np.empty((views, channels), np.float32),
        *np.empty((4, channels), np.float32),
    )


@inlined
def _locate(scene, b, v, first, count, place, corner):
    """Project `count` voxels from `first` on into a view."""
    M, A, lens, points = scene.rows[b, v], scene.cells[b, v], scene.lens[b, v], scene.points_mm[b]
    m00, m01, m02, m03 = M[0, 0], M[0, 1], M[0, 2], M[0, 3]
    m10, m11, m12, m13 = M[1, 0], M[1, 1], M[1, 2], M[1, 3]
    m20, m21, m22, m23 = M[2, 0], M[2, 1], M[2, 2], M[2, 3]
    right, bottom = scene.width + 1.0, scene.height + 1.0
    for i in range(count):
        px, py, pz = points[first + i, 0], points[first + i, 1], points[first + i, 2]
        depth = m20 * px + m21 * py + m22 * pz + m23
        x = (m00 * px + m01 * py + m02 * pz + m03) / depth
        y = (m10 * px + m11 * py + m12 * pz + m13) / depth
        if scene.has_lens:
            p, q, _, _, _, _ = distorted(x, y, lens)
            x, y = A[0, 0] * p + A[0, 1] * q + A[0, 2], A[1, 0] * p + A[1, 1] * q + A[1, 2]
        # Written so that NaN lies outside.
        inside = (depth > 0.0) & (x > 0.0) & (x < right) & (y > 0.0) & (y < bottom)
        x, y = (x, y) if inside else (0.0, 0.0)
        column, row = int(x), int(y)
        x, y = x - column, y - row
        place[i] = row * (scene.width + 2) + column if inside else -1
        corner[i, 0], corner[i, 1] = np.float32((1.0 - x) * (1.0 - y)), np.float32(x * (1.0 - y))
        corner[i, 2], corner[i, 3] = np.float32((1.0 - x) * y), np.float32(x * y)


@inlined
def _locate_all(scene, b, first, count, room):
    for v in range(scene.used.shape[1]):
        if scene.used[b, v]:
            _locate(scene, b, v, first, count, room.place[v], room.corner[v])


@inlined
def _sample(scene, b, v, i, start, width, room, target):
    """Samples of `width` channels from `start` on, of a view at voxel i of the piece; zero where it sees none."""
    cell = room.place[v, i]
    if cell < 0:
        for c in range(width):
            target[c] = 0
        return
    maps, below = scene.maps[b, v], cell + scene.width + 2
    # Each row a view of its own: so the compiler sees that they are contiguous and can do many channels at once.
    m00, m01, m10, m11 = maps[cell], maps[cell + 1], maps[below], maps[below + 1]
    w00, w01, w10, w11 = room.corner[v, i, 0], room.corner[v, i, 1], room.corner[v, i, 2], room.corner[v, i, 3]
    for c in range(width):
        k = start + c
        target[c] = (w00 * m00[k] + w01 * m01[k]) + (w10 * m10[k] + w11 * m11[k])


@inlined
def _sample_all(scene, b, i, start, width, room):
    for v in range(scene.used.shape[1]):
        if scene.used[b, v]:
            _sample(scene, b, v, i, start, width, room, room.samples[v])


@inlined
def _exp(x):
    """e^x for x <= 0, to float32's precision (Cephes), in operations that work on many numbers at once."""
    x = max(x, _SMALLEST_EXPONENT)
    power = (x * _LOG2_E + _ROUND) - _ROUND
    r = x - power * _LN2_HIGH - power * _LN2_LOW
    series = ((((_E7 * r + _E6) * r + _E5) * r + _E4) * r + _E3) * r + _E2
    bits = np.int32((np.int32(power) + np.int32(127)) << np.int32(23))
    return (series * r * r + r + _ONE) * bits.view(np.float32)


@inlined
def _softmax(scene, b, width, room):
    """Of the samples at hand: largest, sum of exponentials, and mean under the softmax over the views."""
    top, total, mean = room.top, room.total, room.mean
    for c in range(width):
        top[c], total[c], mean[c] = _LOWEST, 0, 0
    for v in range(scene.used.shape[1]):
        if scene.used[b, v]:
            values = room.samples[v]
            for c in range(width):
                top[c] = max(top[c], values[c])
    for v in range(scene.used.shape[1]):
        if scene.used[b, v]:
            values = room.samples[v]
            for c in range(width):
                share = _exp(values[c] - top[c])
                total[c] += share
                mean[c] += share * values[c]
    for c in range(width):
        mean[c] /= total[c]


@inlined
def _join(scene, b, kind, i, room, out):
    """One voxel of the volume."""
    width = len(out)
    start = _LOWEST if kind == MAX else np.float32(0)
    for c in range(width):
        out[c] = start
    for v in range(scene.used.shape[1]):
        if not scene.used[b, v]:
            continue
        values, weights = room.samples[v], scene.weights[b, v]
        _sample(scene, b, v, i, 0, width, room, values)
        if kind == SUM:
            for c in range(width):
                out[c] += values[c]
        elif kind == CONF:
            for c in range(width):
                out[c] += weights[c] * values[c]
        elif kind == MAX:
            for c in range(width):
                out[c] = max(out[c], values[c])
    if kind == SOFTMAX:
        _softmax(scene, b, width, room)
        for c in range(width):
            out[c] = room.mean[c]


@compiled
def unproject_pieces(scene, kind, start, end, room, volume):
    """Fill pieces `start` to `end` of the volume (B, N, C), counted over all items."""
    voxels = volume.shape[1]
    pieces = (voxels + PIECE - 1) // PIECE
    for n in range(start, end):
        b, first = n // pieces, n % pieces * PIECE
        count = min(PIECE, voxels - first)
        _locate_all(scene, b, first, count, room)
        for i in range(count):
            _join(scene, b, kind, i, room, volume[b, first + i])


@inlined
def _largest(scene, b, width, room):
    """Of the samples at hand: the largest; `total` is one until somebody takes it."""
    top, total = room.top, room.total
    for c in range(width):
        top[c], total[c] = _LOWEST, _ONE
    for v in range(scene.used.shape[1]):
        if scene.used[b, v]:
            values = room.samples[v]
            for c in range(width):
                top[c] = max(top[c], values[c])


@inlined
def _slope(kind, start, width, values, weights, grad, grad_weights, room):
    """Derivative of the loss with respect to the samples of a view, given that with respect to the voxel."""
    slope, top, total, mean = room.slope, room.top, room.total, room.mean
    for c in range(width):
        slope[c] = grad[start + c]
    if kind == CONF:
        for c in range(width):
            grad_weights[start + c] += slope[c] * values[c]
            slope[c] *= weights[start + c]
    elif kind == MAX:
        for c in range(width):
            share = total[c] if values[c] == top[c] else np.float32(0)
            total[c] -= share
            slope[c] *= share
    elif kind == SOFTMAX:
        for c in range(width):
            share = _exp(values[c] - top[c]) / total[c]
            slope[c] *= share * (_ONE + (values[c] - mean[c]))


@inlined
def _scatter(scene, v, i, start, width, room, grad_maps):
    """Add the slope of a sample to its four cells."""
    cell, slope = room.place[v, i], room.slope
    if cell < 0:
        return
    below = cell + scene.width + 2
    m00, m01, m10, m11 = grad_maps[cell], grad_maps[cell + 1], grad_maps[below], grad_maps[below + 1]
    w00, w01, w10, w11 = room.corner[v, i, 0], room.corner[v, i, 1], room.corner[v, i, 2], room.corner[v, i, 3]
    for c in range(width):
        k = start + c
        m00[k] += w00 * slope[c]
        m01[k] += w01 * slope[c]
        m10[k] += w10 * slope[c]
        m11[k] += w11 * slope[c]


@compiled
def gradient_blocks(scene, kind, block, begin, end, room, grad, grad_maps, grad_weights):
    """Add to the gradients of maps and weights, for blocks `begin` to `end` of `block` channels over all items.

    `grad` (B, N, C) is that of the volume; `grad_maps` has the form of the maps, `grad_weights` (B, V, C).
    """
    voxels, channels = grad.shape[1], grad.shape[2]
    blocks = (channels + block - 1) // block
    for n in range(begin, end):
        b, start = n // blocks, n % blocks * block
        width = min(block, channels - start)
        for first in range(0, voxels, PIECE):
            count = min(PIECE, voxels - first)
            _locate_all(scene, b, first, count, room)
            for i in range(count):
                if kind != SUM:
                    _sample_all(scene, b, i, start, width, room)
                if kind == SOFTMAX:
                    _softmax(scene, b, width, room)
                elif kind == MAX:
                    _largest(scene, b, width, room)
                for v in range(scene.used.shape[1]):
                    if scene.used[b, v]:
                        values, weights, into = room.samples[v], scene.weights[b, v], grad_weights[b, v]
                        _slope(kind, start, width, values, weights, grad[b, first + i], into, room)
                        _scatter(scene, v, i, start, width, room, grad_maps[b, v])
