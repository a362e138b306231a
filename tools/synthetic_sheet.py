"""The contact sheet of docs/synthetic.md: 24 pictures of as many scenes.

python tools/synthetic_sheet.py docs/images/synthetic.jpg [--motion DIR] [--first SEED]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from trivox.synthetic import Renderer, SceneOptions, draw_scene

ROWS, COLUMNS, TILE_HW = 6, 4, (240, 320)
QUALITY = 84


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--motion", type=Path)
    parser.add_argument("--first", type=int, default=200)
    arguments = parser.parse_args()
    options = SceneOptions(frames=2, fps=1.0, cameras=(2, 4), motion=arguments.motion)
    tiles = []
    for seed in range(arguments.first, arguments.first + ROWS * COLUMNS):
        picture = Renderer(draw_scene(seed, options)).pictures(1)[seed % 2]
        tiles.append(cv2.resize(picture, TILE_HW[::-1], interpolation=cv2.INTER_AREA))
    sheet = np.vstack([np.hstack(tiles[row * COLUMNS : (row + 1) * COLUMNS]) for row in range(ROWS)])
    cv2.imwrite(str(arguments.out), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


if __name__ == "__main__":
    main()
