"""Draw the people of a result folder over the pictures they were found in.

    python examples/draw_result.py RESULT_FOLDER FRAME OUT.png

The folder is one of `trivox predict` or `trivox demo`; the videos are those named in its job.json. All views go side
by side into one picture.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from trivox.errors import InputError
from trivox.files.images import write_image
from trivox.files.results import Result, load_result
from trivox.files.views import Views

HEIGHT = 480
COLOURS = ((0, 230, 255), (255, 60, 160), (120, 255, 90), (255, 210, 60))


def main(folder: Path, frame: int, out: Path) -> None:
    result = load_result(folder)
    videos = result.job.get("videos")
    if videos is None:
        raise InputError(f"{folder} was made from 2D keypoints, not from videos; give the result of trivox predict")
    if not 0 <= frame < len(result.poses.frames):
        raise InputError(f"{folder} has no frame {frame}; give one from 0 to {len(result.poses.frames) - 1}")
    paths = [Path(videos[name]["path"]) for name in result.rig.names]
    with Views.open(result.rig, paths, cameras=result.rig.names) as views:
        pictures = next(views.frames(start=frame)).pictures
    drawn = [draw_people(picture.copy(), result, view, frame) for view, picture in enumerate(pictures)]
    shrunk = [cv2.resize(p, (p.shape[1] * HEIGHT // p.shape[0], HEIGHT), interpolation=cv2.INTER_AREA) for p in drawn]
    write_image(out, np.concatenate(shrunk, axis=1))


def draw_people(picture: np.ndarray, result: Result, view: int, frame: int) -> np.ndarray:
    camera = result.rig.upright_cameras[view]
    thickness = max(2, picture.shape[0] // 250)
    for person, (points_mm, valid) in enumerate(
        zip(result.poses.points_mm[frame].double(), result.poses.valid[frame], strict=True)
    ):
        points_px = camera.project(points_mm).round().int().tolist()
        colour = COLOURS[person % len(COLOURS)]
        for parent, child in result.poses.skeleton.bone_indices:
            if valid[parent] and valid[child]:
                cv2.line(picture, points_px[parent], points_px[child], colour, thickness, cv2.LINE_AA)
    return picture


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
    except InputError as error:
        sys.exit(str(error))
