"""Tables, samples and batches against the published system (`golden/datasets`, `golden/collate`, `golden/results`)."""

from __future__ import annotations

import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from golden.cases import Case, Tolerances, read_cases, read_json
from golden.collected import GOLDEN, each_case
from golden.datasets import (
    DATASETS,
    arrays_of,
    assert_projections,
    assert_within,
    dataset_of,
    expected_cases,
    golden_json,
    label_files,
    picture_bgr,
    rows_of,
    table_of,
)
from golden.labels import plain

from trivox.data.area import cut_by_area
from trivox.data.box_tables import detections_in, read_panoptic_boxes, write_panoptic_boxes
from trivox.data.boxes import scaled, squared, squared_about_rounded_middle
from trivox.data.centres import centres_of_results
from trivox.data.crops import cropped
from trivox.data.human36m import read_human36m_npy, write_human36m_npy
from trivox.data.labels import Labels
from trivox.data.open_labels import load_labels
from trivox.data.panoptic import MM_PER_CM, read_panoptic_npy, write_panoptic_npy
from trivox.data.samples import Sample, collate
from trivox.data.splits import read_split, rows_of_parts
from trivox.data.undistortion import undistorted_picture, undistortion_maps
from trivox.files.images import read_image
from trivox.files.reference_results import load_reference_results
from trivox.geometry.cameras import Cameras
from trivox.models.pose_resnet import PoseResNet
from trivox.prepare import prepare_panoptic

table = cache(table_of)


@pytest.fixture(scope="module")
def tolerances(golden: Path) -> Tolerances:
    return Tolerances(golden)


def _twin(path: Path) -> dict[str, np.ndarray]:
    name = "human36m" if "human36m" in path.name else "panoptic"
    return plain(DATASETS / f"{name}_labels_plain.npz")


def _check_cameras(cameras: Cameras, there: np.ndarray, twin: dict[str, np.ndarray], mm_per_unit: float) -> None:
    K = cameras.K.clone()
    K[..., :2, 2] -= 0.5
    np.testing.assert_array_equal(K.numpy()[there], twin["cameras_K"].astype(np.float64)[there])
    np.testing.assert_array_equal(cameras.R.numpy()[there], twin["cameras_R"][there])
    t = twin["cameras_t"][..., 0].astype(np.float64) * mm_per_unit
    np.testing.assert_array_equal(cameras.t_mm.numpy()[there], t[there])
    np.testing.assert_array_equal(cameras.distortion.numpy()[there], twin["cameras_dist"][there])


@each_case(label_files("human36m/extra/*.npy"))
def test_human36m_labels_are_those_of_their_twin(case: Case, tmp_path: Path) -> None:
    twin = _twin(case["path"])
    labels = read_human36m_npy(case["path"], tmp_path)
    assert labels.camera_names == tuple(twin["camera_names"])
    subjects, trials = twin["subject_names"][twin["table_subject_idx"]], twin["action_names"][twin["table_action_idx"]]
    assert [labels.key(i).rsplit("/", 2)[0] for i in range(len(labels))] == [
        f"{subject}/{trial}" for subject, trial in zip(subjects, trials, strict=True)
    ]
    np.testing.assert_array_equal(labels.frames, twin["table_frame_idx"])
    np.testing.assert_array_equal(labels.points_mm, twin["table_keypoints"])
    np.testing.assert_array_equal(labels.boxes_px[..., [1, 0, 3, 2]], twin["table_bbox_by_camera_tlbr"])
    subject_of = np.array([list(twin["subject_names"]).index(r.subject) for r in labels.recordings])
    of_recordings = {name: twin[name][subject_of] for name in twin if name.startswith("cameras_")}
    _check_cameras(labels.cameras, labels.has_camera, of_recordings, 1.0)
    write_human36m_npy(labels, tmp_path / "again.npy")
    theirs, ours = (np.load(path, allow_pickle=True).item() for path in (case["path"], tmp_path / "again.npy"))
    assert ours["table"].dtype == theirs["table"].dtype and np.array_equal(ours["table"], theirs["table"])
    for name in ("subject_names", "camera_names", "action_names"):
        assert list(ours[name]) == list(theirs[name])
    used = np.unique(theirs["table"]["subject_idx"])
    assert np.array_equal(ours["cameras"][used], theirs["cameras"][used])


