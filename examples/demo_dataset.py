"""A small dataset of scenes out of the recording that comes with trivox: the layout of docs/own-data.md.

    python examples/demo_dataset.py DIR

`DIR/walk` has videos; `DIR/stills` has every sixth picture of the same recording as numbered images, without camera 4.
Both have their truth and are for testing.
"""

from __future__ import annotations

import shutil
import sys
from importlib.resources import as_file, files
from pathlib import Path

from trivox.errors import InputError
from trivox.files.images import write_image
from trivox.files.videos import Video

EVERY = 6
STILLS = ("cam1", "cam2", "cam3")


def main(root: Path) -> None:
    if root.exists():
        raise InputError(f"{root} exists; name a folder that does not")
    with as_file(files("trivox") / "demo_scene") as recording:
        for name in ("walk", "stills"):
            (root / name).mkdir(parents=True)
            for file in ("calibration.json", "truth.npz"):
                shutil.copy(recording / file, root / name / file)
        shutil.copytree(recording / "videos", root / "walk" / "videos")
        for camera in STILLS:
            folder = root / "stills" / "images" / camera
            folder.mkdir(parents=True)
            for i, picture in enumerate(Video(recording / "videos" / f"{camera}.mp4").frames(step=EVERY)):
                write_image(folder / f"{EVERY * i:06}.jpg", picture)
    (root / "splits.yaml").write_text("test: [walk, stills]\n")
    (root / "dataset.yaml").write_text("up: z\n")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except InputError as error:
        sys.exit(str(error))
