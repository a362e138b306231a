"""Pieces that are added to a body: skirts, long hair, bags. Each hangs on the bones that would carry it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trivox.synthetic.landscape import Landscape


@dataclass(frozen=True)
class Piece:
    """Vertices at rest (N, 3) mm, triangles (both sides are drawn), and the bones that carry them."""

    vertices: np.ndarray
    faces: np.ndarray
    bone_index: np.ndarray  # (N, k)
    bone_weight: np.ndarray
    material: int


def skirt(shape: Landscape, rng: np.random.Generator, waist_mm: float, material: int) -> Piece:
    """A cone from the waist down, carried by the pelvis above and by the nearer thigh below."""
    rows, columns = 12, 32
    near = shape.trunk & (np.abs(shape.z - shape.hip_z) < 60)
    half = np.array([np.abs(shape.x[near]).max(), np.ptp(shape.y[near]) / 2]) + 14
    middle = (shape.y[near].max() + shape.y[near].min()) / 2
    hem = shape.hip_z - rng.uniform(0.3, 0.95) * shape.hip_z * 0.9
    down = np.linspace(0, 1, rows)[:, None]
    angle = np.linspace(0, 2 * np.pi, columns, endpoint=False)[None]
    z = waist_mm + down * (hem - waist_mm)
    below_hip = np.clip((shape.hip_z + 30 - z) / 200, 0, None)
    pleats = 1 + 0.06 * np.sin(angle * rng.integers(5, 14)) * down
    wide = (np.where(z > shape.hip_z, 0.88, 1.0) + rng.uniform(0.02, 0.22) * below_hip) * pleats
    x, y = half[0] * wide * np.cos(angle), middle + half[1] * wide * np.sin(angle)
    left = 0.5 + 0.5 * np.clip(1.6 * np.cos(angle), -1, 1)
    thighs = np.clip(below_hip, 0, 0.85) + 0 * angle
    weights = np.stack([1 - thighs, thighs * left, thighs * (1 - left)], -1)
    bones = _bones(shape, "root", "upperleg01.L", "upperleg01.R")
    points = np.stack([x, y, z + 0 * angle], -1)
    return _sheet(points, weights, bones, material, closed=True)


def long_hair(shape: Landscape, rng: np.random.Generator, material: int) -> Piece:
    """A curtain around the back of the head, carried by the head above and by the chest below."""
    rows, columns = 10, 15
    head_x, top = np.abs(shape.x[shape.skull]).max(), shape.z[shape.skull].max()
    ear = (shape.body.template.landmarks["left_ear"] @ shape.body.vertices_mm)[1]
    back = shape.y[shape.skull].max() - ear
    down = np.linspace(0.12, 1, rows)[:, None]
    angle = np.linspace(-0.1, np.pi + 0.1, columns)[None]
    z = top - down * rng.uniform(230, 520)
    wide = 1.02 + 0.12 * np.sin(np.pi * np.minimum(2.2 * down, 1)) - 0.2 * down
    x = (head_x + 12) * wide * np.cos(angle)
    y = ear + 8 + (back + 14) * np.maximum(wide, 0.85) * np.sin(angle)
    chest = np.clip(1.4 * down - 0.5, 0, 0.8) + 0 * angle
    weights = np.stack([1 - chest, chest], -1)
    points = np.stack([x, y, z + 0 * angle], -1)
    return _sheet(points, weights, _bones(shape, "head", "spine01"), material, closed=False)


def box_on_bone(shape: Landscape, bone: str, centre_mm: np.ndarray, half_mm: np.ndarray, material: int) -> Piece:
    """A box that moves with one bone."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float64)
    quads = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
    points = np.concatenate([corners[list(quad)] for quad in quads]) * half_mm + centre_mm
    faces = np.concatenate([[[4 * q, 4 * q + 1, 4 * q + 2], [4 * q, 4 * q + 2, 4 * q + 3]] for q in range(6)])
    index = np.full((24, 1), shape.body.template.bones.index(bone))
    return Piece(points, faces, index, np.ones((24, 1)), material)


def _bones(shape: Landscape, *names: str) -> np.ndarray:
    return np.array([shape.body.template.bones.index(name) for name in names])


def _sheet(points: np.ndarray, weights: np.ndarray, bones: np.ndarray, material: int, closed: bool) -> Piece:
    """A grid of points (rows, columns, 3) as triangles; closed: the last column meets the first."""
    rows, columns = points.shape[:2]
    number = np.arange(rows * columns).reshape(rows, columns)
    right = np.roll(number, -1, 1)
    quads = np.stack([number[:-1], number[1:], right[1:], right[:-1]], -1)
    quads = (quads if closed else quads[:, :-1]).reshape(-1, 4)
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    count = rows * columns
    # The kernel stops at the first bone without weight, so the heaviest comes first.
    order = np.argsort(-weights.reshape(count, -1), axis=1, kind="stable")
    index = np.broadcast_to(bones, (count, len(bones)))
    return Piece(
        points.reshape(count, 3),
        faces,
        np.take_along_axis(index, order, 1),
        np.take_along_axis(weights.reshape(count, -1), order, 1),
        material,
    )