@each_case(label_files("panoptic/*labels*.npy"))
def test_panoptic_labels_are_those_of_their_twin(case: Case, tmp_path: Path) -> None:
    twin = _twin(case["path"])
    labels = read_panoptic_npy(case["path"], tmp_path)
    assert labels.camera_names == tuple(twin["camera_names"])
    assert [labels.recordings[r].name for r in labels.recording] == list(twin["action_names"][twin["table_action_idx"]])
    np.testing.assert_array_equal(labels.frames, twin["table_frame_name"])
    np.testing.assert_array_equal(labels.people, twin["table_person_id"])
    joints = twin["table_keypoints"]
    np.testing.assert_array_equal(labels.valid, joints[..., 3] > 0)
    there = labels.valid
    np.testing.assert_array_equal(labels.points_mm[there], joints[..., :3][there] * np.float32(MM_PER_CM))
    np.testing.assert_array_equal(labels.confidence[there], joints[..., 3][there])
    np.testing.assert_array_equal(labels.boxes_px, twin["table_bbox_by_camera_tlbr"][..., :4])
    np.testing.assert_array_equal(labels.has_camera, twin["cameras_K"][..., 0, 0] != 0)
    _check_cameras(labels.cameras, labels.has_camera, twin, MM_PER_CM)
    write_panoptic_npy(labels, tmp_path / "again.npy")
    again = read_panoptic_npy(tmp_path / "again.npy", tmp_path)
    for name in ("recording", "frames", "people", "valid", "boxes_px", "has_camera"):
        assert np.array_equal(getattr(again, name), getattr(labels, name)), name
    np.testing.assert_allclose(again.points_mm, labels.points_mm, rtol=1e-6)


@each_case({path.stem: {"path": path} for path in sorted(DATASETS.glob("*big_frames.json"))})
def test_frames_beyond_16_bits_are_split_without_leaks(case: Case, tmp_path: Path) -> None:
    expected = read_json(case["path"])
    stem = case["path"].stem
    labels = read_panoptic_npy(case["path"].with_name(f"{stem}_labels.npy"), tmp_path)
    split = read_split(case["path"].with_name(f"{stem}_split.yaml"))
    assert sorted(set(labels.frames.tolist())) == sorted(set(expected["frames"]))
    for part, name in (("train", "train"), ("test", "val")):
        rows = rows_of_parts(labels, [part], split=split)  # type: ignore[list-item]
        assert rows.tolist() == expected[f"{name}_rows"]
        assert labels.frames[rows].tolist() == expected[f"{name}_frames"]


@each_case(expected_cases("human36m") | {f"panoptic_{k}": v for k, v in expected_cases("panoptic").items()})
def test_samples_are_those_of_the_published_loader(case: Case, tolerances: Tolerances) -> None:
    expected = arrays_of(DATASETS / f"{case['dataset']}_expected.npz", case["case"])
    labels, options = table(case["dataset"]), case["options"]
    rows = rows_of(labels, options)
    assert len(rows) == case["length"]
    np.testing.assert_array_equal(rows, expected["table_row"])
    dataset = dataset_of(labels, options, rows)
    for n, described in enumerate(case["samples"]):
        *names, frame, cameras_there = described
        recording = labels.recordings[labels.recording[rows[n]]].name
        assert (recording, labels.frames[rows[n]]) == ("/".join(names), frame)
        if cameras_there is not None:
            _check_sample(dataset[n], dataset.camera_names, labels, expected, n, cameras_there, tolerances)


def _check_sample(
    sample: Sample,
    names: tuple[str, ...],
    labels: Labels,
    expected: dict[str, np.ndarray],
    n: int,
    cameras_there: list[str],
    tolerances: Tolerances,
) -> None:
    assert [name for name, there in zip(names, sample.present.tolist(), strict=True) if there] == cameras_there
    present = expected["present"][n]
    assert [name for name, there in zip(labels.camera_names, present, strict=True) if there] == cameras_there
    unit = MM_PER_CM if labels.name == "panoptic" else 1.0
    for view, name in enumerate(names):
        if not sample.present[view]:
            continue
        c, what = labels.camera_names.index(name), f"{sample.key} {name}"
        P = sample.cameras.pixel_from_world[view].numpy().copy()
        P[:, 3] /= unit
        assert_projections(tolerances, P, expected["P"][n, c], what)
        assert_within(
            tolerances, "label_projection_matrices", sample.cameras.K[view].numpy(), expected["K"][n, c], what
        )
        np.testing.assert_array_equal(sample.boxes_px[view], expected["detection"][n, c, :4], what)
        picture = picture_bgr(sample, view)
        assert picture.shape[:2] == tuple(expected["image_size"][n, c]), what
        assert zlib.crc32(picture.tobytes()) == expected["image_crc32"][n, c], what
    joints = expected["keypoints_3d"][n]
    valid = sample.valid.numpy()
    np.testing.assert_array_equal(valid, joints[:, 3] > 0)
    np.testing.assert_array_equal(sample.points_mm.numpy()[valid], joints[valid, :3] * np.float32(unit))


