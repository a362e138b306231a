"""Raw downloads become datasets: rows, boxes, cameras and pictures are those of the downloads, and work goes on."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from clips import number_in
from raw_trees import (
    complete_subjects,
    human36m_cameras,
    human36m_tree,
    mask_box,
    metadata_xml,
    panoptic_body,
    panoptic_sequence,
    positions_17,
    write_positions,
)

from trivox.cli import main
from trivox.data.boxes import squared_about_rounded_middle
from trivox.data.dataset import DatasetOptions, PoseDataset
from trivox.data.human36m import CAMERAS, read_human36m_npy, write_human36m_npy
from trivox.data.open_labels import load_labels
from trivox.data.panoptic import write_panoptic_npy
from trivox.data.prepare_human36m import find_recordings
from trivox.errors import InputError
from trivox.evaluation_inputs import labels_of
from trivox.files.calibrations import save_rig
from trivox.files.images import read_image
from trivox.files.npy import write_npy_object
from trivox.geometry.rig import Rig
from trivox.prepare import prepare_human36m, prepare_panoptic

TRIALS = {"S1/Eating-1": "Eating 2", "S1/Eating-2": "Eating", "S9/WalkingDog-1": "WalkDog 1"}


@pytest.fixture(scope="module")
def human36m(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return human36m_tree(tmp_path_factory.mktemp("human36m"), TRIALS)


def prepared(raw: Path, out: Path, **options: object):
    options = {"subjects": ("S1", "S9"), "skip_missing": True, "every": 2, "processes": 1} | options
    return prepare_human36m(raw, out, **options)  # type: ignore[arg-type]


def test_human36m_rows_are_those_of_the_downloads(human36m: Path, tmp_path: Path) -> None:
    labels = prepared(human36m, tmp_path, published_labels=True)
    keys = [f"{recording}/{frame:06d}/p0" for recording in TRIALS for frame in (0, 2, 4)]
    assert [labels.key(i) for i in range(len(labels))] == keys
    assert labels.subjects.tolist() == ["S1"] * 6 + ["S9"] * 3 and labels.actions[-1] == "WalkingDog"
    np.testing.assert_allclose(labels.points_mm[:3], positions_17(6)[[0, 2, 4]], rtol=1e-6)
    np.testing.assert_allclose(labels.points_mm[3:6], labels.points_mm[:3])  # as h5, not as CDF
    expected = squared_about_rounded_middle(np.array([mask_box(f) for f in (0, 2, 4)]))
    assert (labels.boxes_px[:3] == expected[:, None]).all()
    cameras = human36m_cameras()
    for name in ("K", "R", "t_mm", "distortion"):
        torch.testing.assert_close(getattr(labels.cameras, name)[1], getattr(cameras, name), rtol=1e-9, atol=1e-6)
    assert labels.cameras.distortion_model == "human36m"
    again = load_labels(tmp_path / "labels.json")
    assert np.array_equal(again.points_mm, labels.points_mm) and again.recordings == labels.recordings
    published = read_human36m_npy(tmp_path / "human36m-multiview-labels.npy", tmp_path)
    assert np.array_equal(published.boxes_px, labels.boxes_px) and published.recordings == labels.recordings


def test_pictures_stay_beside_their_own_cameras_only(human36m: Path, tmp_path: Path) -> None:
    """What goes on is the same videos, cameras and lens options; other frames and boxes may join."""
    out, other = tmp_path / "out", tmp_path / "cameras.xml"
    prepared(human36m, out, undistort=True, every=4)
    prepared(human36m, out, undistort=True, boxes="joints", subjects=("S1",))
    prepared(human36m, out, undistort=True)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    cameras = human36m_cameras()
    moved = replace(cameras, distortion=cameras.distortion * 2)
    other.write_text(metadata_xml({}, moved))
    for options in ({"undistort": True, "cameras": other}, {"undistort": False}):
        with pytest.raises(InputError, match="already holds something else"):
            prepared(human36m, out, **options)
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*")}


def test_human36m_pictures_are_the_frames_of_the_rows(human36m: Path, tmp_path: Path) -> None:
    labels = prepared(human36m, tmp_path, undistort=True)
    plain = PoseDataset(labels, DatasetOptions(crop=False, image_hw=None))
    for row in (0, 1, 5, 8):
        sample = plain[row]
        assert sample.cameras.image_hw is not None
        for image, (h, w) in zip(sample.images, sample.cameras.image_hw.tolist(), strict=True):
            picture = (image[:, :h, :w] * 255).round().byte().movedim(0, -1).numpy()
            assert number_in(picture) == labels.frames[row]
    first = tmp_path / "S1" / "Eating-1"
    names = sorted(path.name for path in (first / "imageSequence" / CAMERAS[0]).iterdir())
    assert names == ["img_000001.jpg", "img_000003.jpg", "img_000005.jpg"]
    # Undistorted beforehand, read back: what undistorting while loading gives, but for the JPEG between.
    whole = DatasetOptions(crop=False, image_hw=(200, 200))
    direct = replace(labels, pictures=replace(labels.pictures, undistorted=None))
    undone = replace(whole, undistort_images=True)
    ready, loading = PoseDataset(labels, undone)[0], PoseDataset(direct, undone)[0]
    assert (ready.images - loading.images).abs().max() < 0.1
    assert (ready.images - PoseDataset(labels, whole)[0].images).abs().max() > 0.5  # the lens does show
    assert torch.equal(ready.cameras.K, loading.cameras.K) and not ready.cameras.has_distortion


def test_the_same_command_goes_on_where_it_stopped(human36m: Path, tmp_path: Path) -> None:
    prepared(human36m, tmp_path)
    pictures = sorted(tmp_path.rglob("*.jpg"))
    assert len(pictures) == 3 * 4 * 3
    kept, gone = pictures[0], pictures[-1]
    kept.write_bytes(pictures[1].read_bytes())  # a picture that is there is not made again
    gone.unlink()
    prepared(human36m, tmp_path)
    assert kept.read_bytes() == pictures[1].read_bytes() and gone.is_file()


def test_human36m_boxes_may_be_given_or_of_the_joints(human36m: Path, tmp_path: Path) -> None:
    rows = np.tile([100, 200, 300, 400], (9, 1)) + np.arange(9)[:, None]
    table = {"S1": {"Eating-1": {CAMERAS[2]: rows}}}
    write_npy_object(tmp_path / "boxes.npy", table)
    given = prepared(human36m, tmp_path / "a", boxes=tmp_path / "boxes.npy")
    assert given.boxes_px[1, 2].tolist() == [202, 102, 402, 302] and given.present.sum() == 3
    joints = prepared(human36m, tmp_path / "b", boxes="joints")
    projected = joints.row_cameras(0).project(torch.from_numpy(joints.points_mm[0]).double())
    boxes = torch.from_numpy(joints.boxes_px[0])[:, None]
    assert ((projected > boxes[..., :2]) & (projected < boxes[..., 2:])).all()


def test_human36m_cameras_may_come_from_published_parameters(human36m: Path, tmp_path: Path) -> None:
    cameras = human36m_cameras().to(torch.float64)
    rig = Rig(CAMERAS, replace(cameras, image_hw=None), torch.tensor([0.0, 0.0, 1.0]).double())
    save_rig(rig, tmp_path / "cameras.json", format="human36m")
    labels = prepared(human36m, tmp_path / "out", cameras=tmp_path / "cameras.json", subjects=("S1",))
    torch.testing.assert_close(labels.cameras.t_mm[0], cameras.t_mm, rtol=1e-9, atol=1e-6)


def test_what_human36m_lacks_is_said_by_name(human36m: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lacks S5, S6, S7, S8, S11"):
        prepare_human36m(human36m, tmp_path)
    with pytest.raises(InputError, match=r"lacks \d+ files: S1/MyPoseFeatures/D3_Positions/Directions 1\.cdf, .*more"):
        prepare_human36m(human36m, tmp_path, subjects=("S1",))
    with pytest.raises(InputError, match="S2 has no published truth"):
        prepare_human36m(human36m, tmp_path, subjects=("S2",))
    with pytest.raises(InputError, match=r"no metadata.xml with cameras .* --cameras FILE"):
        complete_subjects(tmp_path / "empty")
        prepare_human36m(tmp_path / "empty", tmp_path / "out")
    with pytest.raises(InputError, match="no folder"):
        prepare_human36m(tmp_path / "nothing", tmp_path / "out")
    assert not (tmp_path / "labels.json").exists()


def test_file_names_tell_trials_where_the_metadata_is_missing(tmp_path: Path) -> None:
    """S9's names of these actions and the trials they are, as files of the field list them; a single file tells
    nothing."""
    trials = {"Discussion-1": "Discussion 1", "Discussion-2": "Discussion 2", "Greeting-1": "Greeting 1"}
    trials |= {"Greeting-2": "Greeting", "TakingPhoto-1": "Photo 1", "TakingPhoto-2": "Photo"}
    raw = human36m_tree(tmp_path / "raw", {f"S9/{t}": n for t, n in {**trials, "Eating-1": "Eating"}.items()}, frames=1)
    for path in raw.glob("S9/Videos/*.mp4"):
        path.write_bytes(b"")  # only the names are looked at
    (raw / "S9" / "Videos" / "_ALL 1.54138969.mp4").write_bytes(b"")
    parameters = metadata_xml({}, human36m_cameras())
    found = find_recordings(raw, _saved(tmp_path / "cameras.xml", parameters), ["S9"], need_masks=False)
    assert found.has_metadata  # of the tree, which goes before the order of the names
    (raw / "Release-v1.2" / "metadata.xml").unlink()
    rig = Rig(CAMERAS, replace(human36m_cameras(), image_hw=None), torch.tensor([0.0, 0.0, 1.0]).double())
    save_rig(rig, tmp_path / "cameras.json", format="human36m")
    parameters = json.loads((tmp_path / "cameras.json").read_text().replace('"S1"', '"S9"'))
    (tmp_path / "cameras.json").write_text(json.dumps(parameters))
    found = find_recordings(raw, tmp_path / "cameras.json", ["S9"], need_masks=False)
    assert not found.has_metadata
    assert {r.recording.name.split("/")[1]: r.positions.stem for r in found.recordings} == trials
    assert any(name.startswith("S9/Eating-1 (") for name in found.missing)


def _saved(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_subject_named_twice_is_there_once(human36m: Path, tmp_path: Path) -> None:
    assert len(prepared(human36m, tmp_path, subjects=("S9", "S9")).recordings) == 1


def test_a_camera_without_its_video_is_a_missing_view(tmp_path: Path) -> None:
    raw = human36m_tree(tmp_path / "raw", {"S11/Greeting-2": "Greeting"}, frames=3)
    (raw / "S11" / "Videos" / f"Greeting.{CAMERAS[0]}.mp4").unlink()
    labels = prepared(raw, tmp_path / "out", subjects=("S11",), every=1)
    assert labels.present.tolist() == [[False, True, True, True]] * 3
    assert PoseDataset(labels, DatasetOptions(image_hw=(64, 64)))[1].present.tolist() == [False, True, True, True]


DAMAGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a CDF of garbage": ("Eating 2.cdf", lambda path: path.write_bytes(b"\xcd\xf3\x00\x01" + b"?" * 500)),
    "an empty CDF": ("Eating 2.cdf", lambda path: path.write_bytes(b"")),
    "a CDF of billions of dimensions": ("Eating 2.cdf", lambda path: _counting_to_billions(path)),
    "an h5 of garbage": ("Eating.h5", lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + b"?" * 500)),
    "masks of garbage": (f"Eating.{CAMERAS[1]}.mat", lambda path: path.write_bytes(b"MATLAB")),
    "a video of garbage": (f"Eating.{CAMERAS[1]}.mp4", lambda path: path.write_bytes(b"video")),
}


def _counting_to_billions(path: Path) -> None:
    """The reader would count to there, for minutes."""
    content = bytearray(path.read_bytes())
    (gdr,) = struct.unpack_from(">q", content, 20)
    struct.pack_into(">i", content, gdr + 56, 2**31 - 1)
    path.write_bytes(content)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_download_is_named(tmp_path: Path, damage: str) -> None:
    raw = human36m_tree(tmp_path / "raw", {"S1/Eating-1": "Eating 2", "S1/Eating-2": "Eating"}, frames=2)
    name, spoil = DAMAGES[damage]
    (path,) = raw.rglob(name)
    spoil(path)
    with pytest.raises(InputError, match=path.name):
        prepared(raw, tmp_path / "out", subjects=("S1",))
    assert not (tmp_path / "out" / "labels.json").exists()


def test_positions_of_another_kind_are_refused(tmp_path: Path) -> None:
    from trivox.data.human36m_raw import read_mask_boxes, read_positions

    with h5py.File(tmp_path / "flat.h5", "w") as file:
        file["3D_positions"] = np.zeros((51, 7))
    with h5py.File(tmp_path / "huge.h5", "w") as file:
        file.create_dataset("3D_positions", (96, 10**9), "f8", chunks=(96, 64))
    with h5py.File(tmp_path / "matrix.mat", "w") as file:
        file["Masks"] = np.zeros((3, 1))
    for name in ("flat.h5", "huge.h5"):
        with pytest.raises(InputError, match=name):
            read_positions(tmp_path / name)
    with pytest.raises(InputError, match="Masks"):
        read_mask_boxes(tmp_path / "matrix.mat", np.arange(3))
    write_positions(tmp_path / "nan.h5", 3)
    with h5py.File(tmp_path / "nan.h5", "r+") as file:
        positions = file["3D_positions"]
        assert isinstance(positions, h5py.Dataset)
        positions[5, 1] = np.nan
    with pytest.raises(InputError, match="nan"):
        read_positions(tmp_path / "nan.h5")


@pytest.mark.parametrize(
    "text",
    ["", "<a/>", "<!DOCTYPE a [<!ENTITY b 'c'>]><a/>", metadata_xml({}).replace("S11", "S12")]
    + [metadata_xml({}, human36m_cameras()).replace("<w0>[", "<w0>[x "), metadata_xml({}).replace("</mapping>", "")]
    + [metadata_xml({}, human36m_cameras()).replace("<w0>[", "<w0>[1.0 ")],
)
def test_a_metadata_file_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    from trivox.data.human36m_metadata import read_metadata

    (tmp_path / "metadata.xml").write_text(text)
    with pytest.raises(InputError, match=r"metadata\.xml"):
        read_metadata(tmp_path / "metadata.xml")


@pytest.fixture
def panoptic(tmp_path: Path) -> Path:
    """Two sequences of videos; camera 00_07 took no part in the second. Two people in a frame, in none, one lost."""
    raw = tmp_path / "raw"
    bodies = {2: [panoptic_body(4, 0), panoptic_body(9, 80)], 3: [], 5: [panoptic_body(-1, 40)], 50: []}
    panoptic_sequence(raw, "170101_pose1", ["00_03", "00_07", "00_24"], bodies, videos=8)
    bodies = {0: [panoptic_body(0, 0)], 1: [panoptic_body(0, 5)]}
    panoptic_sequence(raw, "170102_pose2", ["00_24", "00_03"], bodies, videos=2, calibrated=["00_03", "00_07", "00_24"])
    return raw


def test_panoptic_rows_are_the_bodies_of_frames_with_all_pictures(panoptic: Path, tmp_path: Path) -> None:
    labels = prepare_panoptic(panoptic, tmp_path / "out", processes=1)
    keys = ["170101_pose1/000002/p4", "170101_pose1/000002/p9", "170101_pose1/000005/p-1"]
    assert [labels.key(i) for i in range(len(labels))] == [
        *keys,
        "170102_pose2/000000/p0",
        "170102_pose2/000001/p0",
    ]
    assert labels.camera_names == ("00_03", "00_07", "00_24")
    assert labels.has_camera.tolist() == [[True, True, True], [True, False, True]]
    # Every camera stands at its own place, also behind one that is absent.
    assert torch.equal(labels.cameras.K[0, [0, 2]], labels.cameras.K[1, [0, 2]])
    assert torch.equal(labels.cameras.t_mm[0, [0, 2]], labels.cameras.t_mm[1, [0, 2]])
    assert labels.up is not None and labels.up.tolist() == [0, -1, 0]
    nose = labels.skeleton.names.index("nose")
    np.testing.assert_allclose(labels.points_mm[0, nose, 1], -1600, rtol=1e-6)
    ear = labels.skeleton.names.index("left_ear")
    assert not labels.valid[:, ear].any() and labels.valid.sum() == 5 * 18


def test_panoptic_boxes_are_each_persons_own(panoptic: Path, tmp_path: Path) -> None:
    labels = prepare_panoptic(panoptic, tmp_path / "out", processes=1)
    assert not (labels.boxes_px[0] == labels.boxes_px[1]).all()
    for row in range(len(labels)):
        cameras = labels.row_cameras(row)
        points = torch.from_numpy(labels.points_mm[row, labels.valid[row]]).double()
        pixels = cameras.project(points)
        for c in np.flatnonzero(labels.present[row]):
            x0, y0, x1, y1 = labels.boxes_px[row, c]
            assert 0 <= x0 < x1 <= 96 and 0 <= y0 < y1 <= 64
            within = ((pixels[c] >= 0) & (pixels[c] < torch.tensor([96, 64]))).all(-1)
            x, y = pixels[c][within].unbind(-1)
            assert ((x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)).all()


def test_panoptic_pictures_are_the_frames_of_the_videos(panoptic: Path, tmp_path: Path) -> None:
    labels = prepare_panoptic(panoptic, tmp_path / "out", processes=1)
    for recording, frame in ((0, 2), (0, 3), (0, 5), (1, 1)):
        path = labels.pictures.path(labels.recordings[recording], "00_24", frame)
        assert number_in(read_image(path)) == frame
    assert not (tmp_path / "out" / "170101_pose1" / "hdImgs" / "00_24" / "00_24_00000004.jpg").exists()
    # Prepared again from its own pictures, which are used where they are.
    for sequence in panoptic.iterdir():
        target = tmp_path / "out" / sequence.name
        for name in (f"calibration_{sequence.name}.json", "hdPose3d_stage1_coco19"):
            (sequence / name).rename(target / name)
    again = prepare_panoptic(tmp_path / "out", tmp_path / "again", processes=1)
    assert again.pictures.root == tmp_path / "out" and np.array_equal(again.boxes_px, labels.boxes_px)
    assert sorted(path.name for path in (tmp_path / "again").iterdir()) == ["labels.json", "labels.npz"]


def test_panoptic_images_are_linked_beside_undistorted_ones(panoptic: Path, tmp_path: Path) -> None:
    first = prepare_panoptic(panoptic, tmp_path / "out", processes=1, undistort=True)
    dataset = PoseDataset(first, DatasetOptions(undistort_images=True, image_hw=(32, 32)))
    assert dataset[0].present.any() and not dataset[0].cameras.has_distortion
    plain, undone = (
        read_image(first.pictures.path(first.recordings[0], "00_03", 2, undistorted=undistorted))
        for undistorted in (False, True)
    )
    assert plain.shape == undone.shape and (plain != undone).any()


def test_panoptic_cameras_are_chosen_and_excluded(panoptic: Path, tmp_path: Path) -> None:
    chosen = prepare_panoptic(panoptic, tmp_path / "a", cameras=("00_24", "00_07"), processes=1)
    assert chosen.camera_names == ("00_07", "00_24")
    without = prepare_panoptic(
        panoptic, tmp_path / "b", ignore_cameras=("00_07",), sequences=("170101_pose1",), processes=1
    )
    assert without.camera_names == ("00_03", "00_24") and len(without.recordings) == 1
    with pytest.raises(InputError, match="no camera '00_30' in any calibration"):
        prepare_panoptic(panoptic, tmp_path / "c", ignore_cameras=("00_30",))
    with pytest.raises(InputError, match="lacks 170103_x/calibration_170103_x.json"):
        prepare_panoptic(panoptic, tmp_path / "c", sequences=("170103_x",))


def test_vga_cameras_have_poses_of_their_own(tmp_path: Path) -> None:
    panoptic_sequence(
        tmp_path / "raw", "170101_dance1", ["01_01", "12_05"], {0: [panoptic_body(1, 0)]}, kind="vga", videos=1
    )
    labels = prepare_panoptic(tmp_path / "raw", tmp_path / "out", kind="vga", processes=1)
    assert labels.camera_names == ("01_01", "12_05") and len(labels) == 1
    assert (tmp_path / "out" / "170101_dance1" / "vgaImgs" / "12_05" / "12_05_00000000.jpg").is_file()
    with pytest.raises(InputError, match="hdPose3d_stage1_coco19"):
        prepare_panoptic(tmp_path / "raw", tmp_path / "out", kind="hd")


@pytest.mark.parametrize(
    "content",
    ["{}", "[]", '{"bodies": 3}', '{"bodies": [3]}', '{"bodies": [{"id": 1, "joints19": [1, 2]}]}']
    + ['{"bodies": [{"id": "x", "joints19": []}]}', '{"bodies": [{"id": 0, "joints19": [' + "NaN, " * 75 + "1]}]}"]
    + ["not json", '{"bodies": [{"id": -7, "joints19": []}]}'],
)
def test_a_damaged_pose_file_is_named(panoptic: Path, tmp_path: Path, content: str) -> None:
    path = panoptic / "170102_pose2" / "hdPose3d_stage1_coco19" / "body3DScene_00000001.json"
    path.write_text(content)
    with pytest.raises(InputError, match=path.name):
        prepare_panoptic(panoptic, tmp_path / "out", processes=1)
    assert not (tmp_path / "out" / "labels.json").exists()


def test_given_boxes_that_are_none_are_refused(panoptic: Path, tmp_path: Path) -> None:
    boxes = tmp_path / "boxes.npy"
    for content in ({"a": 3}, {"a": {"b": np.zeros((3, 2))}}, {"a": {"b": np.full((3, 5), np.inf)}}):
        write_npy_object(boxes, content)
        with pytest.raises(InputError, match=r"boxes\.npy"):
            prepare_panoptic(panoptic, tmp_path / "out", boxes=boxes)
    folder = tmp_path / "x" / "y-detections"
    folder.mkdir(parents=True)
    (folder / "00_03.json").write_text(json.dumps([[1, 2, 3]]))
    with pytest.raises(InputError, match=r"00_03\.json"):
        prepare_panoptic(panoptic, tmp_path / "out", boxes=tmp_path)


def test_boxes_of_other_recordings_make_no_dataset(panoptic: Path, tmp_path: Path) -> None:
    write_npy_object(tmp_path / "boxes.npy", {"another": {"00_03": np.ones((3, 5))}})
    with pytest.raises(InputError, match="nobody has a box in any picture"):
        prepare_panoptic(panoptic, tmp_path / "out", boxes=tmp_path / "boxes.npy", processes=1)
    assert not (tmp_path / "out" / "labels.json").exists()


def test_label_files_are_told_apart_by_their_columns(panoptic: Path, human36m: Path, tmp_path: Path) -> None:
    """Whatever the cameras are called."""
    made = prepared(human36m, tmp_path / "h", subjects=("S1",))
    renamed = replace(made, camera_names=("a_1", "a_2", "a_3", "a_4"))
    write_human36m_npy(renamed, tmp_path / "h.npy")
    assert labels_of(tmp_path / "h.npy").name == "human36m"
    made = prepare_panoptic(panoptic, tmp_path / "p", processes=1)
    write_panoptic_npy(replace(made, camera_names=tuple("abcdefgh"[: len(made.camera_names)])), tmp_path / "p.npy")
    assert labels_of(tmp_path / "p.npy").name == "panoptic"


def test_a_stride_below_one_is_refused(panoptic: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--every is 0"):
        prepare_panoptic(panoptic, tmp_path / "out", every=0)


def test_detected_boxes_lie_on_the_person(data: Path, tmp_path: Path) -> None:
    """A real frame: the detector's boxes hold the head and hips of the projected truth."""
    labels = prepare_panoptic(data / "panoptic_171026_pose1", tmp_path, boxes="detector", processes=1)
    assert labels.present.all()
    joints = labels.skeleton.indices(("nose", "left_hip", "right_hip", "left_shoulder", "right_shoulder"))
    pixels = labels.row_cameras(0).project(torch.from_numpy(labels.points_mm[0, list(joints)]).double())
    boxes = torch.from_numpy(labels.boxes_px[0])[:, None]
    assert ((pixels > boxes[..., :2]) & (pixels < boxes[..., 2:])).all()


def test_the_command_line_prepares_and_says_what_is_missing(
    panoptic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["prepare", "panoptic", str(panoptic), "--out", str(tmp_path / "out"), "--ignore-cameras", "00_07"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--sequences", "170102_pose2"])
    said = capsys.readouterr()
    assert ended.value.code == 0 and "panoptic: 2 poses in 1 recordings, 4 views of 2 cameras" in said.out
    assert "the pictures will take about" in said.err
    with pytest.raises(SystemExit) as ended:
        main(["prepare", "human36m", str(panoptic), "--out", str(tmp_path / "out")])
    assert ended.value.code == 2 and "lacks S1, S5, S6, S7, S8, S9, S11" in capsys.readouterr().err
