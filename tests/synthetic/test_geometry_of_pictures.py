"""What is seen lies where the truth says: floor corners, silhouettes, shadows' maps, the lens."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from lenses import LENSES

from trivox.synthetic import Renderer, SceneOptions, draw_scene, raster, solids
from trivox.synthetic.joints import NAMES

CHECKER = SceneOptions(
    frames=1,
    image_hw=(480, 640),
    cameras=(4, 4),
    rigs=("ring",),
    occlusion="none",
    effects=False,
    checker_floor_mm=400.0,
)


def corners_of(scene, v: int) -> np.ndarray:
    """Floor corners in the room's own grid, projected by the library's cameras (N, 2)."""
    half = scene.room.half_mm
    grid = np.stack(np.meshgrid(*[np.arange(-h, h, 400.0)[1:-1] for h in half[:2]]), -1).reshape(-1, 2)
    points = torch.from_numpy(np.concatenate([grid, np.zeros((len(grid), 1))], 1))
    cameras = scene.rig.cameras[v]
    in_front = cameras.depth_mm(points) > 800
    return cameras.project(points)[in_front].numpy()


def test_checker_corners_are_found_where_they_project():
    distances = []
    scene = draw_scene(5, CHECKER)
    for v, picture in enumerate(Renderer(scene).pictures(0)):
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        expected = corners_of(scene, v)
        inside = ((expected > 14) & (expected < [626, 466])).all(1)
        # Keep corners that look like some: people and furniture hide others.
        windows = [grey[int(y) - 6 : int(y) + 7, int(x) - 6 : int(x) + 7] for x, y in expected[inside]]
        clear = [int(np.ptp(window)) > 60 and symmetric(window) for window in windows]
        start = np.ascontiguousarray(expected[inside][clear] - 0.5, np.float32)[:, None]
        if len(start):
            stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_COUNT, 40, 1e-3)
            found = cv2.cornerSubPix(grey, start.copy(), (4, 4), (-1, -1), stop)[:, 0] + 0.5
            distances.append(found - expected[inside][clear])
    offsets = np.concatenate(distances)
    assert len(offsets) > 40
    assert np.median(np.linalg.norm(offsets, axis=1)) < 0.2
    assert np.abs(np.median(offsets, axis=0)).max() < 0.05


def symmetric(window: np.ndarray) -> bool:
    """A corner of a checker looks the same turned by half a turn."""
    turned = window[::-1, ::-1]
    return float(np.corrcoef(window.ravel(), turned.ravel())[0, 1]) > 0.8


def test_joints_lie_inside_of_the_naked_silhouette(scene):
    """Seen by the same kernel, without furniture: every joint's pixel shows the person (ears and eyes aside)."""
    renderer = Renderer(scene, threads=1)
    posed = renderer._posed([person.posed(np.array([0.0])) for person in scene.people], 0)
    inner = [j for j, name in enumerate(NAMES) if name not in ("head_top", "nose") and name[-3:-2] != "e"]
    hits, count = 0, 0
    for v, view in enumerate(scene.views):
        h, w = view.image_hw
        screen = np.empty((len(posed.vertices), 3), np.float32)
        raster.project(posed.vertices, view.R, view.t_mm, view.K, view.lens, screen)
        ids, depth = np.full((h, w), -1, np.int32), np.zeros((h, w), np.float32)
        two_sided = np.ones(len(renderer._faces), bool)
        raster.rasterise(screen, renderer._faces, two_sided, np.full(2, 0.5, np.float32), 0, depth, ids)
        points = scene.rig.cameras[v].project(torch.from_numpy(scene.joints_mm[0, 0, inner])).numpy()
        for x, y in points.astype(int):
            if 0 <= x < w and 0 <= y < h:
                hits, count = hits + int(ids[y, x] >= 0), count + 1
    assert count > 30 and hits / count > 0.95


def test_vertices_project_like_the_cameras_of_the_library(scene):
    points = np.random.default_rng(0).normal(size=(200, 3)) * 600 + [0, 0, 900]
    for v, view in enumerate(scene.views):
        out = np.empty((200, 3))
        raster.project(points, view.R, view.t_mm, view.K, view.lens, out)
        expected = scene.rig.cameras[v].project(torch.from_numpy(points)).numpy()
        assert np.abs(out[:, :2] - expected).max() < 1e-9
        np.testing.assert_allclose(1 / out[:, 2], scene.rig.cameras[v].depth_mm(torch.from_numpy(points)).numpy())


