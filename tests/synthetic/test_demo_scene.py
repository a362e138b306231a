"""The scene that comes with the package is the one that tools/demo_scene.py draws."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np

import trivox
from trivox.files.videos import Video
from trivox.geometry.skeletons import COCO_17
from trivox.synthetic import Renderer

TOOL = Path(__file__).parents[2] / "tools" / "demo_scene.py"
FILES = Path(trivox.__file__).parent / "demo_scene"


def test_the_bundled_scene_is_made_by_its_tool():
    scene = runpy.run_path(str(TOOL))["demo_scene"]()
    assert scene.world == "test"
    truth, rig = trivox.load_poses(FILES / "truth.npz"), trivox.load_rig(FILES / "calibration.json", up="z")
    assert (truth.points_mm - scene.truth(COCO_17).points_mm).abs().max() < 1e-6
    points_mm = truth.points_mm[:, 0].reshape(1, -1, 3).expand(4, -1, 3)
    assert (rig.cameras.project(points_mm) - scene.rig.cameras.project(points_mm)).abs().max() < 1e-6
    for name, picture in zip(rig.names, Renderer(scene).pictures(0), strict=True):
        coded = next(iter(Video(FILES / "videos" / f"{name}.mp4").frames()))
        assert np.abs(coded.astype(int) - picture).mean() < 6
