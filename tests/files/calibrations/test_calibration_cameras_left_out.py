"""Every camera that a file names is in the rig, or said to be left out and why; the others come out equal."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rigs import ring  # pyright: ignore[reportMissingImports]

from trivox.errors import InputError
from trivox.files.calibrations import FORMAT_NAMES, load_rig, save_rig
from trivox.files.matching import match_cameras
from trivox.geometry.rig import Rig

Z, Y_DOWN = (0.0, 0.0, 1.0), (0.0, -1.0, 0.0)
UP = {"qualisys": Z, "voxelpose": Z, "human36m": Z, "panoptic": Y_DOWN, "pose2sim": Z}
FILES = {"opencv": "rig.yml", "easymocap": "calib", "qualisys": "rig.qca.txt", "caliscope": "a.toml"}
NAMES = ("cam_0", "cam_1", "cam_2", "cam_3")
NO_POSE = "has intrinsics only, no pose"


def written(folder: Path, form: str, rig: Rig | None = None) -> Path:
    rig = Rig(NAMES, ring(4)) if rig is None else rig
    up = torch.tensor(UP[form], dtype=torch.float64) if form in UP else None
    path = folder / FILES.get(form, "rig")
    save_rig(replace(rig, up=up), path, format=form)
    return path


def edited(path: Path, change: Callable[[str], str]) -> None:
    before = path.read_text()
    path.write_text(change(before))
    assert path.read_text() != before


def assert_left_out(path: Path, reason: str, names: tuple[str, ...] = ("cam_3",)) -> Rig:
    """The other cameras are those of `ring`, one note says why these are not there, and so does giving their view."""
    rig = load_rig(path)
    assert rig.names == tuple(name for name in NAMES if name not in names)
    expected = Rig(NAMES, ring(4)).selected(rig.names)
    for field in ("K", "R", "t_mm", "distortion"):
        one, other = getattr(rig.cameras, field), getattr(expected.cameras, field)
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    (note,) = [note for note in rig.notes if "left out" in note]
    who = f"camera {names[0]} of" if len(names) == 1 else f"each of the cameras {', '.join(names)} of"
    assert note == f"{who} {path.name} {reason}, and is left out"
    for name in ("cam_0", *names):
        (path.parent / "views" / name).mkdir(parents=True, exist_ok=True)
    for name in names:
        views = [path.parent / "views" / "cam_0", path.parent / "views" / name]
        said = re.escape(f"belongs to camera {name}, which {reason}; leave the view out")
        with pytest.raises(InputError, match=said):
            match_cameras(rig, views)
        with pytest.raises(InputError, match=re.escape(f"camera {name!r} {reason}")):
            load_rig(path, names=["cam_0", name])
    return rig


def last_table(text: str, change: Callable[[str], str]) -> str:
    """A text of TOML with its last table changed."""
    at = text.rindex("\n[cam") + 1
    return text[:at] + change(text[at:])


# caliscope and Pose2Sim


def test_caliscope_camera_without_mounting_is_unturned(tmp_path: Path):
    path = written(tmp_path, "caliscope", Rig(NAMES, ring(4), quarter_turns=(0, 3, 1, 2)))
    edited(path, lambda text: last_table(text, lambda table: re.sub("rotation_count = .*\n", "", table)))
    rig = load_rig(path)
    assert rig.names == NAMES and rig.quarter_turns == (0, 3, 1, 0)
    torch.testing.assert_close(rig.cameras.t_mm, ring(4).t_mm, rtol=0, atol=1e-6)


@pytest.mark.parametrize("old", [False, True], ids=["under cameras", "at the top"])
@pytest.mark.parametrize(
    ("left", "reason"),
    [
        ("cam_id = 3\n", "has no intrinsics"),
        ("size = [1280, 720]\ncam_id = 3\nrotation_count = 0\n", "has no intrinsics"),
        ("port = 3\nignore = true\n", "is marked with ignore = true"),
        ("rotation_count = 0\nignore = true\n", "is marked with ignore = true"),
    ],
)
def test_caliscope_cameras_that_say_little(tmp_path: Path, left: str, reason: str, old: bool):
    path = written(tmp_path, "caliscope")
    edited(path, lambda text: last_table(text, lambda table: table.split("\n")[0] + "\n" + left))
    if old:
        edited(path, lambda text: text.replace("[cameras.", "[cam_") + "\n[stereo_0_1]\nrotation = [1, 2, 3]\n")
    port = "port" in left
    if port:
        edited(path, lambda text: text.replace("cam_id", "port"))
    rig = load_rig(path)
    prefix = "port" if port else "cam"
    assert rig.names == tuple(f"{prefix}_{i}" for i in range(3))
    assert rig.notes == (f"camera {prefix}_3 of a.toml {reason}, and is left out",)
    torch.testing.assert_close(rig.cameras.t_mm, ring(4).t_mm[:3], rtol=0, atol=1e-6)


def test_caliscope_camera_to_be_ignored(tmp_path: Path):
    path = written(tmp_path, "caliscope")
    edited(path, lambda text: last_table(text, lambda table: table.replace("ignore = false", "ignore = true")))
    assert_left_out(path, "is marked with ignore = true")


@pytest.mark.parametrize(
    ("left", "reason"),
    [
        ('name = "cam_3"\n', "has no intrinsics"),
        ('name = "cam_3"\nsize = [1280.0, 720.0]\nfisheye = false\n', "has no intrinsics"),
        (
            'matrix = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]\nname = "cam_3"\nfisheye = false\n',
            NO_POSE,
        ),
    ],
)
def test_pose2sim_cameras_that_say_little(tmp_path: Path, left: str, reason: str):
    path = written(tmp_path, "pose2sim")
    edited(path, lambda text: last_table(text, lambda table: table.split("\n")[0] + "\n" + left) + "[metadata]\n")
    assert assert_left_out(path, reason).up is not None


def test_a_caliscope_file_is_not_taken_for_pose2sims(tmp_path: Path):
    path = written(tmp_path, "caliscope")
    edited(path, lambda text: text.replace("[cameras.", "[cam_"))
    edited(path, lambda text: last_table(text, lambda table: re.sub("rotation_count.*\n", "", table)))
    with pytest.raises(InputError, match="does not look like Pose2Sim"):
        load_rig(path, format="pose2sim")
    assert len(load_rig(path)) == 4


# EasyMocap


def without_keys(text: str, pattern: str) -> str:
    """YAML without the keys that match, over as many lines as they take."""
    return re.sub(rf"^({pattern}):.*\n( .*\n)*", "", text, flags=re.MULTILINE)


def easymocap_without_lens(folder: Path) -> None:
    edited(folder / "intri.yml", lambda text: without_keys(text, "(K|dist|H|W)_cam_3"))


def easymocap_in_extrinsics_only(folder: Path) -> None:
    easymocap_without_lens(folder)
    edited(folder / "intri.yml", lambda text: text.replace('  - "cam_3"\n', ""))
    edited(folder / "extri.yml", lambda text: without_keys(text, "names"))


def easymocap_without_list(folder: Path) -> None:
    easymocap_without_lens(folder)
    for file in ("intri.yml", "extri.yml"):
        edited(folder / file, lambda text: without_keys(text, "names"))


def easymocap_not_listed(folder: Path) -> None:
    for file in ("intri.yml", "extri.yml"):
        edited(folder / file, lambda text: text.replace('  - "cam_3"\n', ""))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (easymocap_without_lens, "has no intrinsics"),
        (easymocap_without_list, "has no intrinsics"),
        (easymocap_in_extrinsics_only, "is not listed in 'names'"),
        (easymocap_not_listed, "is not listed in 'names'"),
    ],
)
@pytest.mark.parametrize("given", ["", "intri.yml", "extri.yml"])
def test_easymocap_camera_in_one_half(tmp_path: Path, change: Callable[[Path], None], reason: str, given: str):
    folder = written(tmp_path, "easymocap")
    change(folder)
    rig = load_rig(folder / given)
    assert rig.names == NAMES[:3] and rig.uncalibrated == {"cam_3": reason}
    torch.testing.assert_close(rig.cameras.t_mm, ring(4).t_mm[:3], rtol=0, atol=1e-6)
    assert any(note.startswith("camera cam_3 of ") and reason in note for note in rig.notes)


# Human3.6M and OpenCV


def test_human36m_camera_without_intrinsics(tmp_path: Path):
    path = written(tmp_path, "human36m")
    document = json.loads(path.read_text())
    del document["intrinsics"]["cam_3"]
    path.write_text(json.dumps(document))
    assert_left_out(path, "has no intrinsics")


@pytest.mark.parametrize("value", ["", "null", "~", "{ name: cam_3 }"])
def test_opencv_mapping_without_anything(tmp_path: Path, value: str):
    """A file with a mapping for each camera, named by its key."""
    path = written(tmp_path, "opencv")

    def change(text: str) -> str:
        cameras = re.sub(r'   -\n      name: "(.*)"', r"\1:", text.replace("cameras:\n", ""))
        return f"{cameras[: cameras.index('cam_3')]}cam_3: {value}\nboard:\n"

    edited(path, change)
    assert_left_out(path, "has no intrinsics")


# Qualisys


def with_models(text: str, models: tuple[str, ...]) -> str:
    parts = text.split('model="none"')
    assert len(parts) == len(models) + 1
    return "".join(part + f'model="{model}"' for part, model in zip(parts, models, strict=False)) + parts[-1]


@pytest.mark.parametrize(
    "model",
    *[
        [
            *("Oqus 210c", "Oqus 310", "Oqus 310+", "Oqus 200 c", "Oqus 200", "Oqus 2c", "Oqus 510+", "Miqus Hybrid"),
            *("Miqus Video Color", "Miqus Video Color Plus", "none", "", "Test Camera", "Oqus"),
        ]
    ],
)
def test_qualisys_cameras_with_pictures_stay(tmp_path: Path, model: str):
    path = written(tmp_path, "qualisys")
    edited(path, lambda text: with_models(text, ("Miqus Video", model, "Miqus Video", model)))
    rig = load_rig(path)
    assert rig.names == NAMES and rig.notes == ()
    torch.testing.assert_close(rig.cameras.t_mm, ring(4).t_mm, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "model",
    [
        *("Miqus M1", "Miqus M3", "miqus  m5", "Arqus A5", "Arqus A26", "Oqus 300", "Oqus 300 plus", "Oqus 700+"),
        *("Oqus 7+", "ProReflex 1000"),
    ],
)
def test_qualisys_marker_cameras_are_left_out_of_mixed_systems(tmp_path: Path, model: str):
    path = written(tmp_path, "qualisys")
    edited(path, lambda text: with_models(text, ("Miqus Video", "Oqus 210c", model, model)))
    assert_left_out(path, f"is a marker camera ({model}) beside video cameras", ("cam_2", "cam_3"))


def test_qualisys_systems_of_marker_cameras_only_are_read(tmp_path: Path):
    path = written(tmp_path, "qualisys")
    edited(path, lambda text: with_models(text, ("Miqus M3",) * 4))
    assert load_rig(path).names == NAMES


def test_many_marker_cameras_make_one_note(tmp_path: Path):
    names = tuple(f"{i}" for i in range(14))
    path = written(tmp_path, "qualisys", Rig(names, ring(14)))
    edited(path, lambda text: with_models(text, ("Miqus Video", "Miqus Video", *["Miqus M3"] * 12)))
    rig = load_rig(path)
    assert rig.names == ("0", "1") and len(rig.uncalibrated) == 12
    (note,) = rig.notes
    assert note.startswith("each of the cameras 2, 3, 4, 5, 6, 7, 8, 9 and 4 more of rig.qca.txt is a marker camera")


@pytest.mark.parametrize("said", ["false", "False", "0", "no", "n", " NO ", "failed"])
def test_qualisys_cameras_that_are_said_to_be_uncalibrated(tmp_path: Path, said: str):
    path = written(tmp_path, "qualisys")
    edited(path, lambda text: f'<camera calibrated="{said}" '.join(text.rsplit("<camera ", 1)))
    assert_left_out(path, "is marked as not calibrated")


@pytest.mark.parametrize("said", ["true", "True", "1", "yes", "", "N/A"])
def test_qualisys_cameras_that_are_said_to_be_calibrated(tmp_path: Path, said: str):
    path = written(tmp_path, "qualisys")
    edited(path, lambda text: text.replace("<camera ", f'<camera calibrated="{said}" '))
    assert load_rig(path).names == NAMES


@pytest.mark.parametrize(
    ("sensor", "said", "same"),
    [
        ((1440, 1920), "1440P", "1440p"),
        ((1440, 1920), " 720p ", "720p"),
        ((1440, 1920), "720p (low)", "720p"),
        ((1440, 1920), "1080", "1080p"),
        ((1440, 1920), "1920x1440", "1440p"),
        ((1440, 1920), "960 X 720", "720p"),
        ((1440, 1920), "1440x1080", "1080p"),
        ((1088, 1920), "1920 x 1080", "1080p"),
        ((1088, 1920), "1920×1080", "1080p"),
        ((1920, 1088), "540x960", "540p"),
    ],
)
def test_qualisys_resolutions_in_other_words(tmp_path: Path, sensor: tuple[int, int], said: str, same: str):
    rigs = []
    for number, resolution in enumerate((said, same)):
        size = torch.tensor(sensor).expand(4, 2)
        (tmp_path / str(number)).mkdir()
        path = written(tmp_path / str(number), "qualisys", Rig(NAMES, replace(ring(4), image_hw=size)))
        edited(path, lambda text, said=resolution: text.replace("<camera ", f'<camera video_resolution="{said}" '))
        rigs.append(load_rig(path).cameras)
    assert torch.equal(rigs[0].K, rigs[1].K) and torch.equal(rigs[0].image_hw, rigs[1].image_hw)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        *((said, "expected for example '1080p'") for said in ("full HD", "p", "0p", "720p50", "1920x", "1x2x3")),
        ("1920x1080", "another shape than that of the sensor, 1920 x 1440"),
        ("2560x1920", "the sensor has 1440 lines"),
    ],
)
def test_qualisys_resolutions_that_do_not_tell(tmp_path: Path, said: str, sentence: str):
    size = torch.tensor([1440, 1920]).expand(4, 2)
    path = written(tmp_path, "qualisys", Rig(NAMES, replace(ring(4), image_hw=size)))
    edited(path, lambda text: text.replace("<camera ", f'<camera video_resolution="{said}" '))
    with pytest.raises(InputError, match=f"camera 'cam_0': 'video_resolution' is .*{sentence}"):
        load_rig(path)


# Poses that are none

EVERY = [form for form in FORMAT_NAMES if form != "trivox"]
IDENTITY = torch.eye(3, dtype=torch.float64)


def with_unposed(folder: Path, form: str, cameras: tuple[int, ...]) -> Path:
    """A file in which these cameras have what a program writes before it knows their poses."""
    rig = Rig(NAMES, ring(4))
    R, t_mm = rig.cameras.R.clone(), rig.cameras.t_mm.clone()
    # Qualisys counts from its own axes, in which y is up and z backwards.
    R[list(cameras)] = IDENTITY if form != "qualisys" else torch.diag(torch.tensor([1.0, -1, -1]).double())
    t_mm[list(cameras)] = 0
    return written(folder, form, replace(rig, cameras=replace(rig.cameras, R=R, t_mm=t_mm)))


@pytest.mark.parametrize("form", EVERY)
def test_zero_poses_of_several_cameras_are_none(tmp_path: Path, form: str):
    path = with_unposed(tmp_path, form, (1, 3))
    rig = load_rig(path, units="mm" if form == "opencv" else None)
    assert rig.names == ("cam_0", "cam_2")
    torch.testing.assert_close(rig.cameras.t_mm, ring(4).t_mm[[0, 2]], rtol=0, atol=1e-6)
    assert rig.uncalibrated == dict.fromkeys(("cam_1", "cam_3"), NO_POSE)
    assert any(note.startswith("each of the cameras cam_1, cam_3 of ") for note in rig.notes)


@pytest.mark.parametrize("form", EVERY)
@pytest.mark.parametrize("camera", [0, 2])
def test_a_zero_pose_of_one_camera_may_be_the_world(tmp_path: Path, form: str, camera: int):
    """The first camera defines the world in many programs; of another one it is said."""
    path = with_unposed(tmp_path, form, (camera,))
    units = "mm" if form == "opencv" else None
    rig = load_rig(path, units=units)
    assert rig.names == NAMES and not rig.uncalibrated
    notes = [note for note in rig.notes if "no rotation and no translation" in note]
    assert len(notes) == (camera > 0) and all(note.startswith("camera cam_2 of ") for note in notes)
    others = load_rig(path, units=units, names=["cam_1", "cam_3"])
    assert not any("no rotation" in note for note in others.notes)


def rotation_of_zeros(text: str, form: str) -> str:
    """The last camera with a rotation matrix of zeros."""
    if form == "qualisys":
        at = text.rindex("<transform")
        return text[:at] + re.sub(r'r(\d\d)="[^"]*"', r'r\1="0.000000"', text[at:])
    if form == "caliscope":
        return last_table(
            text, lambda t: re.sub(r"rotation = \[.*?\n\]", f"rotation = {[[0.0] * 3] * 3}", t, flags=re.S)
        )
    if form in ("easymocap", "opencv"):
        at = text.rindex("Rot_cam_3:" if form == "easymocap" else " R: ")
        return text[:at] + re.sub(r"data: \[.*?\]", "data: [ 0., 0., 0., 0., 0., 0., 0., 0., 0. ]", text[at:], count=1)
    document = json.loads(text)
    if form == "mvor":
        document["cameras_info"]["camParams"]["extrinsics"][-1] = [0] * 16
    else:
        last_place(document, form)["R"] = [[0, 0, 0]] * 3
    return json.dumps(document)


def last_place(document: Any, form: str) -> dict[str, Any]:
    """Where the pose of the last camera stands."""
    return {
        "list": lambda: document[-1],
        "panoptic": lambda: document["cameras"][-1],
        "voxelpose": lambda: document["cam_3"],
        "human36m": lambda: document["extrinsics"]["S1"]["cam_3"],
    }[form]()


@pytest.mark.parametrize("form", [form for form in EVERY if form != "pose2sim"])
def test_a_rotation_of_zeros_is_no_pose(tmp_path: Path, form: str):
    path = written(tmp_path, form)
    edited(path / "extri.yml" if path.is_dir() else path, lambda text: rotation_of_zeros(text, form))
    rig = load_rig(path, units="mm" if form == "opencv" else None)
    assert rig.names == NAMES[:3] and rig.uncalibrated == {"cam_3": "has a rotation of zeros only, which is no pose"}
    torch.testing.assert_close(rig.cameras.R, ring(4).R[:3], rtol=0, atol=1e-9)
    torch.testing.assert_close(rig.cameras.t_mm, ring(4).t_mm[:3], rtol=0, atol=1e-6)


@pytest.mark.parametrize("form", ["list", "panoptic", "voxelpose", "human36m"])
def test_a_rotation_of_zeros_without_translation_is_no_pose(tmp_path: Path, form: str):
    path = written(tmp_path, form)
    document = json.loads(path.read_text())
    place = last_place(document, form)
    place.update({key: None for key in ("t", "T", "t_mm") if key in place}, R=[["0.0"] * 3] * 3)
    path.write_text(json.dumps(document))
    assert_left_out(path, NO_POSE)


@pytest.mark.parametrize("word", [".nan", ".NaN", ".Nan", "nan", "NaN", "-nan", "-nan(ind)"])
@pytest.mark.parametrize("file", ["rig.yml", "rig.xml", "calib"])
def test_poses_of_nan_in_opencvs_words(tmp_path: Path, word: str, file: str):
    form = "easymocap" if file == "calib" else "opencv"
    save_rig(Rig(NAMES, ring(4)), tmp_path / file, format=form)
    path = tmp_path / file / "extri.yml" if file == "calib" else tmp_path / file

    def change(text: str) -> str:
        start = {"rig.yml": " R: ", "rig.xml": "<R ", "calib": "R_cam_3"}[file]
        at = text.rindex(start)
        pattern = r"(?<=<data>).*?(?=</data>)" if file == "rig.xml" else r"(?<=data: \[ ).*?(?= \])"
        separator = " " if file == "rig.xml" else ", "
        return text[:at] + re.sub(pattern, lambda found: separator.join([word] * len(found[0].split())), text[at:])

    edited(path, change)
    rig = load_rig(tmp_path / file, units="mm" if form == "opencv" else None)
    assert rig.names == NAMES[:3] and rig.uncalibrated == {"cam_3": NO_POSE}
    torch.testing.assert_close(rig.cameras.t_mm, ring(4).t_mm[:3], rtol=0, atol=1e-6)