@pytest.mark.parametrize("model", ["own", "opencv", "fisheye"])
def test_rays_undo_the_lens(scene, model):
    view = replace(scene.views[0], image_hw=(24, 32))
    if model != "own":
        lens = LENSES[14 if model == "opencv" else "fisheye"]
        view = replace(view, distortion=np.array(lens), distortion_model=model)
    K = view.K * [[0.16], [0.16], [1.0]]
    rays = np.empty((4, 24, 32, 2))
    solids.undistorted_rays(24, 32, K, view.lens, raster.SAMPLES.astype(np.float64), rays)
    points = np.concatenate([rays.reshape(-1, 2), np.ones((rays[..., 0].size, 1))], 1) * 1000.0
    out = np.empty((len(points), 3))
    raster.project(points, np.eye(3), np.zeros(3), K, view.lens, out)
    y, x = np.mgrid[:24, :32]
    expected = np.stack([x, y], -1)[None] + raster.SAMPLES[:, None, None]
    assert np.abs(out[:, :2] - expected.reshape(-1, 2)).max() < 1e-4


def test_rays_meet_solids_as_a_plain_search_says():
    """Each solid by bisection along the ray, against the closed forms of the kernel."""
    rng = np.random.default_rng(3)
    kinds = ((solids.BOX, 0.4), (solids.CYLINDER, 0.0), (solids.ELLIPSOID, 1.1))
    rows = [[kind, *rng.normal(size=3) * 150, *rng.uniform(80, 300, 3), np.cos(t), np.sin(t)] for kind, t in kinds]
    geometry = np.array(rows)
    geometry[1, 5] = geometry[1, 4]
    centre, R = np.array([0.0, 0.0, -1200.0]), np.eye(3)
    place = (np.arange(24) - 11.5) / 30
    rays = np.stack(np.broadcast_arrays(place[None, :], place[:, None]), -1)[None].astype(np.float32)
    for row in geometry:
        depth, hit = np.zeros((1, 24, 24), np.float32), np.full((1, 24, 24), -1, np.int32)
        solids.cast(rays, R, centre, row[None], np.array([[0, 0, 24, 24]]), depth, hit)
        expected = first_inside(row, rays[0], centre)
        both = (expected > 0) & (hit[0] >= 0)
        # Rays that graze an edge may be missed by the search's steps.
        assert both.sum() > 20 and ((expected > 0) != (hit[0] >= 0)).mean() < 0.03
        assert np.abs(1 / depth[0][both] - expected[both]).max() < 3.0


def first_inside(row: np.ndarray, rays: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Depth at which steps of 2 mm first land inside, 0 where none does."""
    depths = np.arange(300.0, 2200.0, 2.0)
    points = np.concatenate([rays, np.ones((*rays.shape[:2], 1))], -1)[:, :, None] * depths[:, None] + centre - row[1:4]
    c, s = row[7], row[8]
    x, y, z = c * points[..., 0] + s * points[..., 1], -s * points[..., 0] + c * points[..., 1], points[..., 2]
    x, y, z = x / row[4], y / row[5], z / row[6]
    inside = {
        solids.BOX: np.maximum(np.maximum(abs(x), abs(y)), abs(z)) < 1,
        solids.CYLINDER: (x * x + y * y < 1) & (abs(z) < 1),
        solids.ELLIPSOID: x * x + y * y + z * z < 1,
    }[int(row[0])]
    return np.where(inside.any(-1), depths[inside.argmax(-1)], 0.0)


def test_the_nearer_triangle_wins():
    points = np.array([[0, 0, 0.001], [40, 0, 0.001], [0, 40, 0.001], [0, 0, 0.002], [40, 0, 0.002], [0, 40, 0.002]])
    for order in ([0, 1], [1, 0]):
        faces = np.array([[0, 2, 1], [3, 5, 4]], np.int32)[order]
        ids, depth = np.full((40, 40), -1, np.int32), np.zeros((40, 40), np.float32)
        offset = np.full(2, 0.5, np.float32)
        raster.rasterise(points.astype(np.float32), faces, np.ones(2, bool), offset, 0, depth, ids)
        assert set(np.unique(ids)) == {-1, order.index(1)}
        assert abs((ids >= 0).sum() - 800) < 25
