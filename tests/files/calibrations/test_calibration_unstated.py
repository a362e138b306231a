"""What a calibration leaves open: cameras without a pose, units by habit, names in another Unicode form."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest
import torch
from rigs import STANDING_MM, ring  # pyright: ignore[reportMissingImports]

from trivox.calibration_report import check
from trivox.errors import InputError
from trivox.files.calibrations import load_rig, save_rig
from trivox.files.keypoints import load_keypoints
from trivox.files.matching import match_cameras
from trivox.geometry.rig import Rig

Z, Y_DOWN = (0.0, 0.0, 1.0), (0.0, -1.0, 0.0)
UP = {"qualisys": Z, "voxelpose": Z, "human36m": Z, "panoptic": Y_DOWN}
FILES = {"opencv": "rig.yml", "easymocap": "calib", "qualisys": "rig.qca.txt", "caliscope": "a.toml"}


def written(folder: Path, form: str, rig: Rig) -> Path:
    up = torch.tensor(UP[form], dtype=torch.float64) if form in UP else None
    path = folder / FILES.get(form, "rig")
    save_rig(replace(rig, up=up), path, format=form)
    return path


def four() -> Rig:
    return Rig(("cam_0", "cam_1", "cam_2", "cam_3"), ring(4))


def without_pose(text: str, form: str, value: str | None) -> str:
    """The pose of the last camera gone, or `value` in its place."""
    if form == "qualisys":
        at = text.rindex("<transform")
        return text[:at] + (f'<transform x="{value}" />' if value else "") + text[text.index("/>", at) + 2 :]
    document = json.loads(text)
    camera = {
        "list": lambda: document[-1],
        "panoptic": lambda: document["cameras"][-1],
        "voxelpose": lambda: document["cam_3"],
        "human36m": lambda: document["extrinsics"]["S1"]["cam_3"],
    }[form]()
    for key in ("R", "t", "T", "t_mm"):
        if key in camera:
            camera[key] = value
            if value is None:
                del camera[key]
    return json.dumps(document)


def toml_without_pose(text: str, value: str | None) -> str:
    """The same for tables of TOML, in which a key and its value stand over several lines."""
    tables = text.split("\n[")
    lines, kept, skipping = tables[-1].split("\n"), [], False
    for line in lines:
        skipping = (skipping and line.startswith((" ", "]"))) or line.startswith(("rotation =", "translation ="))
        if not skipping:
            kept.append(line)
    tables[-1] = "\n".join(kept + ([] if value is None else [f"rotation = {value}", f"translation = {value}"])) + "\n"
    return "\n[".join(tables)


POSELESS: list[tuple[str, str | None]] = [
    *(("caliscope", value) for value in (None, '"null"', '"None"', "[]", "[nan, nan, nan]")),
    *(("pose2sim", value) for value in (None, '"null"', "[]")),
    *((form, value) for form in ("list", "panoptic", "voxelpose", "human36m") for value in (None, "null", "")),
    *(("qualisys", value) for value in (None, "N/A", "nan")),
]


@pytest.mark.parametrize(("form", "value"), POSELESS)
def test_a_camera_without_pose_leaves_the_others(tmp_path: Path, form: str, value: str | None):
    path = written(tmp_path, form, four())
    text = path.read_text()
    without = toml_without_pose(text, value) if form in ("caliscope", "pose2sim") else without_pose(text, form, value)
    path.write_text(without)
    rig = load_rig(path)
    assert rig.names == ("cam_0", "cam_1", "cam_2")
    torch.testing.assert_close(rig.cameras.t_mm, four().cameras.t_mm[:3], rtol=0, atol=1e-6)
    assert any(note.startswith(f"camera cam_3 of {path.name} has intrinsics only") for note in rig.notes)
    for folder in ("cam_0", "cam_1", "cam_3"):
        (tmp_path / folder).mkdir()
    views = [tmp_path / "cam_0", tmp_path / "cam_1"]
    assert match_cameras(rig, views).names == ("cam_0", "cam_1")
    assert match_cameras(rig, views, ["cam_2", "cam_0"]).names == ("cam_2", "cam_0")
    for asked in ((views + [tmp_path / "cam_3"], None), (views, ["cam_0", "cam_3"])):
        with pytest.raises(InputError, match="cam_3.* has intrinsics only"):
            match_cameras(rig, *asked)
    with pytest.raises(InputError, match="camera 'cam_3' has intrinsics only"):
        load_rig(path, names=["cam_0", "cam_3"])
    assert any("cam_3" in remark for remark in check(rig).remarks)


@pytest.mark.parametrize("form", ["opencv", "easymocap"])
def test_the_same_in_files_of_opencv(tmp_path: Path, form: str):
    path = written(tmp_path, form, four())
    file = path / "extri.yml" if path.is_dir() else path
    storage = file.read_text()
    if form == "easymocap":
        file.write_text(storage[: storage.index("R_cam_3")])
    else:
        file.write_text(storage[: storage.rindex("R: ")] + "R: !!opencv-matrix { rows: 0, cols: 0, dt: d, data: [] }\n")
    rig = load_rig(path, units="mm" if form == "opencv" else None)
    assert rig.names == ("cam_0", "cam_1", "cam_2")
    assert any(note.startswith("camera cam_3") for note in rig.notes)


def test_zeros_for_poses_that_are_not_known_yet(tmp_path: Path):
    """Pose2Sim and anipose write them. One camera may well define the world."""
    rig = four()
    R, t_mm = rig.cameras.R.clone(), rig.cameras.t_mm.clone()
    for cameras, left in (([3], 4), ([2, 3], 2), ([0, 1, 2, 3], None)):
        R[cameras], t_mm[cameras] = torch.eye(3, dtype=torch.float64), 0
        path = tmp_path / f"{len(cameras)}.toml"
        save_rig(replace(rig, cameras=replace(rig.cameras, R=R, t_mm=t_mm)), path, format="pose2sim")
        if left is None:
            with pytest.raises(InputError, match="no camera of it can be used: 'cam_0' has intrinsics only"):
                load_rig(path)
        else:
            assert len(load_rig(path)) == left


def test_half_a_pose_is_a_mistake(tmp_path: Path):
    path = written(tmp_path, "caliscope", four())
    path.write_text(toml_without_pose(path.read_text(), None) + "translation = [0.0, 0.0, 0.0]\n")
    with pytest.raises(InputError, match="'rotation' is missing"):
        load_rig(path)


def assert_exact(path: Path, rig: Rig, scale: float = 1.0) -> None:
    """OpenCV, with the numbers that the file was made from, sees the same pixels as the rig that was read."""
    read, cameras = load_rig(path), rig.cameras
    assert read.names == rig.names
    for v in range(len(rig)):
        K = cameras.K[v].numpy().copy()
        K[:2, 2] -= 0.5
        K[:2] *= scale
        vector, lens = cv2.Rodrigues(cameras.R[v].numpy())[0], cameras.distortion[v].numpy()
        pixels = cv2.projectPoints(STANDING_MM.numpy(), vector, cameras.t_mm[v].numpy(), K, lens)[0][:, 0]
        np.testing.assert_allclose(read.cameras[v].project(STANDING_MM) - 0.5, pixels, rtol=0, atol=1e-7)


def sensor(text: str, height: int, width: int, resolution: str | None, **attributes: str) -> str:
    """A file of this sensor, which says that its pictures have this resolution."""
    said = "" if resolution is None else f' video_resolution="{resolution}"'
    said += "".join(f' {key}="{value}"' for key, value in attributes.items())
    for was, now in ((1280, width), (720, height)):
        text = text.replace(f'"{was - 1}"', f'"{now - 1}"').replace(f'"{(was - 1) * 64.0}"', f'"{(now - 1) * 64.0}"')
    return text.replace('viewrotation="0"', f'viewrotation="0"{said}')


RESOLUTIONS = [
    # sensor (height, width), what the file says, lines of the picture by those of the sensor
    ((1440, 1920), "1440p", 1.0),
    ((1440, 1920), "720p", 0.5),
    ((1440, 1920), "1080p", 0.75),
    ((1440, 1920), "N/A", 1.0),
    ((1440, 1920), "", 1.0),
    ((1440, 1920), None, 1.0),
    ((1088, 1920), "1080p", 1.0),
    ((1088, 1920), "540p", 0.5),
    ((1920, 1088), "540p", 0.5),
    ((1080, 1920), "720p", 2 / 3),
]


@pytest.mark.parametrize("which", ["both", "intrinsic", "fov_video_max"])
@pytest.mark.parametrize(("size", "said", "scale"), RESOLUTIONS)
def test_qualisys_pictures_of_fewer_lines_than_the_sensor(
    tmp_path: Path, size: tuple[int, int], said: str | None, scale: float, which: str
):
    path = written(tmp_path, "qualisys", four())
    text = sensor(path.read_text(), *size, said)
    if which == "fov_video_max":
        text = text.replace("sensorMax", "other")
    if which == "intrinsic":
        text = text.replace("fov_video_max", "other")
    path.write_text(text)
    rig = load_rig(path)
    assert rig.cameras.image_hw is not None
    assert rig.cameras.image_hw.tolist() == [[round(size[0] * scale), round(size[1] * scale)]] * 4
    K = four().cameras.K.clone()
    K[:, :2, 2] -= 0.5
    K[:, :2] *= scale
    K[:, :2, 2] += 0.5
    torch.testing.assert_close(rig.cameras.K, K, rtol=0, atol=1e-9)
    if which == "both" and said == "720p":
        assert_exact(path, four(), scale)


def test_qualisys_resolution_that_no_sensor_gives(tmp_path: Path):
    path = written(tmp_path, "qualisys", four())
    path.write_text(sensor(path.read_text(), 1088, 1920, "1440p"))
    with pytest.raises(InputError, match="1440p.*1080 lines"):
        load_rig(path)


def test_qualisys_camera_that_is_marked_as_not_calibrated(tmp_path: Path):
    path = written(tmp_path, "qualisys", four())
    first, last = path.read_text().rsplit("<camera ", 1)
    path.write_text(f'{first}<camera calibrated="false" {last}')
    rig = load_rig(path)
    assert rig.names == ("cam_0", "cam_1", "cam_2")
    assert rig.notes == ("camera cam_3 of rig.qca.txt is marked as not calibrated, and is left out",)
    assert_exact(path, four().selected(["cam_0", "cam_1", "cam_2"]))


HABITS: dict[str, tuple[float, str]] = {
    # habit: factor from mm to the file's unit, and what the note says
    "pose2sim": (1e-3, "lengths in m and z up, the habit of Pose2Sim (--units and --up to say otherwise)"),
    "anipose": (1e-3, "lengths in m, the habit of Pose2Sim and anipose (--units to say otherwise)"),
    "easymocap": (1e-3, "lengths in m, the habit of EasyMocap (--units to say otherwise)"),
    "voxelpose": (1.0, "lengths in mm and z up, the habit of VoxelPose (Campus, Shelf)"),
}


def habitual(folder: Path, habit: str, rig: Rig) -> Path:
    if habit == "pose2sim":
        rig = replace(rig, up=torch.tensor(Z, dtype=torch.float64))
        save_rig(rig, folder / "rig", format="pose2sim")
        return folder / "rig"
    return written(folder, "pose2sim" if habit == "anipose" else habit, rig)


@pytest.mark.parametrize("habit", HABITS)
def test_what_is_taken_for_granted_is_said(tmp_path: Path, habit: str):
    path = habitual(tmp_path, habit, four())
    rig = load_rig(path)
    (note,) = rig.notes
    assert HABITS[habit][1] in note
    assert note in check(rig).remarks
    assert load_rig(path, units="mm" if habit == "voxelpose" else "m", up="z").notes == ()


@pytest.mark.parametrize("habit", HABITS)
def test_a_habit_that_makes_giants_or_dwarfs_is_not_followed(tmp_path: Path, habit: str):
    factor = 1000.0 if habit != "voxelpose" else 0.001
    rig = four()
    other = replace(rig, cameras=replace(rig.cameras, t_mm=rig.cameras.t_mm * factor))
    path = habitual(tmp_path, habit, other)
    with pytest.raises(InputError, match="its unit is not stated.* apart; give --units"):
        load_rig(path)
    units = "m" if habit == "voxelpose" else "mm"
    torch.testing.assert_close(load_rig(path, units=units).cameras.t_mm, rig.cameras.t_mm, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("factor", "doubtful"), [(1e-3, True), (2e-3, True), (4e-3, False), (10, False), (14, True)])
def test_units_that_cannot_be_right_are_said(tmp_path: Path, factor: float, doubtful: bool):
    """Rigs of 8 m, 16 mm, 32 mm, 80 m and 112 m, in a file that states its unit."""
    rig = four()
    path = written(tmp_path, "list", replace(rig, cameras=replace(rig.cameras, t_mm=rig.cameras.t_mm * factor)))
    faults = check(load_rig(path)).faults
    assert any("the units are probably wrong" in fault for fault in faults) == doubtful


Form = Literal["NFC", "NFD"]
NAMES = ("Caméra_1", "Kamera_ö", "カメラが", "cam_4")


@pytest.mark.parametrize(("form", "other"), [("NFC", "NFD"), ("NFD", "NFC")])
@pytest.mark.parametrize("change", [Path.with_suffix, lambda path, _: path], ids=["file", "folder"])
def test_names_are_compared_in_one_unicode_form(
    tmp_path: Path, form: Form, other: Form, change: Callable[[Path, str], Path]
):
    """macOS gives names of files decomposed, whatever the calibration has."""
    path = written(tmp_path, "trivox", replace(four(), names=tuple(unicodedata.normalize(form, n) for n in NAMES)))
    rig = load_rig(path)
    assert rig.names == NAMES
    views = [change(tmp_path / unicodedata.normalize(other, name), ".mp4") for name in NAMES[:3]]
    for view in views:
        view.touch() if view.suffix else view.mkdir()
    assert match_cameras(rig, views).names == NAMES[:3]
    asked = [unicodedata.normalize(other, name) for name in (NAMES[2], NAMES[0], NAMES[1])]
    assert match_cameras(rig, views, asked).names == (NAMES[2], NAMES[0], NAMES[1])
    assert load_rig(path, names=asked).names == match_cameras(rig, views, asked).names
    assert rig.selected(asked[:1]).names == NAMES[2:3]


def test_one_name_in_two_unicode_forms_is_one_name(tmp_path: Path):
    path = written(tmp_path, "list", four())
    document = json.loads(path.read_text())
    for camera, form in zip(document, ("NFC", "NFD"), strict=False):
        camera["name"] = unicodedata.normalize(form, "Caméra")
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match="two cameras are called 'Caméra'"):
        load_rig(path)


def test_the_cases(cases: Path):
    """Files made after reports of users of other programs, and pixels of the joints of the demo."""
    truth = torch.tensor(np.load(cases.parent / "data" / "demo_scene" / "truth.npz")["points_mm"][:, 0]).double()
    for folder, calibration in (("qualisys_1440", "1440p.qca.txt"), ("camera_without_pose", "calis_unposed.toml")):
        rig = load_rig(cases / folder / calibration)
        assert len(rig) == (4 if folder == "qualisys_1440" else 3)
        for v in range(len(rig)):
            seen = load_keypoints(cases / folder / f"cam{v + 1}.json")
            pixels = rig.cameras[v].project(truth[seen.frames].reshape(-1, 3)).reshape(-1, 17, 2)
            torch.testing.assert_close(seen.points_px[:, 0].double(), pixels, rtol=0, atol=0.01)
