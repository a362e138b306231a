"""Pictures of a scene into files: one image for each camera and frame, or one video for each camera."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import cv2

from trivox.base.atomic import atomic_write
from trivox.errors import InputError
from trivox.files.films import Film
from trivox.synthetic.renderer import Renderer
from trivox.synthetic.scene import Scene

Advance = Callable[[int], None]
_JPEG_QUALITY = 93
_CRF = 18


def write_images(scene: Scene, threads: int, path_of: Callable[[str, int], Path], advance: Advance) -> None:
    """Write `path_of(camera, frame)` (.jpg) for every camera and frame."""
    for frame, pictures in enumerate(Renderer(scene, threads).frames(range(scene.options.frames))):
        for name, picture in zip(scene.names, pictures, strict=True):
            coded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
            with atomic_write(path_of(name, frame)) as temporary:
                temporary.write_bytes(coded.tobytes())
        advance(1)


def write_videos(scene: Scene, threads: int, path_of: Callable[[str], Path], advance: Advance, crf: int = _CRF) -> None:
    """Write `path_of(camera)` (.mp4, H.264) for every camera; all of them whole or none. More `crf`, smaller files."""
    check_even(scene.options.image_hw)
    with ExitStack() as stack:
        temporaries = [stack.enter_context(atomic_write(path_of(name))) for name in scene.names]
        hw, fps = scene.views[0].image_hw, scene.options.fps
        films = [stack.enter_context(Film(path, hw, fps, crf)) for path in temporaries]
        for pictures in Renderer(scene, threads).frames(range(scene.options.frames)):
            for film, picture in zip(films, pictures, strict=True):
                film.add(picture)
            advance(1)


def check_even(image_hw: tuple[int, int]) -> None:
    """H.264 halves the colours' resolution. Raises `InputError` for an odd side."""
    if any(side % 2 for side in image_hw):
        h, w = image_hw
        raise InputError(f"videos need pictures of even sides, not {h} x {w}; choose others, or --pictures images")
