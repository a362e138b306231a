"""Scenes that several tests look at. Rendering needs the package anny (trivox[synth])."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from trivox.synthetic import Renderer, Scene, SceneOptions, draw_scene


def pytest_collection_modifyitems(items) -> None:
    if find_spec("anny") is None:
        for item in items:
            if "tests/synthetic" in str(item.path) and item.get_closest_marker("no_anny") is None:
                item.add_marker(pytest.mark.skip(reason="needs anny: pip install 'trivox[synth]'"))


SMALL = SceneOptions(frames=2, fps=2.0, image_hw=(144, 192), cameras=(3, 3), occlusion="none")


@pytest.fixture(scope="session")
def scene() -> Scene:
    return draw_scene(11, SMALL)


@pytest.fixture(scope="session")
def pictures(scene: Scene):
    return list(Renderer(scene, threads=1).frames(range(2)))
