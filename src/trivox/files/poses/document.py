"""JSON that tells what it holds: units, axes, joints, bones, frames, people; null where a joint is missing.

Everything that `Poses` has is kept but the covariance: millimetres with four decimals, in the world of the calibration.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from trivox.base.atomic import atomic_write
from trivox.geometry.poses import Poses

FORMAT = "trivox poses"
VERSION = 1


def save_document(poses: Poses, path: Path) -> None:
    """Write a line for each fact of the head, and for each person and frame."""
    people = range(poses.points_mm.shape[1])
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        head = (
            f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)},\n"
            for key, value in described(poses).items()
        )
        file.writelines(["{\n", *head, '  "people": [\n'])
        for p in people:
            points, valid, confidence = poses.points_mm[:, p], poses.valid[:, p], poses.confidence[:, p]
            file.write(f'    {{"person": {p}, "points_mm": [\n')
            file.write(",\n".join(f"      {_json(_places(x, v))}" for x, v in zip(points, valid, strict=True)))
            file.write('\n    ], "confidence": [\n')
            file.write(",\n".join(f"      {_json([float(f'{w:.6g}') for w in row])}" for row in confidence.tolist()))
            file.write("\n    ]}" + ("," if p < people[-1] else "") + "\n")
        file.write("  ]\n}\n")


def described(poses: Poses) -> dict[str, Any]:
    """What the numbers of a file mean, as plain data."""
    skeleton = poses.skeleton
    return {
        "format": FORMAT,
        "version": VERSION,
        "units": "mm",
        "axes": "x, y, z of the calibration's world, right-handed",
        "up": None if poses.up is None else poses.up.tolist(),
        "fps": float(poses.fps),
        "time": "frame / fps, in seconds; frames count from 0 as in the videos",
        "skeleton": skeleton.name,
        "root": skeleton.root,
        "joints": list(skeleton.names),
        "bones": [list(bone) for bone in skeleton.bones],
        "layout": "people[p].points_mm[f][j] is [x, y, z] of joints[j] in frames[f], null where it is missing",
        "frames": poses.frames.tolist(),
    }


def _places(points: Tensor, valid: Tensor) -> list[list[float] | None]:
    pairs = zip(points.tolist(), valid.tolist(), strict=True)
    return [[round(x, 4) for x in point] if is_valid else None for point, is_valid in pairs]


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