@each_case({case["case"]: case for case in golden_json("datasets/human36m_undistort.json")})
def test_undistorted_pictures(case: Case, tolerances: Tolerances) -> None:
    labels = table("human36m")
    twin = plain(DATASETS / "human36m_labels_plain.npz")
    subject = str(twin["subject_names"][case["subject_index"]])
    recording = next(i for i, r in enumerate(labels.recordings) if r.subject == subject)
    camera = labels.cameras[recording, case["camera_index"]]
    picture = read_image(DATASETS / "human36m" / case["picture"])
    expected = arrays_of(DATASETS / "human36m_undistort.npz", case["case"])["undistorted_bgr"]
    ours = undistorted_picture(picture, camera)[..., ::-1].astype(np.float64)
    assert_within(tolerances, "undistorted_grey_levels", ours, expected.astype(np.float64), case["case"])
    maps = arrays_of(DATASETS / "human36m_undistort.npz", f"map.{case['case'].split('.')[-1]}")
    if maps:
        got = undistortion_maps(camera, (picture.shape[0], picture.shape[1]))
        differing = (got.pixels != maps["x_y_floor"]).any(-1) | (got.steps != maps["fraction_index"])
        assert differing.mean() < 0.01, (
            "a step of 1/32 pixel may fall on the other side where it is decided by rounding"
        )


@each_case({case["case"]: case for case in golden_json("collate/collate.json")})
def test_batches(case: Case, tolerances: Tolerances) -> None:
    """The published batch keeps the first views of every item; ours keeps all and marks the missing ones."""
    expected = arrays_of(GOLDEN / "collate" / "collate.npz", case["case"])
    labels = table("human36m")
    dataset = dataset_of(labels, case["options"], rows_of(labels, case["options"]))
    batch = collate([dataset[i] for i in case["items"]])
    assert batch.present.sum(1).tolist() == case["views_per_item"]
    count = min(case["views_per_item"])
    first = torch.stack([torch.nonzero(there)[:count, 0] for there in batch.present])
    items = torch.arange(len(case["items"]))[:, None]
    names = np.array(dataset.camera_names)[first.numpy()]
    np.testing.assert_array_equal(names.T, expected["camera_names_view_item"])
    backbone = PoseResNet(18, 17, colours="bgr")
    images = backbone.normalised(batch.images[items, first].flatten(0, 1)).unflatten(0, first.shape)
    np.testing.assert_allclose(images.numpy(), expected["images"], atol=2e-6)
    cameras = batch.cameras[items, first]
    assert_projections(tolerances, cameras.pixel_from_world.numpy(), expected["P"], "P")
    K = cameras.K.transpose(0, 1).numpy()
    assert_within(tolerances, "label_projection_matrices", K, expected["K_view_item"], "K")
    np.testing.assert_array_equal(batch.boxes_px[items, first], expected["detections"][..., :4])
    np.testing.assert_array_equal(batch.points_mm, expected["keypoints_3d"])
    np.testing.assert_array_equal(batch.valid[..., None].float(), expected["validity"])
    np.testing.assert_array_equal(batch.row, expected["indexes"])


def result_cases() -> dict[str, Case]:
    """Expected centres with every file that may give them: those with "shuffled" in their name, or the others."""
    path = GOLDEN / "results" / "pred_results_expected.npz"
    cases = read_cases(path) if path.is_file() else {}
    files = sorted((GOLDEN / "results").glob("results*.pkl"))
    return {
        f"{name} {file.stem}": case | {"path": file, "every": int(name.rpartition("_")[2])}
        for name, case in cases.items()
        for file in files
        if ("shuffled" in name) == ("shuffled" in file.name)
    }


@each_case(result_cases())
def test_centres_of_an_earlier_run(case: Case) -> None:
    labels = table("human36m")
    every = case["every"]
    rows = rows_of_parts(labels, ["test"], with_damaged_actions=True, retain_every_n_frames_in_test=every)
    np.testing.assert_array_equal(rows, case["table_row"])
    results = load_reference_results(case["path"])
    centres = centres_of_results(results.points_mm, results.indexes, labels.skeleton, len(rows), every)
    np.testing.assert_array_equal(centres, case["pred_keypoints_3d"][:, labels.skeleton.names.index("pelvis")])


