"""Samples: what a camera of a sample says is where its picture has it, whatever was done to the picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from clips import number_in, write_clip
from tables import CAMERAS, small_labels
from torch.utils.data import DataLoader

from trivox.data.batches import ViewBatches
from trivox.data.dataset import DatasetOptions, Pick, PoseDataset
from trivox.data.labels import Labels
from trivox.data.pictures import Pictures
from trivox.data.samples import Sample, collate
from trivox.data.undistortion import undistorted_picture
from trivox.errors import InputError
from trivox.files.images import write_image
from trivox.geometry.skeletons import COCO_17

NOSE = COCO_17.names.index("nose")


def blob(points_px: torch.Tensor, image_hw: tuple[int, int]) -> np.ndarray:
    """Dark, with a soft light at one point: (h, w, 3)."""
    x, y = points_px.tolist()
    rows, columns = np.ogrid[: image_hw[0], : image_hw[1]]
    light = 230 * np.exp(-((columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2) / (2 * 3.0**2))
    return np.repeat(light[..., None], 3, 2).round().astype(np.uint8)


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Labels:
    """Pictures in which the nose of the first person of each frame shines, through the lens of each camera."""
    root = tmp_path_factory.mktemp("pictures")
    labels = small_labels(root, frames=2)
    labels = labels.selected(labels.people != 7)
    for row in range(len(labels)):
        pixels = labels.row_cameras(row).project(torch.from_numpy(labels.points_mm[row]).double())
        for camera, name in enumerate(CAMERAS):
            path = labels.pictures.path(labels.recordings[labels.recording[row]], name, int(labels.frames[row]))
            write_image(path, blob(pixels[camera, NOSE], (720, 1280)))
    return labels


def light(image: torch.Tensor) -> torch.Tensor:
    """Where the light is, (x, y) from the corner."""
    grey = image.mean(0).double()
    grey = torch.where(grey > 0.1 * grey.max(), grey, 0)
    rows = torch.arange(grey.shape[0]).double() + 0.5
    columns = torch.arange(grey.shape[1]).double() + 0.5
    return torch.stack([(grey.sum(0) * columns).sum(), (grey.sum(1) * rows).sum()]) / grey.sum()


def assert_cameras_fit(sample: Sample, tolerance_px: float = 0.35) -> None:
    projected = sample.cameras.project(sample.points_mm[None, NOSE : NOSE + 1])[:, 0]
    assert sample.present.any()
    for view in torch.nonzero(sample.present)[:, 0].tolist():
        away = (light(sample.images[view]) - projected[view]).norm()
        assert away < tolerance_px, f"view {view}: {away} px away"


@pytest.mark.parametrize(
    "options",
    [
        DatasetOptions(image_hw=(256, 256)),
        DatasetOptions(image_hw=(64, 96)),
        DatasetOptions(image_hw=(512, 512), scale_bbox=0.95),
        DatasetOptions(image_hw=(128, 200), square_bbox=False, scale_bbox=1.3),
        DatasetOptions(image_hw=(200, 300), crop=False),
        DatasetOptions(image_hw=None),
        DatasetOptions(image_hw=(256, 256), pixels="opencv"),
        DatasetOptions(image_hw=(256, 256), undistort_images=True),
        DatasetOptions(image_hw=(96, 64), undistort_images=True, scale_bbox=1.5, pixels="opencv"),
        DatasetOptions(image_hw=None, undistort_images=True),
    ],
    ids=lambda options: ", ".join(f"{k}={v}" for k, v in vars(options).items() if v != getattr(DatasetOptions(), k)),
)
def test_the_camera_of_a_sample_projects_into_its_picture(labels: Labels, options: DatasetOptions) -> None:
    dataset = PoseDataset(labels, options)
    for row in (0, len(dataset) - 1):
        sample = dataset[row]
        assert sample.cameras.has_distortion != options.undistort_images
        assert_cameras_fit(sample)


def test_undistorted_beforehand_or_while_loading_is_the_same(labels: Labels, tmp_path: Path) -> None:
    """And the same as projecting with the lens: one answer, whichever dataset."""
    root = labels.pictures.root
    for path in root.rglob("*.jpg"):
        recording, name = path.parts[-3:-1]
        number = [r.name for r in labels.recordings].index(recording)
        lens = labels.cameras[number, CAMERAS.index(name)]
        picture = cv2.imread(str(path))
        assert picture is not None
        out = tmp_path / "undone" / Path(*path.parts[-3:]).with_suffix(".png")
        write_image(out, np.ascontiguousarray(undistorted_picture(picture[..., ::-1], lens)))
    options = DatasetOptions(image_hw=(192, 192), undistort_images=True, pixels="opencv")
    before = replace(labels, pictures=Pictures(tmp_path, "none", "undone/{recording}/{camera}/{file:06}.png"))
    one, other = PoseDataset(labels, options)[0], PoseDataset(before, options)[0]
    assert torch.equal(one.images, other.images) and torch.equal(one.cameras.K, other.cameras.K)
    assert_cameras_fit(other)


def test_pixels_are_those_of_opencv_but_for_its_rounding(labels: Labels) -> None:
    options = DatasetOptions(image_hw=(150, 150))
    area, rounded = PoseDataset(labels, options)[0], PoseDataset(labels, replace(options, pixels="opencv"))[0]
    assert ((area.images - rounded.images).abs() * 255).max() <= 0.51
    assert torch.equal(area.cameras.K, rounded.cameras.K)


def test_reduced_pictures_are_nearly_those_of_full_ones(labels: Labels) -> None:
    """Decoded at a half or quarter of their size; the light stays where it was."""
    options = DatasetOptions(image_hw=(100, 100))
    area, reduced = PoseDataset(labels, options)[0], PoseDataset(labels, replace(options, pixels="reduced"))[0]
    away = (area.images - reduced.images).abs() * 255
    assert 1e-3 < away.mean() < 0.2
    assert_cameras_fit(reduced, tolerance_px=0.1)


def test_a_missing_view_is_black_and_keeps_its_place(labels: Labels) -> None:
    sample = PoseDataset(labels, DatasetOptions(image_hw=(64, 64)))[len(labels) - 1]
    assert sample.present.tolist() == [True, False, True]
    assert not sample.images[1].any() and sample.images[0].any()
    assert all(bool(torch.isfinite(t).all()) for t in (sample.cameras.K, sample.cameras.R, sample.cameras.t_mm))


def test_cameras_are_chosen_and_ignored_by_name(labels: Labels) -> None:
    dataset = PoseDataset(labels, DatasetOptions(choose_cameras=("right", "left"), image_hw=(64, 64)))
    assert dataset.camera_names == ("left", "right") and dataset[0].images.shape == (2, 3, 64, 64)
    ignoring = PoseDataset(labels, DatasetOptions(choose_cameras=("right", "left"), ignore_cameras=("left",)))
    assert ignoring.camera_names == ("right",)
    with pytest.raises(InputError, match="no camera 'front'.*left, middle, right"):
        PoseDataset(labels, DatasetOptions(ignore_cameras=("front",)))
    with pytest.raises(InputError, match="ignored"):
        PoseDataset(labels, DatasetOptions(ignore_cameras=CAMERAS))


def test_the_centre_is_the_root_of_the_truth_or_given(labels: Labels) -> None:
    sample = PoseDataset(labels, DatasetOptions(image_hw=(32, 32)))[0]
    hips = labels.points_mm[0, COCO_17.indices(("left_hip", "right_hip"))].mean(0)
    assert sample.has_centre and np.allclose(sample.centre_mm, hips, atol=1e-3)
    given = np.arange(3 * len(labels), dtype=np.float32).reshape(-1, 3)
    assert PoseDataset(labels, DatasetOptions(image_hw=(32, 32)), given)[1].centre_mm.tolist() == [3, 4, 5]
    unknown = replace(labels, valid=np.zeros_like(labels.valid), points_mm=np.zeros_like(labels.points_mm))
    assert not PoseDataset(unknown, DatasetOptions(image_hw=(32, 32)))[0].has_centre


def test_a_picture_that_cannot_be_read_is_named_or_missing(labels: Labels, tmp_path: Path) -> None:
    broken = replace(labels, pictures=Pictures(tmp_path, labels.pictures.template))
    raising = PoseDataset(broken, DatasetOptions(image_hw=(32, 32)))
    with pytest.raises(InputError, match=r"walk/000000/p3: there is no file .*left.000000\.jpg"):
        raising[0]
    whole = labels.pictures.path(labels.recordings[0], "left", 0).read_bytes()
    for name, data in (("left", whole), ("middle", whole[: len(whole) // 2]), ("right", b"no picture")):
        path = broken.pictures.path(broken.recordings[0], name, 0)
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    with pytest.raises(InputError, match=r"middle.000000\.jpg is damaged"):
        raising[0]
    tolerant = PoseDataset(broken, DatasetOptions(image_hw=(32, 32), unreadable="missing"))[0]
    assert tolerant.present.tolist() == [True, False, False] and not tolerant.images[1:].any()


def test_a_picture_of_another_size_than_calibrated_is_refused(labels: Labels, tmp_path: Path) -> None:
    small = replace(labels, pictures=Pictures(tmp_path, "{recording}-{camera}.png"))
    for name in CAMERAS:
        write_image(tmp_path / f"walk-{name}.png", np.zeros((360, 640, 3), np.uint8))
    small = replace(small, pictures=Pictures(tmp_path, "{recording}-{camera}.png", "{recording}-{camera}.png"))
    with pytest.raises(InputError, match="640x360, but its camera takes pictures of 1280x720"):
        PoseDataset(small, DatasetOptions(image_hw=(32, 32), undistort_images=True))[0]


def test_a_box_larger_than_any_picture_takes_no_memory(labels: Labels) -> None:
    huge = replace(labels, boxes_px=np.where(labels.boxes_px > 0, 2**30, labels.boxes_px) * np.array([0, 0, 1, 1]))
    with pytest.raises(InputError, match="cannot be cut"):
        PoseDataset(huge, DatasetOptions(image_hw=None))[0]


def test_frames_of_videos_are_pictures_too(tmp_path: Path) -> None:
    labels = small_labels(tmp_path, frames=3)
    labels = replace(
        labels,
        pictures=Pictures(tmp_path, "{recording}/{camera}.mp4"),
        cameras=replace(labels.cameras, image_hw=None),
        boxes_px=np.broadcast_to(np.array([0, 0, 96, 64]), (*labels.boxes_px.shape[:2], 4)).copy(),
    )
    for name in CAMERAS:
        (tmp_path / "walk").mkdir(exist_ok=True)
        write_clip(tmp_path / "walk" / f"{name}.mp4", frames=3)
    dataset = PoseDataset(labels, DatasetOptions(image_hw=(64, 96), square_bbox=False))
    for row in (5, 0, 2):
        pictures = (dataset[row].images * 255).byte().movedim(1, -1).numpy()
        assert [number_in(picture) for picture in pictures] == [labels.frames[row]] * 3
    past = replace(labels, frames=labels.frames + 7)
    with pytest.raises(InputError, match=r"walk.left\.mp4 has no frame 7, only 3"):
        PoseDataset(past, DatasetOptions())[0]


def test_only_the_views_that_are_picked_are_read(labels: Labels, tmp_path: Path) -> None:
    one_there = replace(labels, pictures=Pictures(tmp_path, labels.pictures.template))
    source = labels.pictures.path(labels.recordings[0], "right", 0)
    target = one_there.pictures.path(labels.recordings[0], "right", 0)
    target.parent.mkdir(parents=True)
    target.write_bytes(source.read_bytes())
    sample = PoseDataset(one_there, DatasetOptions(image_hw=(64, 64)))[Pick(0, (2,))]
    assert sample.images.shape[0] == 1 and sample.present.all()
    assert torch.equal(sample.cameras.R[0], labels.cameras.R[0, 2])


def test_workers_give_the_same_batches(labels: Labels) -> None:
    dataset = PoseDataset(labels, DatasetOptions(image_hw=(48, 48)))
    batches = ViewBatches(dataset.present, 2, min_views=1, max_views=3, shuffle=True)
    alone, shared = (
        list(DataLoader(dataset, batch_sampler=batches, collate_fn=collate, num_workers=n)) for n in (0, 2)
    )
    assert [batch.key for batch in alone] == [batch.key for batch in shared]
    for one, other in zip(alone, shared, strict=True):
        assert torch.equal(one.images, other.images) and torch.equal(one.cameras.K, other.cameras.K)
    assert sorted(key for batch in alone for key in batch.key) == sorted(labels.key(i) for i in range(len(labels)))
