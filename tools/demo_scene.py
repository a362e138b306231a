"""The bundled scene of `trivox demo`: somebody walks through a room, four cameras, exact truth.

python tools/demo_scene.py src/trivox/demo_scene

A scene of the test world, which training never sees. The same package versions write the same bytes.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

from trivox.files.calibrations import save_rig
from trivox.files.poses import save_poses
from trivox.geometry.skeletons import COCO_17
from trivox.progress import progress
from trivox.synthetic import Scene, SceneOptions, draw_scene
from trivox.synthetic.outlets import write_videos

SEED = 143
OPTIONS = SceneOptions(rigs=("ring", "corner", "tripod"), frames=72, fps=24.0, image_hw=(640, 640))
# Camera noise is dear: so all four videos are 2 MB.
CRF = 22


def demo_scene() -> Scene:
    scene = draw_scene(SEED, OPTIONS, world="test")
    return replace(scene, names=tuple(f"cam{v + 1}" for v in range(len(scene.views))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    scene = demo_scene()
    save_rig(scene.rig, out / "calibration.json", format="list")
    save_poses(scene.truth(COCO_17), out / "truth.npz")
    with progress("rendering", total=OPTIONS.frames) as advance:
        write_videos(scene, os.cpu_count() or 1, lambda name: out / "videos" / f"{name}.mp4", advance, CRF)


if __name__ == "__main__":
    main()
