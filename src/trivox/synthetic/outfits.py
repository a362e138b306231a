"""Dressing a body: regions of the mesh become garments, pushed out and folded; skirts, long hair and bags are added.

Clothes have no influence on the truth, which comes from the undressed body.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trivox.synthetic import fabrics
from trivox.synthetic.bodies import Body
from trivox.synthetic.extras import Piece, box_on_bone, long_hair, skirt
from trivox.synthetic.landscape import Landscape, landscape
from trivox.synthetic.meshes import fine_mesh
from trivox.synthetic.skinning import vertex_normals

SKIN, HAIR, TOP, BOTTOM, SHOES, SLEEVES, EYE, IRIS, BAG, COVER = range(10)


@dataclass(frozen=True)
class DressedMesh:
    """What is drawn of a person: N vertices at rest (mm) with normals, M triangles and their materials.

    `cells (K, C, C, C, 3)` uint8 are the solid patterns of the materials, looked up at a vertex's own place at rest.
    """

    vertices: np.ndarray  # (N, 3) float64
    normals: np.ndarray  # (N, 3)
    faces: np.ndarray  # (M, 3) int32
    material: np.ndarray  # (M,) int32
    two_sided: np.ndarray  # (M,) bool
    bone_index: np.ndarray  # (N, K) int32
    bone_weight: np.ndarray  # (N, K) float32
    cells: np.ndarray


def dressed(body: Body, rng: np.random.Generator, female: float, surroundings: list[np.ndarray]) -> DressedMesh:
    """A body in clothes drawn from `rng`. `surroundings` are colours of the room: some clothes hide in it."""
    shape = landscape(body)
    material = np.full(len(shape.x), SKIN)
    offset = np.zeros(len(shape.x))
    pieces: list[Piece] = []
    _bottom(rng, shape, material, offset, pieces, female)
    _top(rng, shape, material, offset)
    _shoes(rng, shape, material, offset)
    _head(rng, shape, material, offset, pieces, female)
    _carried(rng, shape, pieces)
    cells = np.stack([fabrics.stored(cells) for cells in _materials(rng, surroundings)])
    return _assembled(body, shape, offset, material, pieces, cells)


def _materials(rng: np.random.Generator, surroundings: list[np.ndarray]) -> list[np.ndarray]:
    """Patterns in the order of the material numbers."""

    def garment() -> np.ndarray:
        if surroundings and rng.random() < 0.3:
            base = surroundings[int(rng.integers(len(surroundings)))]
            return fabrics.cloth(rng, np.clip(base * rng.uniform(0.7, 1.3), 0.01, 0.9))
        if rng.random() < 0.3:  # black, grey and white are worn most
            return fabrics.cloth(rng, np.full(3, rng.choice([0.012, 0.03, 0.12, 0.3, 0.75])))
        return fabrics.cloth(rng)

    top, bottom = garment(), garment()
    if rng.random() < 0.12:
        bottom = top
    sleeves = garment() if rng.random() < 0.15 else top
    iris = fabrics.flat(np.array([0.02, 0.015, 0.01]))
    eye = fabrics.flat(np.full(3, 0.6))
    return [fabrics.skin(rng), fabrics.hair(rng), top, bottom, garment(), sleeves, eye, iris, garment(), garment()]


def _folds(shape: Landscape, rng: np.random.Generator, looseness_mm: float) -> np.ndarray:
    """How far cloth stands off the skin (N,): looser cloth folds deeper."""
    frequency = 2 * np.pi / rng.uniform(90, 220)
    phase = rng.uniform(0, 2 * np.pi, 6)
    tilt = rng.normal(size=6) * 0.6
    wave = np.zeros(len(shape.x))
    for k in range(3):
        along = shape.z + tilt[k] * shape.x + tilt[k + 3] * shape.y
        wave += np.sin(frequency * (1 + 0.6 * k) * along + phase[k]) * np.sin(frequency * 0.7 * shape.x + phase[k + 3])
    return np.maximum(2.0, looseness_mm * (1 + 0.17 * wave))


def _bottom(
    rng: np.random.Generator,
    shape: Landscape,
    material: np.ndarray,
    offset: np.ndarray,
    pieces: list[Piece],
    female: float,
) -> None:
    waist = shape.hip_z + rng.uniform(70, 150)
    length = rng.choice([0.45, 0.8, 1.1, 1.6, 1.92, 1.97], p=[0.08, 0.12, 0.05, 0.1, 0.35, 0.3])
    loose = rng.choice([3.0, 9.0, 18.0, 30.0], p=[0.25, 0.35, 0.25, 0.15])
    covered = (shape.trunk & (shape.z < waist)) | (shape.leg >= 0) & (shape.leg < length)
    wide = _folds(shape, rng, loose) * (1 + rng.uniform(0, 0.6) * np.maximum(shape.leg - 0.3, 0))
    material[covered] = BOTTOM
    offset[covered] = np.minimum(wide, shape.room_between_legs_mm)[covered]
    if rng.random() < 0.08 + 0.27 * female:
        material[covered & (rng.random() < 0.5)] = SKIN
        pieces.append(skirt(shape, rng, waist, BOTTOM))


def _top(rng: np.random.Generator, shape: Landscape, material: np.ndarray, offset: np.ndarray) -> None:
    sleeve = rng.choice([0.12, 0.45, 0.75, 1.3, 1.93], p=[0.1, 0.33, 0.08, 0.09, 0.4])
    hem = shape.hip_z + rng.uniform(-160, 130)
    if rng.random() < 0.12:
        hem = shape.hip_z - rng.uniform(250, 500)
    collar = shape.neck_z + rng.uniform(-45, 45)
    loose = rng.choice([3.0, 8.0, 16.0, 28.0, 42.0], p=[0.18, 0.3, 0.27, 0.17, 0.08])
    body = (shape.trunk | shape.neck) & (shape.z > hem) & (shape.z < collar)
    thighs = (shape.leg >= 0) & (shape.z > hem)
    arms = (shape.arm >= 0) & (shape.arm < sleeve)
    cloth = _folds(shape, rng, loose)
    flare = 1 + rng.uniform(0, 0.8) * np.clip((shape.chest_z - shape.z) / 500, 0, 1)
    for part, kind, width in ((body | thighs, TOP, cloth * flare), (arms, SLEEVES, 0.7 * cloth)):
        material[part] = kind
        offset[part] = np.maximum(np.where(thighs, np.minimum(width, shape.room_between_legs_mm), width), offset + 2)[
            part
        ]


def _shoes(rng: np.random.Generator, shape: Landscape, material: np.ndarray, offset: np.ndarray) -> None:
    if rng.random() < 0.1:
        return  # barefoot
    shaft = rng.choice([1.94, 1.8, 1.45], p=[0.65, 0.25, 0.1])
    worn = shape.foot | (shape.leg > shaft)
    material[worn] = SHOES
    offset[worn] = np.maximum(offset[worn], rng.uniform(4, 9))


def _head(
    rng: np.random.Generator,
    shape: Landscape,
    material: np.ndarray,
    offset: np.ndarray,
    pieces: list[Piece],
    female: float,
) -> None:
    style = rng.choice(["bald", "short", "full", "long", "hood", "cap"], p=[0.05, 0.38, 0.24, 0.17, 0.08, 0.08])
    if style == "long" and rng.random() > female:
        style = "short"
    if female < 0.5 and rng.random() < 0.3:
        material[shape.beard] = HAIR
        offset[shape.beard] = rng.uniform(1, 12)
    material[shape.brows] = HAIR
    if style in ("short", "full", "long", "cap"):
        rough = 1 + 0.4 * np.sin(shape.x / 9 + rng.uniform(0, 6)) * np.sin(shape.z / 11 + shape.y / 13)
        material[shape.scalp] = HAIR
        offset[shape.scalp] = (rough * (rng.uniform(3, 12) if style == "short" else rng.uniform(12, 32)))[shape.scalp]
    if style == "long":
        pieces.append(long_hair(shape, rng, HAIR))
    if style == "cap":
        material[shape.crown], offset[shape.crown] = COVER, rng.uniform(8, 20)
    if style == "hood":
        material[shape.hood], offset[shape.hood] = COVER, np.maximum(offset, rng.uniform(10, 26))[shape.hood]
    if rng.random() < 0.05:
        material[shape.mask], offset[shape.mask] = COVER, 6.0
    material[shape.eye], material[shape.iris] = EYE, IRIS
    offset[shape.eye] = 0.0


def _carried(rng: np.random.Generator, shape: Landscape, pieces: list[Piece]) -> None:
    if rng.random() < 0.1:
        half = np.array([rng.uniform(120, 170), rng.uniform(50, 110), rng.uniform(160, 260)])
        back = shape.back_point_mm + [0, half[1] + 15, 0]
        pieces.append(box_on_bone(shape, "spine02", back, half, BAG))
    if rng.random() < 0.2:
        mark = rng.choice(["L", "R"])
        half = rng.uniform(20, 160, 3)
        below = shape.body.head_of(f"finger3-2.{mark}") - [0, 0, half[2]]
        pieces.append(box_on_bone(shape, f"wrist.{mark}", below, half, BAG))


def _assembled(
    body: Body,
    shape: Landscape,
    offset: np.ndarray,
    material: np.ndarray,
    pieces: list[Piece],
    cells: np.ndarray,
) -> DressedMesh:
    mesh = fine_mesh()
    rest = mesh.vertices_of(body)
    pushed = rest + shape.normals * offset[:, None]
    face_material = np.sort(material[mesh.faces], 1)[:, 1]  # the middle one: two corners decide
    vertices, faces, materials, sides = [pushed], [mesh.faces], [face_material], [np.zeros(len(mesh.faces), bool)]
    index, weight = [mesh.bone_index], [mesh.bone_weight]
    for piece in pieces:
        faces.append(piece.faces + sum(map(len, vertices)))
        vertices.append(piece.vertices)
        materials.append(np.full(len(piece.faces), piece.material))
        sides.append(np.ones(len(piece.faces), bool))
        spare = np.zeros((len(piece.vertices), mesh.bone_index.shape[1] - piece.bone_index.shape[1]))
        index.append(np.concatenate([piece.bone_index, spare], 1).astype(np.int32))
        weight.append(np.concatenate([piece.bone_weight, spare], 1).astype(np.float32))
    joined, joined_faces = np.concatenate(vertices), np.concatenate(faces).astype(np.int32)
    return DressedMesh(
        joined,
        vertex_normals(joined, joined_faces),
        joined_faces,
        np.concatenate(materials).astype(np.int32),
        np.concatenate(sides),
        np.concatenate(index),
        np.concatenate(weight),
        cells,
    )
