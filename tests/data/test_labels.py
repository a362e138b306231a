"""A row of labels knows its recording, its cameras and its pictures, whichever rows are picked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tables import small_labels

from trivox.data.labels import Labels
from trivox.data.pictures import Pictures, Recording
from trivox.errors import InputError
from trivox.geometry.skeletons import COCO_17, H36M_17, PANOPTIC_19
from trivox.geometry.volumes import rotation_about


def test_a_view_is_missing_without_a_box_or_without_its_camera() -> None:
    labels = small_labels(frames=2)
    expected = np.ones((6, 3), bool)
    expected[3, 1] = False  # no box
    expected[4:, 1] = False  # no camera in this recording, though the table has a box
    assert np.array_equal(labels.present, expected)


def test_rows_are_selected_by_place_and_by_mask_and_keep_their_recording() -> None:
    labels = small_labels()
    rows = np.array([9, 0, 3])
    picked = labels.selected(rows)
    assert [picked.key(i) for i in range(3)] == ["sit/040001/p0", "walk/000000/p3", "walk/000001/p7"]
    assert picked.subjects.tolist() == ["B", "A", "A"] and picked.actions.tolist() == ["Sitting", "Walking", "Walking"]
    assert np.array_equal(picked.points_mm, labels.points_mm[rows])
    masked = labels.selected(labels.frames > 32767)
    assert len(masked) == 4 and set(masked.subjects) == {"B"}
    assert torch.equal(masked.row_cameras(0).K, labels.cameras.K[1])


def test_every_recording_has_the_cameras_of_its_own_calibration() -> None:
    labels = small_labels()
    for row in (0, 9):
        truth = torch.from_numpy(labels.points_mm[row]).double()
        projected = labels.row_cameras(row).project(truth)
        boxes = torch.from_numpy(labels.boxes_px[row])[:, None]
        inside = (projected > boxes[..., :2]) & (projected < boxes[..., 2:])
        assert inside[labels.present[row]].all()


def test_truth_is_converted_by_name_and_what_cannot_be_had_is_not_valid() -> None:
    labels = small_labels()
    labels.confidence[:, COCO_17.names.index("left_hip")] = 0.25
    converted = labels.converted(PANOPTIC_19)
    pelvis, wrist = PANOPTIC_19.names.index("pelvis"), PANOPTIC_19.names.index("left_wrist")
    hips = labels.points_mm[:, COCO_17.indices(("left_hip", "right_hip"))]
    np.testing.assert_allclose(converted.points_mm[:, pelvis], hips.mean(1), atol=1e-3)
    assert (converted.confidence[:, pelvis] == 0.25).all() and (converted.confidence[:, wrist] == 1).all()
    head_top = H36M_17.names.index("head_top")
    without = labels.converted(H36M_17)
    assert not without.valid[:, head_top].any() and not without.confidence[:, head_top].any()


def test_pictures_are_found_by_recording_camera_and_frame() -> None:
    recording = Recording("S9/Walking-1", "S9", "Walking")
    pictures = Pictures(Path("raw"), "{subject}/{action}/{camera}_{file:06}.jpg", "{recording}/u/{file}.png", 1)
    assert pictures.path(recording, "54138969", 9) == Path("raw/S9/Walking/54138969_000010.jpg")
    assert pictures.path(recording, "54138969", 9, undistorted=True) == Path("raw/S9/Walking-1/u/10.png")
    assert pictures.path(recording, "c", 12345678) == Path("raw/S9/Walking/c_12345679.jpg")
    assert not pictures.are_videos and Pictures(Path("raw"), "{recording}/{camera}.mp4").are_videos


@pytest.mark.parametrize(
    "template",
    ["", "/etc/{file}", "../{file}", "a/../../{file}", "{recording.__class__}", "{file:999999999}", "{0}", "a{", "C:/x"]
    + ["..\\{file}", "a\0b"],
)
def test_a_template_that_is_none_is_refused(template: str) -> None:
    with pytest.raises(InputError, match="template"):
        Pictures(Path("raw"), template)


@pytest.mark.parametrize("name", ["../../etc", "/etc", "a/../../b"])
def test_names_in_labels_do_not_lead_out_of_the_folder(name: str) -> None:
    pictures = Pictures(Path("raw"), "{recording}/{file}.jpg")
    with pytest.raises(InputError, match="outside raw"):
        pictures.path(Recording(name), "c", 0)
    with pytest.raises(InputError, match="outside raw"):
        Pictures(Path("raw"), "{camera}/{file}.jpg").path(Recording("r"), name, 0)


def test_a_table_whose_parts_do_not_fit_is_a_mistake_of_ours() -> None:
    labels = small_labels()
    with pytest.raises(AssertionError):
        replace(labels, recording=labels.recording + 1)


def test_turned_labels_show_the_same_and_lead_back() -> None:
    """Each recording by its own rotation: what cameras see stays, and points go back to where they came from."""
    labels = small_labels()
    axes = torch.tensor([[0.2, 1.0, -0.4], [1.0, 0.1, 0.3]]).double()
    turns = rotation_about(axes, torch.tensor([1.3, -2.2]).double())
    turned = labels.turned(turns, torch.tensor([0.0, 1.0, 0.0]).double())
    at = torch.from_numpy(labels.recording)

    def seen(table: Labels) -> torch.Tensor:
        return table.cameras[at].project(torch.from_numpy(table.points_mm)[:, None].double().expand(-1, 3, -1, -1))

    torch.testing.assert_close(seen(turned), seen(labels), atol=1e-3, rtol=0)
    assert not np.allclose(turned.points_mm, labels.points_mm, atol=100)
    again = turned.turned(turns.mT, torch.tensor([0.0, 0.0, 1.0]).double())
    for table in (turned, again):
        np.testing.assert_allclose(table.in_own_worlds(table.points_mm), labels.points_mm, atol=1e-3)
        root_mm = table.from_own_worlds(labels.points_mm[:, 3])
        np.testing.assert_allclose(root_mm, table.points_mm[:, 3], atol=1e-3)
