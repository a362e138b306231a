"""Every lens in every format: said and read back, or refused by name; the words that programs have for lenses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tomli_w
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rigs import ring  # pyright: ignore[reportMissingImports]
from test_calibration_unstated import UP, written  # pyright: ignore[reportMissingImports]

from trivox.calibration_report import camera_facts, lenses, show
from trivox.cli.main import main
from trivox.errors import InputError
from trivox.files.calibrations import FORMAT_NAMES, load_rig, save_rig, written_lenses
from trivox.files.keypoints import load_keypoints
from trivox.geometry.cameras import Cameras
from trivox.geometry.distortion import DistortionModel
from trivox.geometry.rig import Rig

OPENCV = (-0.21, 0.05, 1e-3, -2e-3, 0.02, 0.03, -0.01, 0.004, 1e-3, -4e-4, 6e-4, 2e-4, 0.01, -0.02)
FISHEYE = (0.05, 0.01, -0.02, 0.004)

LENSES: dict[str, tuple[DistortionModel, tuple[float, ...]]] = {
    "none": ("opencv", ()),
    **{f"opencv {count}": ("opencv", OPENCV[:count]) for count in (1, 2, 4, 5, 8, 12, 14)},
    "fisheye": ("fisheye", FISHEYE),
    "equidistant": ("fisheye", (0.0,) * 4),
    "human36m": ("human36m", OPENCV[:5]),
}
# Which of them each format can say; those of up to five terms are said by all but mvor.
MORE = {"opencv 8", "opencv 12", "opencv 14"}
SAYS: dict[str, set[str]] = {
    "trivox": {*MORE, "fisheye", "equidistant", "human36m"},
    **{form: {*MORE, "fisheye", "equidistant"} for form in ("caliscope", "pose2sim", "list", "opencv")},
    "easymocap": MORE,
    "human36m": {"human36m"},
}
FEW = {"none", "opencv 1", "opencv 2", "opencv 4", "opencv 5"}


def says(form: str, lens: str) -> bool:
    if form == "mvor":
        return lens == "none"
    if form == "human36m" and lens in ("opencv 4", "opencv 5"):  # tangential terms mean another thing there
        return False
    return lens in FEW | SAYS.get(form, set())


def lens_on(camera: Cameras, model: DistortionModel, terms: Sequence[float]) -> Cameras:
    return replace(camera, distortion=torch.tensor(terms, dtype=torch.float64), distortion_model=model, image_hw=None)


def rig_with(*names: str) -> Rig:
    """Cameras on a ring, one for each of these lenses."""
    cameras = ring(len(names))
    single = [
        Cameras(
            cameras.K[i],
            cameras.R[i],
            cameras.t_mm[i],
            torch.tensor(LENSES[name][1], dtype=torch.float64),
            LENSES[name][0],
        )
        for i, name in enumerate(names)
    ]
    return Rig(tuple(f"cam_{i}" for i in range(len(names))), replace(Cameras.stack(single), image_hw=cameras.image_hw))


def pixels_of(rig: Rig) -> torch.Tensor:
    """Pixels of points about the middle of the ring."""
    points = torch.tensor(np.random.default_rng(0).uniform(-900, 900, (40, 3))) + torch.tensor([0, 0, 1000.0])
    return rig.cameras.project(points)


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("form", FORMAT_NAMES)
def test_each_lens_comes_back_or_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, lens: str
):
    monkeypatch.setattr(written_lenses, "_fitted", lambda *_: None)  # tried below
    rig = rig_with(lens, lens)
    if not says(form, lens):
        with pytest.raises(InputError, match="cannot say that camera 'cam_0' has .*(lens|human36m)"):
            written(tmp_path, form, rig)
        assert not any(path.is_file() for path in tmp_path.rglob("*"))
        return
    read = load_rig(written(tmp_path, form, rig), units="mm" if form in ("list", "opencv") else None)
    torch.testing.assert_close(pixels_of(read), pixels_of(rig), rtol=0, atol=1e-9)
    given = rig.cameras.distortion
    torch.testing.assert_close(read.cameras.distortion[:, : given.shape[1]], given, rtol=0, atol=1e-12)
    if form != "human36m":
        assert read.cameras.distortion_models == rig.cameras.distortion_models


def test_every_word_of_the_table_is_a_format():
    assert SAYS.keys() < set(FORMAT_NAMES)


@pytest.mark.parametrize("form", [form for form, said in SAYS.items() if "fisheye" in said])
def test_lenses_of_several_kinds_in_one_rig(tmp_path: Path, form: str):
    names = ["opencv 4", "fisheye", "none", "opencv 14", "equidistant"] + (["human36m"] if form == "trivox" else [])
    rig = rig_with(*names)
    read = load_rig(written(tmp_path, form, rig))
    torch.testing.assert_close(pixels_of(read), pixels_of(rig), rtol=0, atol=1e-9)
    assert read.cameras.distortion_models == rig.cameras.distortion_models
    facts = {row.name: row for row in camera_facts(read)}
    assert facts["cam_1"].lens == "fisheye (Kannala-Brandt), 4 terms" and facts["cam_1"].distortion == FISHEYE
    assert facts["cam_3"].lens == "OpenCV, 14 terms" and facts["cam_2"].lens == "no distortion"
    assert "cam_1, cam_4: fisheye" in lenses(read)
    assert all(row.lens in show(read) for row in facts.values())


RANDOM_LENSES = [("opencv", 5), ("opencv", 8), ("opencv", 14), ("fisheye", 4)]


@pytest.mark.parametrize("form", ["trivox", "list", "opencv", "pose2sim", "caliscope"])
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_lenses_come_back(tmp_path: Path, form: str, data: st.DataObject):
    numbers = st.floats(-0.3, 0.3).map(lambda x: x if abs(x) > 1e-300 else 0.0)
    drawn = [
        data.draw(st.tuples(st.just(model), st.lists(numbers, min_size=count, max_size=count)))
        for model, count in data.draw(
            st.lists(
                st.sampled_from([("opencv", 5), ("opencv", 8), ("opencv", 14), ("fisheye", 4)]), min_size=2, max_size=4
            )
        )
    ]
    cameras = ring(len(drawn))
    single = [
        replace(cameras[i], distortion=torch.tensor(k, dtype=torch.float64), distortion_model=m)
        for i, (m, k) in enumerate(drawn)
    ]
    rig = Rig(tuple(f"cam_{i}" for i in range(len(drawn))), replace(Cameras.stack(single), image_hw=cameras.image_hw))
    read = load_rig(written(tmp_path, form, rig)).cameras
    assert read.distortion_models == rig.cameras.distortion_models
    both = min(read.distortion.shape[1], rig.cameras.distortion.shape[1])
    assert torch.equal(read.distortion[:, :both], rig.cameras.distortion[:, :both])
    assert not read.distortion[:, both:].any() and not rig.cameras.distortion[:, both:].any()


# --- reading, against OpenCV ---


def projected(K: np.ndarray, dist: tuple[float, ...], is_fisheye: bool, points_mm: np.ndarray) -> np.ndarray:
    vector, shift = np.array([0.1, -0.2, 0.05]), np.array([10.0, -30.0, 4000.0])
    if is_fisheye:
        return cv2.fisheye.projectPoints(points_mm[:, None], vector, shift, K, np.array(dist or (0.0,) * 4))[0][:, 0]
    return cv2.projectPoints(points_mm, vector, shift, K, np.array((*dist, 0, 0, 0, 0)[: max(4, len(dist))]))[0][:, 0]


K = np.array([[900.0, 0, 641.5], [0, 905.0, 352.0], [0, 0, 1]])
POINTS = np.random.default_rng(1).uniform(-1500, 1500, (60, 3))
EXTRINSICS = {"R": cv2.Rodrigues(np.array([0.1, -0.2, 0.05]))[0].tolist(), "t": [10.0, -30.0, 4000.0]}


def assert_sees_as_opencv(rig: Rig, dist: tuple[float, ...], is_fisheye: bool) -> None:
    pixels = projected(K, dist, is_fisheye, POINTS)
    seen = rig.cameras[0].project(torch.tensor(POINTS)) - 0.5
    np.testing.assert_allclose(seen, pixels, rtol=0, atol=1e-8)


def storage(path: Path, words: dict[str, Any], dist: Any) -> Path:
    file = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    for key, value in words.items():
        file.write(key, value)
    file.write("camera_matrix", K)
    if dist is not None:
        file.write("distortion_coefficients", np.array(dist, dtype=float).reshape(-1, 1))
    file.write("R", np.array(EXTRINSICS["R"]))
    file.write("T", np.array(EXTRINSICS["t"]))
    file.release()
    return path


def as_list(path: Path, words: dict[str, Any], dist: Any) -> Path:
    camera = {"name": "a", "K": K.tolist(), "R": EXTRINSICS["R"], "t_mm": EXTRINSICS["t"], **words}
    path.write_text(json.dumps([{**camera, "dist": list(dist)} if dist is not None else camera]))
    return path


def as_panoptic(path: Path, words: dict[str, Any], dist: Any) -> Path:
    camera = {"name": "00_00", "resolution": [1280, 720], "K": K.tolist(), "type": "hd", **EXTRINSICS, **words}
    path.write_text(
        json.dumps({"calibDataSource": "x", "cameras": [{**camera, "distCoef": dist} if dist is not None else camera]})
    )
    return path


def as_easymocap(path: Path, words: dict[str, Any], dist: Any) -> Path:
    path.mkdir()
    for name in ("intri.yml", "extri.yml"):
        file = cv2.FileStorage(str(path / name), cv2.FILE_STORAGE_WRITE)
        file.write("K_1", K)
        if dist is not None:
            file.write("dist_1", np.array(dist, dtype=float).reshape(1, -1))
        for key, value in words.items():
            file.write(f"{key}_1", value)
        file.write("Rot_1", np.array(EXTRINSICS["R"]))
        file.write("T_1", np.array(EXTRINSICS["t"]))
        file.release()
        text = (path / name).read_text()
        wanted = ("R_", "Rot_", "T_") if name == "extri.yml" else ("K_", "dist_", *words)
        kept = [block for block in text.split("\n") if block]
        head, blocks = kept[:2], []
        for line in kept[2:]:
            if not line.startswith(" "):
                blocks.append([])
            blocks[-1].append(line)
        (path / name).write_text("\n".join([*head, *(t for b in blocks if b[0].startswith(wanted) for t in b)]) + "\n")
    return path


def as_toml(path: Path, words: dict[str, Any], dist: Any, more: str) -> Path:
    lines = [f"{key} = {json.dumps(value)}" for key, value in words.items()]
    lines += [] if dist is None else [f"distortions = {list(dist)}"]
    lines += [f"matrix = {K.tolist()}", "size = [1280, 720]", "rotation = [0.1, -0.2, 0.05]"]
    path.write_text("\n".join([more, *lines, f"translation = {EXTRINSICS['t']}"]))
    return path


FAMILIES: dict[str, Callable[[Path, dict[str, Any], Any], Path]] = {
    "c.yml": storage,
    "c.xml": storage,
    "list.json": as_list,
    "panoptic.json": as_panoptic,
    "calib": as_easymocap,
    "pose2sim.toml": lambda path, words, dist: as_toml(path, words, dist, "[cam_1]"),
    "caliscope.toml": lambda path, words, dist: as_toml(
        path, words, dist, "[cameras.1]\ncam_id = 1\nrotation_count = 0"
    ),
}
WORDS: list[tuple[dict[str, Any], bool]] = [
    ({}, False),
    ({"fisheye_model": 1}, True),
    ({"fisheye_model": 0}, False),
    ({"fisheye": "true"}, True),
    ({"fisheye": "false"}, False),
    ({"distortion_model": "equidistant"}, True),
    ({"distortion_model": "Kannala-Brandt"}, True),
    ({"type": "fisheye"}, True),
    ({"camera_model": "pinhole", "distortion_model": "equidistant"}, True),
    ({"distortion_model": "plumb_bob"}, False),
    ({"distortion_model": "rational_polynomial"}, False),
    ({"camera_model": "pinhole"}, False),
    ({"model": "Miqus Video"}, False),
    ({"camera_model": "GoPro Hero 9"}, False),
    ({"camera_model": "FLIR Blackfly S"}, False),
    # As programs and people spell them.
    *[({key: 1}, True) for key in ("Fisheye", "FISHEYE", "fishEye", "isFishEye", "is_fisheye", "fisheye_lens")],
    *[({key: 1}, True) for key in ("use_fisheye", "FisheyeModel", "Calibrate_UseFisheyeModel", "equidistant")],
    *[({key: 0}, False) for key in ("Fisheye", "isFishEye", "use_fisheye", "Calibrate_UseFisheyeModel")],
    ({"fisheye_model": 1.0}, True),
    ({"Model": "OPENCV_FISHEYE"}, True),
    *[({key: "fisheye"}, True) for key in ("dist_model", "distortionmodel", "projection_type", "lens", "flags")],
    *[({key: "fisheye"}, True) for key in ("cam_type", "cameraType", "calib_type", "camera_model", "Type")],
    *[({key: "equidistant"}, True) for key in ("dist_type", "projection", "distortionType")],
    ({"lens": "equidistance"}, True),
    ({"type": "hd_fisheye"}, True),
    ({"flags": "+fisheye+fix_skew"}, True),
    ({"lens_model": "Fisheye lens"}, True),
    ({"file_name": "fisheye/left.mp4"}, False),
]
NESTED: list[tuple[dict[str, Any], bool]] = [
    ({"intrinsics": {"fisheye": True}}, True),
    ({"lens": {"type": "fisheye"}}, True),
    ({"lens": {"model": "pinhole", "maker": "Fujinon"}}, False),
    ({"optics": {"lens": {"is_fisheye": 1}}}, True),
]
TERMS = {True: (FISHEYE, (), None), False: (*(OPENCV[:n] for n in (1, 2, 4, 5, 8, 12, 14)), (), None)}


@pytest.mark.parametrize("file", FAMILIES)
def test_words_for_lenses_in_every_family(tmp_path: Path, file: str):
    """Each word with each number of terms, an empty list and none at all, as OpenCV projects."""
    count = 0
    for words, is_fisheye in WORDS:
        for dist in TERMS[is_fisheye]:
            if dist == () and file in ("c.yml", "c.xml", "calib"):
                continue  # OpenCV writes no empty matrix of one column
            count += 1
            folder = tmp_path / str(count)
            folder.mkdir()
            path = FAMILIES[file](folder / file, words, dist)
            rig = load_rig(path, units=None if file == "list.json" else "mm")
            assert_sees_as_opencv(rig, dist or (), is_fisheye)
            assert any("gives no lens terms for" in note for note in rig.notes) == (dist is None)


@pytest.mark.parametrize("file", ["list.json", "panoptic.json"])
def test_words_in_tables_of_a_camera(tmp_path: Path, file: str):
    for words, is_fisheye in NESTED:
        rig = load_rig(FAMILIES[file](tmp_path / file, words, FISHEYE), units=None if file == "list.json" else "mm")
        assert_sees_as_opencv(rig, FISHEYE, is_fisheye)


WRONG_WORDS: list[tuple[dict[str, Any], Any, str]] = [
    ({"distortion_model": "omni"}, OPENCV[:4], "'distortion_model' says 'omni', a lens that trivox does not have"),
    ({"distortion_model": "division"}, OPENCV[:1], "'division'"),
    ({"distortion_model": "nonsense"}, OPENCV[:4], "'nonsense'"),
    ({"camera_model": "double_sphere"}, OPENCV[:4], "'double_sphere'"),
    ({"type": "omnidirectional"}, OPENCV[:4], "'omnidirectional'"),
    ({"type": "THIN_PRISM_FISHEYE"}, OPENCV[:4], "'THIN_PRISM_FISHEYE'"),
    ({"fisheye": "perhaps"}, OPENCV[:4], "'fisheye' must be true or false, got 'perhaps'"),
    ({"fisheye": 2}, OPENCV[:4], "'fisheye' must be true or false"),
    ({"note": "an old fisheye"}, FISHEYE, "'note' says 'an old fisheye'.* write 'fisheye: true' or 'fisheye: false'"),
    ({"fisheye_rms": 0.3}, FISHEYE, "'fisheye_rms' must be true or false"),
    ({"isFishEye": 0, "Lens": "fisheye"}, FISHEYE, "'Lens' .* 'isFishEye' .* none"),
    ({"fisheye_model": 1, "distortion_model": "plumb_bob"}, FISHEYE, "'fisheye_model' .* 'distortion_model' .* none"),
    ({"fisheye_model": 0, "distortion_model": "equidistant"}, FISHEYE, "'distortion_model' .* 'fisheye_model' .* none"),
    ({"distortion_model": "none"}, OPENCV[:4], "has no distortion, and gives some"),
    ({"fisheye_model": 1}, OPENCV[:5], "5 lens terms for a fisheye"),
    ({"fisheye_model": 1}, FISHEYE[:3], "3 lens terms for a fisheye"),
    ({}, OPENCV[:3], "3 lens terms for an OpenCV lens"),
    ({}, OPENCV[:6], "6 lens terms"),
    ({}, (*OPENCV, 0.1), "15 lens terms"),
]


@pytest.mark.parametrize("file", FAMILIES)
def test_lenses_that_are_not_known_are_refused_by_name(tmp_path: Path, file: str):
    for i, (words, dist, said) in enumerate(WRONG_WORDS):
        (tmp_path / str(i)).mkdir()
        path = FAMILIES[file](tmp_path / str(i) / file, words, dist)
        with pytest.raises(InputError, match=said) as caught:
            load_rig(path, units=None if file == "list.json" else "mm")
        assert "\n" not in str(caught.value)


def test_words_that_hold_for_all_cameras(tmp_path: Path):
    rig = rig_with("fisheye", "fisheye")
    path = written(tmp_path, "opencv", rig)
    once = path.read_text().replace("      fisheye_model: 1\n", "").replace("cameras:", "fisheye_model: 1\ncameras:")
    path.write_text(once)
    torch.testing.assert_close(pixels_of(load_rig(path)), pixels_of(rig), rtol=0, atol=1e-9)
    panoptic = {"name": "00_00", "resolution": [9, 9], "K": K.tolist(), "distCoef": FISHEYE, **EXTRINSICS}
    own = {**panoptic, "name": "00_01", "distortion_model": "plumb_bob", "distCoef": OPENCV[:5]}
    (tmp_path / "p.json").write_text(json.dumps({"fisheye": True, "cameras": [panoptic, own]}))
    assert load_rig(tmp_path / "p.json").cameras.distortion_models == ("fisheye", "opencv")


SHARED: list[dict[str, Any]] = [
    *({"fisheye": True}, {"Fisheye": 1}, {"lens": {"type": "fisheye"}}, {"lens": "equidistance"}),
    *({"metadata": {"fisheye": True}}, {"distortion_model": "equidistant"}, {"settings": {"FisheyeModel": 1}}),
]
OWN: list[tuple[dict[str, Any], str]] = [
    ({}, "fisheye"),
    ({"name": "fish"}, "fisheye"),
    ({"fisheye": False}, "opencv"),
    ({"isFishEye": 0}, "opencv"),
    ({"distortion_model": "plumb_bob"}, "opencv"),
    ({"intrinsics": {"fisheye": False}}, "opencv"),
]


@pytest.mark.parametrize("shared", SHARED, ids=str)
def test_a_camera_overrules_what_its_file_says_for_all(tmp_path: Path, shared: dict[str, Any]):
    panoptic = {"resolution": [9, 9], "K": K.tolist(), "distCoef": FISHEYE, **EXTRINSICS}
    cameras = [{"name": f"00_{i:02d}", **panoptic, **own} for i, (own, _) in enumerate(OWN)]
    (tmp_path / "p.json").write_text(json.dumps({**shared, "cameras": cameras}))
    assert load_rig(tmp_path / "p.json", units="mm").cameras.distortion_models == tuple(model for _, model in OWN)
    # TOML: what the tables of other cameras say is theirs.
    tables = {f"cam_{i}": own for i, (own, _) in enumerate(OWN)}
    path = tmp_path / "c.toml"
    path.write_text(tomli_w.dumps(shared | {name: pose2sim_table(name) | own for name, own in tables.items()}))
    assert load_rig(path, units="mm").cameras.distortion_models == tuple(model for _, model in OWN)


def pose2sim_table(name: str) -> dict[str, Any]:
    place = {"rotation": [0.1, -0.2, 0.05], "translation": EXTRINSICS["t"]}
    return {"name": name, "size": [1280, 720], "matrix": K.tolist(), "distortions": list(FISHEYE), **place}


def test_a_pinhole_camera_in_a_file_of_fisheyes(tmp_path: Path):
    """How rays meet the sensor and how the lens bends them are two things; a plain word for the lens contradicts."""
    camera = {"name": "00_00", "resolution": [9, 9], "K": K.tolist(), "distCoef": FISHEYE, **EXTRINSICS}
    path = tmp_path / "p.json"
    for shared, said in (({"distortion_model": "equidistant"}, None), ({"fisheye": True}, "'fisheye' says .* 'model'")):
        path.write_text(json.dumps({**shared, "cameras": [{**camera, "model": "pinhole"}]}))
        if said is None:
            assert load_rig(path, units="mm").cameras.distortion_models == ("fisheye",)
        else:
            with pytest.raises(InputError, match=said):
                load_rig(path, units="mm")


@pytest.mark.parametrize("half", ["intri.yml", "extri.yml"])
@pytest.mark.parametrize("word", ["fisheye: 1", "Fisheye_1: 1", "lens_type_1: fisheye"])
def test_either_half_of_easymocap_may_name_the_lens(tmp_path: Path, half: str, word: str):
    path = as_easymocap(tmp_path / "calib", {}, FISHEYE)
    (path / half).write_text((path / half).read_text() + word + "\n")
    assert_sees_as_opencv(load_rig(path, units="mm"), FISHEYE, True)


def test_words_of_another_camera_of_easymocap(tmp_path: Path):
    """`cam_1` ends as `1` does."""
    path = as_easymocap(tmp_path / "calib", {}, FISHEYE)
    for name in ("intri.yml", "extri.yml"):
        text = (path / name).read_text()
        again = re.sub(r"(?m)^(\w+)_1:", r"\1_cam_1:", text).split("---\n")[-1]
        (path / name).write_text(f"{text}\n{again}")
    (path / "intri.yml").write_text((path / "intri.yml").read_text() + "fisheye_cam_1: 1\n")
    rig = load_rig(path, units="mm")
    assert dict(zip(rig.names, rig.cameras.distortion_models, strict=True)) == {"1": "opencv", "cam_1": "fisheye"}


def test_lens_terms_under_another_name_are_not_passed_over(tmp_path: Path):
    for name, known in (("distortion", True), ("distCoeffs", True), ("distorsions", False), ("dist_5", False)):
        path = as_list(tmp_path / "list.json", {name: list(OPENCV[:5])}, None)
        if known:
            assert_sees_as_opencv(load_rig(path), OPENCV[:5], False)
        else:
            with pytest.raises(InputError, match=f"'{name}' is not known here; if these are lens terms"):
                load_rig(path)
    path = as_list(tmp_path / "list.json", {"distortion": list(OPENCV[:4])}, OPENCV[:5])
    with pytest.raises(InputError, match="'dist' and 'distortion' hold different lens terms"):
        load_rig(path)


def test_words_of_another_type_are_not_passed_over(tmp_path: Path):
    for word in ({"fisheye": [1]}, {"distortion_model": 5}, {"fisheye": {"k1": 0.1}}):
        with pytest.raises(InputError, match="must be true or false|a lens that trivox does not have"):
            load_rig(as_list(tmp_path / "list.json", word, FISHEYE))


def test_a_camera_info_of_ros_with_its_pose(tmp_path: Path):
    """Matrices without OpenCV's tag."""
    path = tmp_path / "left.yaml"
    path.write_text(
        "image_width: 1280\nimage_height: 720\ncamera_name: left\ndistortion_model: equidistant\n"
        f"camera_matrix:\n  rows: 3\n  cols: 3\n  data: {K.reshape(-1).tolist()}\n"
        f"distortion_coefficients:\n  rows: 1\n  cols: 4\n  data: {list(FISHEYE)}\n"
        f"R:\n  rows: 3\n  cols: 3\n  data: {np.array(EXTRINSICS['R']).reshape(-1).tolist()}\nT: {EXTRINSICS['t']}\n"
    )
    assert_sees_as_opencv(load_rig(path, units="mm"), FISHEYE, True)


