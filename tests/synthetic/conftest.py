"""Scenes that several tests look at. What is not marked `no_anny` needs bodies (see bodies_cache.py)."""

from __future__ import annotations

import pytest

from trivox.synthetic import Renderer, Scene, SceneOptions, draw_scene


def pytest_collection_modifyitems(items) -> None:
    for item in items:
        if "tests/synthetic" in str(item.path) and item.get_closest_marker("no_anny") is None:
            item.fixturenames.insert(0, "bodies")


SMALL = SceneOptions(frames=2, fps=2.0, image_hw=(144, 192), cameras=(3, 3), occlusion="none")


@pytest.fixture(scope="session")
def scene(bodies: None) -> Scene:
    return draw_scene(11, SMALL)


@pytest.fixture(scope="session")
def pictures(scene: Scene):
    return list(Renderer(scene, threads=1).frames(range(2)))
