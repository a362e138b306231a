"""Exports opened in Blender and OpenSim themselves, compared with the joints of the result (docs/exports.md).

    python tools/open_exports.py blender|opensim RESULT

RESULT has poses.csv of one person and its exports poses.glb, poses.bvh, poses.trc. Needs `bpy` and numpy<2, or
`opensim`, each in an environment of its own, and no trivox.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    program, folder = sys.argv[1], Path(sys.argv[2])
    names, world_mm, fps = joints(folder / "poses.csv")
    {"blender": in_blender, "opensim": in_opensim}[program](folder, names, world_mm, fps)


def joints(path: Path) -> tuple[list[str], np.ndarray, float]:
    """Names, positions (F, J, 3) in mm with NaN where there is none, and frames per second."""
    rows = list(csv.DictReader(path.open(encoding="utf-8", newline="")))
    names = list(dict.fromkeys(row["joint"] for row in rows))
    flat = [[float(row[axis] or "nan") for axis in ("x_mm", "y_mm", "z_mm")] for row in rows]
    second = rows[len(names)]
    frames = int(second["frame"]) - int(rows[0]["frame"])
    return (
        names,
        np.array(flat).reshape(-1, len(names), 3),
        frames / (float(second["time_s"]) - float(rows[0]["time_s"])),
    )


def in_blender(folder: Path, names: list[str], world_mm: np.ndarray, fps: float) -> None:
    import bpy  # pyright: ignore[reportMissingImports]

    expected = world_mm[..., [1, 0, 2]] * [1, -1, 1]  # Z up to the file's Y up, and by Blender to its own Z up

    def scene() -> Any:
        bpy.ops.wm.read_factory_settings(use_empty=True)
        return bpy.context.scene

    def played(shown: Any, first: float, per_frame: float, place_m: Callable[[str], Any]) -> np.ndarray:
        found = np.zeros_like(world_mm)
        for f in range(len(found)):
            time = first + f * per_frame
            shown.frame_set(int(time), subframe=time - int(time))
            found[f] = [list(place_m(name)) for name in names]
        return 1000 * found

    shown = scene()
    bpy.ops.import_scene.gltf(filepath=str(folder / "poses.glb"))
    objects = bpy.data.objects
    glb = played(shown, 0, shown.render.fps / fps, lambda name: objects[name].matrix_world.translation)
    tell(f"Blender {bpy.app.version_string} .glb", glb, expected)
    shown = scene()
    bpy.ops.import_anim.bvh(filepath=str(folder / "poses.bvh"), global_scale=0.01)
    armature = next(each for each in bpy.data.objects if each.type == "ARMATURE")
    bvh = played(shown, 1, 1, lambda name: armature.matrix_world @ armature.pose.bones[name].head)
    tell(f"Blender {bpy.app.version_string} .bvh", bvh, expected)


def in_opensim(folder: Path, names: list[str], world_mm: np.ndarray, fps: float) -> None:
    import opensim  # pyright: ignore[reportMissingImports]

    table = opensim.TimeSeriesTableVec3(str(folder / "poses.trc"))
    order = [names.index(label) for label in table.getColumnLabels()]
    rows = (table.getRowAtIndex(i) for i in range(table.getNumRows()))
    found_m = np.array([[[row[j][axis] for axis in range(3)] for j in range(len(order))] for row in rows])
    tell(f"OpenSim {opensim.GetVersion()} .trc", 1000 * found_m, world_mm[:, order][..., [1, 2, 0]])


def tell(what: str, found_mm: np.ndarray, expected_mm: np.ndarray) -> None:
    assert (np.isnan(found_mm) == np.isnan(expected_mm)).all(), f"{what}: other joints are missing"
    print(f"{what}: largest difference {np.nanmax(np.abs(found_mm - expected_mm)):.4f} mm")


if __name__ == "__main__":
    main()