def test_a_fisheye_case(cases: Path):
    """Pixels of joints of the demo; as pinhole cameras they lay 45 mm apart."""
    truth = torch.tensor(np.load(cases.parent / "data" / "demo_scene" / "truth.npz")["points_mm"][:, 0]).double()
    rig = load_rig(cases / "fisheye" / "opencv_calibration", units="mm")
    assert rig.cameras.distortion_model == "fisheye"
    for v in range(4):
        seen = load_keypoints(cases / "fisheye" / f"cam{v + 1}.json")
        pixels = rig.cameras[v].project(truth[seen.frames].reshape(-1, 3)).reshape(-1, 17, 2)
        torch.testing.assert_close(seen.points_px[:, 0].double(), pixels, rtol=0, atol=0.01)


# --- fitted lenses ---


def mild() -> Rig:
    """A fisheye of 50 degrees, and a rational lens; both are near others."""
    rig = rig_with("equidistant", "opencv 8")
    longer = torch.tensor([[2.2, 1, 1], [1, 2.2, 1], [1, 1, 1]]).double()
    rig = replace(rig, cameras=replace(rig.cameras, K=rig.cameras.K * longer))
    lens = torch.tensor([[-0.06, 0.004, 0, 0, 0, 0, 0, 0], [-0.1, 0.02, 2e-4, 0, 0, 0.01, 0.003, 0]]).double()
    return replace(rig, cameras=replace(rig.cameras, distortion=lens, distortion_model=torch.tensor([2, 0])))