@each_case({f"box{i}": box for i, box in enumerate(golden_json("geometry/boxes.json"))})
def test_boxes(case: Case) -> None:
    ltrb = np.array(case["ltrb"])
    for dtype in (np.int16, np.int64):
        box = ltrb.astype(dtype)
        assert squared(box).tolist() == case["square"]
        for factor, expected in case["scaled"].items():
            assert scaled(box, float(factor)).tolist() == expected
            assert scaled(squared(box), float(factor)).tolist() == case["square_then_scaled"][factor]
    tlbr = case["label_square_tlbr"]
    made = squared_about_rounded_middle(np.array(tlbr["input"])[[1, 0, 3, 2]])
    assert made[[1, 0, 3, 2]].tolist() == tlbr["output"]


@each_case({case["case"]: case for case in golden_json("geometry/crop_resize.json")})
def test_crop_and_resize(case: Case, tolerances: Tolerances) -> None:
    with np.load(GOLDEN / "geometry" / "crop_resize.npz", allow_pickle=False) as arrays:
        picture, crop = arrays[case["image"]], arrays[f"{case['case']}.crop"]
        resized = arrays[f"{case['case']}.resized"].astype(np.float64)
    np.testing.assert_array_equal(cropped(picture, np.array(case["ltrb"])), crop)
    h, w = case["shape_h_w"]
    out = np.empty((3, h, w), np.float32)
    left, top, right, bottom = (float(v) for v in case["ltrb"])
    cut_by_area(picture, (left, top, right, bottom), out)
    assert_within(tolerances, "resize_grey_levels", out.transpose(1, 2, 0) * 255.0, resized, case["case"])


TWINS = ("_plain.npz", "_labels_plain.npz")


def raw_trees() -> dict[str, Case]:
    """Folders of detections and the trees and tables that belong to them."""
    found = sorted(DATASETS.glob("*_detections"))
    return {path.name.removesuffix("_detections"): {"detections": path} for path in found}


@each_case(raw_trees())
def test_tables_made_of_raw_trees(case: Case, tmp_path: Path) -> None:
    detections: Path = case["detections"]
    raw = detections.with_name(detections.name.removesuffix("_detections"))
    (twin,) = [raw.with_name(f"{raw.name}{end}") for end in TWINS if raw.with_name(f"{raw.name}{end}").is_file()]
    expected = plain(twin)
    labels = prepare_panoptic(raw, tmp_path / "out", boxes=detections, published_labels=True)
    assert labels.camera_names == tuple(expected["camera_names"])
    assert [r.name for r in labels.recordings] == list(expected["action_names"])
    np.testing.assert_array_equal(labels.recording, expected["table_action_idx"])
    np.testing.assert_array_equal(labels.frames, expected["table_frame_name"])
    np.testing.assert_array_equal(labels.people, expected["table_person_id"])
    np.testing.assert_array_equal(labels.boxes_px, expected["table_bbox_by_camera_tlbr"][..., :4])
    again = read_panoptic_npy(tmp_path / "out" / "cmu-multiview-labels.npy", raw)
    np.testing.assert_allclose(again.points_mm / MM_PER_CM, expected["table_keypoints"][..., :3], rtol=1e-6)
    for name in ("R", "t", "K", "dist"):
        content = np.load(tmp_path / "out" / "cmu-multiview-labels.npy", allow_pickle=True).item()
        there = labels.has_camera
        np.testing.assert_allclose(content["cameras"][name][there], expected[f"cameras_{name}"][there], rtol=1e-6)
    assert sorted(content["person_ids"]) == sorted(expected["person_ids"])
    assert load_labels(tmp_path / "out" / "labels.json").recordings == labels.recordings


@each_case({path.parent.name: {"path": path} for path in sorted(DATASETS.glob("*/cmu-bboxes.npy"))})
def test_box_tables_made_of_detections(case: Case, tmp_path: Path) -> None:
    table = detections_in(DATASETS / f"{case['path'].parent.name}_detections")
    write_panoptic_boxes(table, tmp_path / "boxes.npy")
    ours, theirs = (np.load(path, allow_pickle=True).item() for path in (tmp_path / "boxes.npy", case["path"]))
    assert {s: set(cameras) for s, cameras in ours.items()} == {s: set(cameras) for s, cameras in theirs.items()}
    for sequence, cameras in theirs.items():
        for camera, boxes in cameras.items():
            np.testing.assert_array_equal(ours[sequence][camera], boxes)
    read = read_panoptic_boxes(case["path"])
    assert read.keys() == table.keys() and all(np.array_equal(read[k], np.trunc(table[k][:, :4])) for k in read)
