"""Varied pictures and their cameras: projecting after it equals varying what was projected."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rigs import ring, standing_people
from tables import small_labels

from trivox.data.dataset import DatasetOptions, PoseDataset, _View
from trivox.data.samples import Sample
from trivox.geometry.cameras import Cameras
from trivox.training.augmentation import (
    rolled,
    turned_in_plane,
    turns_about,
    varied_boxes,
    varied_cubes,
    varied_pictures,
)
from trivox.training.config import Augmentation

DOT_HW = (96, 128)


def dotted(points_px: torch.Tensor, cameras: Cameras) -> Sample:
    """A sample of black pictures with one soft white dot each, at `points_px` (V, 2)."""
    h, w = DOT_HW
    y, x = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
    away = (x - points_px[:, 0, None, None]) ** 2 + (y - points_px[:, 1, None, None]) ** 2
    images = torch.exp(-away / 8).float()[:, None].expand(-1, 3, -1, -1)
    views = len(points_px)
    return Sample(
        images=images,
        present=torch.ones(views, dtype=torch.bool),
        cameras=cameras,
        boxes_px=torch.zeros(views, 4, dtype=torch.int64),
        points_mm=torch.zeros(1, 3),
        valid=torch.ones(1, dtype=torch.bool),
        centre_mm=torch.zeros(3),
        has_centre=torch.tensor(True),
        row=torch.tensor(0),
        key="a",
    )


def found_dots(images: torch.Tensor) -> torch.Tensor:
    """Centre of mass of the light (V, 2), pixels from the corner."""
    light = images[:, 0].double()
    h, w = light.shape[-2:]
    total = light.sum((-2, -1))
    x = (light.sum(-2) * (torch.arange(w) + 0.5)).sum(-1) / total
    return torch.stack([x, (light.sum(-1) * (torch.arange(h) + 0.5)).sum(-1) / total], -1)


@given(st.lists(st.floats(-0.6, 0.6), min_size=3, max_size=3))
def test_dots_are_where_turned_cameras_see_them(rolls: list[float]) -> None:
    cameras = ring(3, distortion=(-0.2, 0.05, 1e-3, -1e-3, 0.0)).resized(DOT_HW)
    place_mm = torch.tensor([[60.0, -40.0, 1100.0]]).double()
    sample = dotted(cameras.project(place_mm)[:, 0], cameras)
    turned = rolled(sample, torch.tensor(rolls))
    seen, projected = found_dots(turned.images), turned.cameras.project(place_mm)[:, 0]
    # Interpolation shifts the middle of a dot of 2 pixels by less than this.
    torch.testing.assert_close(seen, projected, atol=0.02, rtol=0)


@given(st.floats(-3.0, 3.0), st.tuples(st.floats(0, 1280), st.floats(0, 720)))
def test_turning_commutes_with_projecting(roll: float, middle: tuple[float, float]) -> None:
    cameras, points_mm = ring(4, distortion=(-0.1, 0.02, 1e-3, -5e-4, 0.0)), standing_people([(0.0, 0.0)])[0]
    turns = turns_about(middle, torch.full((4,), roll))
    homogeneous = torch.nn.functional.pad(cameras.project(points_mm), (0, 1), value=1.0)
    expected = (homogeneous @ turns.mT)[..., :2]
    torch.testing.assert_close(turned_in_plane(cameras, turns).project(points_mm), expected)


class Boxed(PoseDataset):
    """A dataset with other boxes."""

    def boxes_of(self, row: int) -> np.ndarray:
        return varied_boxes(super().boxes_of(row), Augmentation(scale_box=0.4, shift_box=0.3), (0, 0, row))


def test_varied_boxes_have_cameras_that_follow() -> None:
    """The same place of the recorded picture, through the crop of each box."""
    labels = small_labels(Path("nowhere"))
    options = DatasetOptions(image_hw=(64, 48), unreadable="missing")
    plain, varied = PoseDataset(labels, options), Boxed(labels, options)
    for row in (0, 5):
        taken = varied.boxes_of(row)
        assert not np.array_equal(taken, plain.boxes_of(row))
        recorded = labels.row_cameras(row)
        views = [taken_view(box) for box in taken]
        cameras = varied._cameras(row, [0, 1, 2], views)
        points_mm = torch.from_numpy(labels.points_mm[row]).double()
        box = torch.from_numpy(taken).double()[:, None]
        scale = torch.tensor([48.0, 64.0]).double() / (box[..., 2:] - box[..., :2])
        expected = (recorded.project(points_mm) - box[..., :2]) * scale
        torch.testing.assert_close(cameras.project(points_mm), expected)


def taken_view(box: np.ndarray) -> _View:
    left, top, right, bottom = (int(v) for v in box)
    return _View((64, 48), (left, top, right, bottom), np.zeros((3, 64, 48), np.float32))


def test_boxes_keep_their_shape_and_limits() -> None:
    boxes = np.array([[100, 50, 300, 250]] * 500)
    varied = varied_boxes(boxes, Augmentation(scale_box=0.25, shift_box=0.1), (1, 2, 3))
    side = varied[:, 2:] - varied[:, :2]
    middle = (varied[:, 2:] + varied[:, :2]) / 2 - np.array([200, 150])
    assert (side[:, 0] == side[:, 1]).all()
    assert 160 <= side.min() < 170 and 240 < side.max() <= 250
    assert 18 < np.abs(middle).max() <= 21


def test_colours_vary_and_geometry_does_not() -> None:
    cameras = ring(2).resized(DOT_HW)
    sample = dotted(torch.tensor([[40.0, 50.0], [60.0, 30.0]]), cameras)
    varied = varied_pictures(sample, Augmentation(brightness=0.5, contrast=0.3, colour=0.2), (0, 1, 2))
    assert varied.cameras is sample.cameras
    assert not torch.allclose(varied.images, sample.images) and 0 <= varied.images.min() <= varied.images.max() <= 1
    again = varied_pictures(sample, Augmentation(brightness=0.5, contrast=0.3, colour=0.2), (0, 1, 2))
    assert torch.equal(varied.images, again.images)


def test_cubes_are_turned_evenly_and_shifted_normally() -> None:
    rows = torch.arange(4000)
    centres, angles = varied_cubes(torch.zeros(4000, 3), rows, Augmentation(shift_cubes_mm=30.0), (0, 0))
    assert float(centres.std()) == pytest.approx(30, rel=0.05) and float(centres.mean().abs()) < 1.5
    assert float(angles.cos().mean().abs()) < 0.05 and float(angles.sin().mean().abs()) < 0.05
    still, none = varied_cubes(torch.ones(4, 3), rows[:4], replace(Augmentation(), turn_cubes=False), (0, 0))
    assert torch.equal(still, torch.ones(4, 3)) and not none.any()
    part, _ = varied_cubes(torch.zeros(2, 3), rows[10:12], Augmentation(shift_cubes_mm=30.0), (0, 0))
    assert torch.equal(part, centres[10:12]), "what is drawn depends on the row alone"