@pytest.mark.parametrize("form", ["panoptic", "voxelpose", "qualisys", "easymocap", "human36m"])
def test_a_fitted_lens_is_offered_and_measured(tmp_path: Path, form: str):
    rig = mild()
    with pytest.raises(InputError, match=r"'cam_\d' has .*lens.*px off in its picture is written with --fit-lenses"):
        written(tmp_path, form, rig)
    up = torch.tensor(UP[form], dtype=torch.float64) if form in UP else None
    path = tmp_path / ("folder" if form == "easymocap" else "c.qca.txt" if form == "qualisys" else "c.json")
    save_rig(replace(rig, up=up), path, format=form, fit_lenses=True)
    read = load_rig(path)
    assert "fisheye" not in read.cameras.distortion_models
    # The same rays, whole picture, from the file's lens and the true one.
    h, w = 720, 1280
    grid = torch.cartesian_prod(torch.linspace(0, w, 33).double(), torch.linspace(0, h, 19).double())
    undistorted = rig.cameras.without_distortion()
    for v in range(2):
        rays = undistorted[v].normalised_from_pixels(rig.cameras[v].undistorted_points(grid))
        points = torch.cat([rays, torch.ones_like(rays[:, :1])], -1) * 3000 - rig.cameras.t_mm[v]
        again = read.cameras[v].project(points @ rig.cameras.R[v])
        assert (again - grid).norm(dim=-1).max() < 0.1


def test_a_lens_too_far_from_others_is_not_fitted(tmp_path: Path):
    rig = rig_with("fisheye")
    wide = replace(rig.cameras, K=rig.cameras.K * torch.tensor([0.4, 0.4, 1]).double()[:, None])
    wide = replace(wide, K=torch.cat([wide.K[..., :2], rig.cameras.K[..., 2:]], -1))
    for fit in (False, True):
        with pytest.raises(InputError, match="fisheye lens, and (the nearest|one near enough)"):
            save_rig(replace(rig, cameras=wide), tmp_path / "v.json", format="easymocap", fit_lenses=fit)
    with pytest.raises(InputError, match="image size"):
        save_rig(replace(rig, cameras=replace(wide, image_hw=None)), tmp_path / "folder", format="easymocap")


def test_convert_fits_only_where_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    save_rig(mild(), tmp_path / "rig.toml")
    command = ["calibration", "convert", str(tmp_path / "rig.toml"), str(tmp_path / "easy")]

    def run(*words: str) -> int | str | None:
        with pytest.raises(SystemExit) as left:
            main(words)
        return left.value.code

    assert run(*command) == 2 and "--fit-lenses" in capsys.readouterr().err
    assert run(*command, "--fit-lenses") == 0
    assert (tmp_path / "easy" / "intri.yml").is_file()
    run("calibration", "check", str(tmp_path / "rig.toml"))
    assert "cam_0: fisheye (Kannala-Brandt), 4 terms; cam_1: OpenCV, 8 terms" in capsys.readouterr().out
