"""Every calibration that cannot be used ends in one sentence that names the file and the camera."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from trivox.errors import InputError
from trivox.files.calibrations import FORMAT_NAMES, load_rig, save_rig
from trivox.geometry.cameras import Cameras
from trivox.geometry.rig import Rig

IDENTITY = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
K = [[800.0, 0.0, 320.0], [0.0, 800.0, 240.0], [0.0, 0.0, 1.0]]


def _camera(**changes: Any) -> dict[str, Any]:
    camera = {
        "id": 1,
        "name": "left",
        "K": K,
        "R": IDENTITY,
        "t_mm": [1.0, 2.0, 3.0],
        "dist": [0.0] * 5,
        "image_size": [640, 480],
    }
    return {key: value for key, value in {**camera, **changes}.items() if value is not ...}


def _refused(path: Path, said: str, **options: Any) -> None:
    with pytest.raises(InputError, match=said) as caught:
        load_rig(path, **options)
    assert str(path.name) in str(caught.value)
    assert "\n" not in str(caught.value)


MIRROR = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, -1.0]]
BAD_CAMERAS = {
    "no rotation in it": ({"R": ...}, "'R' is missing"),
    "no translation": ({"t_mm": ...}, "'t_mm' or 't' is missing"),
    "NaN": ({"K": [[float("nan"), 0, 320], K[1], K[2]]}, "no usable number"),
    "infinity": ({"t_mm": [float("inf"), 0, 0]}, "no usable number"),
    "beyond reason": ({"t_mm": [1e300, 0, 0]}, "no usable number"),
    "huge integer": ({"t_mm": [10**5000, 0, 0]}, "numbers|not readable as JSON"),
    "text for numbers": ({"t_mm": ["a", "b", "c"]}, "must be numbers"),
    "true for a number": ({"t_mm": [True, 0, 0]}, "must be numbers"),
    "null": ({"K": None}, "'K' must be numbers"),
    "wrong shape": ({"K": [[1, 2], [3, 4]]}, "3 x 3"),
    "transposed shape": ({"R": [[1.0] * 9]}, "3 x 3"),
    "ragged": ({"K": [[800, 0, 320], [0, 800], [240, 0, 0, 1]]}, "3 x 3"),
    "short translation": ({"t_mm": [1, 2]}, "3 numbers, got 2"),
    "deep nesting": ({"t_mm": [[[[[1]]]]]}, "must be numbers"),
    "singular K": ({"K": [[0, 0, 320], K[1], K[2]]}, "not positive"),
    "negative focal length": ({"K": [K[0], [0, -800, 240], K[2]]}, "not positive"),
    "K transposed": ({"K": [[800, 0, 0], [0, 800, 0], [320, 240, 1]]}, "form"),
    "not a rotation": ({"R": [[2, 0, 0], [0, 1, 0], [0, 0, 1]]}, "not a rotation"),
    "zero rotation": ({"R": [[0] * 3] * 3}, "'left' has a rotation of zeros only"),
    "mirror image": ({"R": MIRROR}, "mirror"),
    "three lens terms": ({"dist": [0.1, 0, 0]}, "3 lens terms for an OpenCV lens"),
    "six lens terms": ({"dist": [0.1, 0, 0, 0, 0, 0.2]}, "6 lens terms for an OpenCV lens"),
    "empty picture": ({"image_size": [0, 480]}, "impossible"),
    "half a pixel": ({"image_size": [640.5, 480]}, "whole pixels"),
    "no name": ({"name": ..., "id": ...}, "'name' or 'id' is missing"),
    "empty name": ({"name": " "}, "no usable camera name"),
    "name that leaves the folder": ({"name": "../../x"}, "must not contain"),
    "name of a list": ({"name": ["a"]}, "must be a text"),
}


@pytest.mark.parametrize("case", BAD_CAMERAS)
def test_bad_cameras(tmp_path: Path, case: str):
    changes, said = BAD_CAMERAS[case]
    path = tmp_path / "rig.json"
    path.write_text(_dumps([_camera(**changes)]))
    _refused(path, said)


def _dumps(content: Any) -> str:
    """JSON with the 5000-digit number that `json` itself refuses to print."""
    import sys

    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        return json.dumps(content)
    finally:
        sys.set_int_max_str_digits(limit)


def test_the_plain_camera_is_fine(tmp_path: Path):
    path = tmp_path / "rig.json"
    path.write_text(json.dumps([_camera()]))
    assert load_rig(path).names == ("left",)


@pytest.mark.parametrize("decimals", [4, 5])
def test_rounded_rotations_are_accepted_and_kept(tmp_path: Path, decimals: int):
    half = 0.5**0.5
    R = [[round(value, decimals) for value in row] for row in [[half, -half, 0], [half, half, 0], [0, 0, 1]]]
    path = tmp_path / "rig.json"
    path.write_text(json.dumps([_camera(R=R)]))
    assert load_rig(path).cameras.R[0].tolist() == R


def test_extra_lens_terms_may_be_zero(tmp_path: Path):
    path = tmp_path / "rig.json"
    path.write_text(json.dumps([_camera(dist=[[0.1, 0.2, 0.3, 0.4, 0.5] + [0.0] * 9])]))
    assert load_rig(path).cameras.distortion[0].tolist() == [0.1, 0.2, 0.3, 0.4, 0.5]


BAD_FILES: dict[str, tuple[str, bytes, str]] = {
    "empty": ("rig.toml", b" \n", "empty"),
    "only a byte-order mark": ("rig.json", b"\xef\xbb\xbf\x1c", "empty"),
    "binary": ("rig.toml", bytes(range(256)), "not a text file"),
    "half a JSON": ("rig.json", b'[{"id": 1, "K": [[80', "not readable as JSON"),
    "half a TOML": ("rig.toml", b'format = "trivox"\n[[cameras', "not readable as TOML"),
    "half an XML": ("rig.qca.txt", b"<calibration><cameras><camera", "not readable as XML"),
    "half a YAML": ("rig.yml", b"%YAML:1.0\n---\nK: [1, 2", "not readable as OpenCV YAML"),
    "YAML bomb": ("rig.yml", b"a: &a [x,x]\nb: &b [*a,*a]\nK_1: [*b,*b]\nT_1: 0", "is missing|must be"),
    "XML bomb": (
        "rig.xml",
        b'<!DOCTYPE x [<!ENTITY a "aa">]><opencv_storage>&a;</opencv_storage>',
        "document type",
    ),
    "deep JSON": ("rig.json", b"[" * 200_000, "not readable as JSON"),
    "deep YAML": ("rig.yml", b"a: " + b"[" * 200_000, "not readable as OpenCV YAML"),
    "deep XML": (
        "rig.xml",
        b"<opencv_storage>" + b"<a>" * 5000 + b"</a>" * 5000 + b"</opencv_storage>",
        "not",
    ),
    "no cameras": ("rig.json", b"[]", "no cameras"),
    "numbers": ("rig.json", b"[1, 2]", "expected named values"),
    "other JSON": ("rig.json", b'{"a": {"b": 1}}', "known are"),
    "other TOML": ("rig.toml", b'a = "b"', "known are"),
    "other XML": ("rig.xml", b"<html></html>", "known are"),
    "other YAML": ("rig.yml", b"a: b", "known are"),
    "a key twice": ("rig.json", b'{"0": {"fx": 1}, "0": {"fx": 2}}', "'0' stands twice"),
    "a YAML key twice": ("rig.yml", b"K_1: 1\nK_1: 2", "'K_1' stands twice"),
    "matrix that lies": ("rig.yml", b"K_1: !!opencv-matrix {rows: 3, cols: 3, data: [1]}", "3 x 3 holds 1"),
    "matrix without rows": ("rig.yml", b"K_1: !!opencv-matrix [1]", "rows, cols and data"),
    "python tag": ("rig.yml", b'!!python/object/apply:os.system ["echo"]', "known are"),
    "intrinsics only": (
        "rig.yml",
        b"%YAML:1.0\n---\ncamera_matrix: [[800, 0, 320], [0, 800, 240], [0, 0, 1]]\n",
        "intrinsics only",
    ),
    "half of EasyMocap": ("intri.yml", b"K_1: [1]\n", "put extri.yml beside it"),
    "newer version": ("rig.toml", b'format = "trivox"\nversion = 2\n', "version is 2"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files(tmp_path: Path, case: str):
    name, content, said = BAD_FILES[case]
    (tmp_path / name).write_bytes(content)
    _refused(tmp_path / name, said)


def test_nothing_there(tmp_path: Path):
    _refused(tmp_path / "rig.toml", "there is no file")
    _refused(tmp_path, "folder without calibration")
    with pytest.raises(InputError, match="cannot read"):
        load_rig("a\0b")


def test_units_are_asked_for(tmp_path: Path):
    path = tmp_path / "rig.json"
    path.write_text(json.dumps([_camera(t_mm=..., t=[1.0, 2.0, 3.0])]))
    _refused(path, "--units mm, cm or m")
    assert load_rig(path, units="cm").cameras.t_mm.tolist() == [[10.0, 20.0, 30.0]]


def test_units_in_the_file_are_not_overruled_those_of_a_habit_are(tmp_path: Path):
    path = tmp_path / "rig.json"
    path.write_text(json.dumps([_camera()]))
    _refused(path, "--units says m", units="m")
    panoptic = tmp_path / "panoptic.json"
    camera = {
        "name": "a",
        "resolution": [640, 480],
        "K": K,
        "distCoef": [0] * 5,
        "R": IDENTITY,
        "t": [1, 2, 3],
    }
    panoptic.write_text(json.dumps({"cameras": [camera]}))
    assert load_rig(panoptic).cameras.t_mm.tolist() == [[10.0, 20.0, 30.0]]
    assert load_rig(panoptic, units="m").cameras.t_mm.tolist() == [[1000.0, 2000.0, 3000.0]]


def test_mixed_translations(tmp_path: Path):
    path = tmp_path / "rig.json"
    path.write_text(json.dumps([_camera(), _camera(name="b", t_mm=..., t=[0, 0, 0])]))
    _refused(path, "some cameras have 't_mm'")


def test_two_cameras_of_one_name(tmp_path: Path):
    path = tmp_path / "rig.json"
    path.write_text(json.dumps([_camera(), _camera()]))
    _refused(path, "two cameras are called 'left'")
    _refused(path, "two cameras are called 'left'", names=["left"])


def test_image_size(tmp_path: Path):
    path = tmp_path / "rig.json"
    path.write_text(json.dumps([_camera(), _camera(name="b", image_size=...)]))
    _refused(path, "camera 'b'.*--image-size")
    _refused(path, "leave --image-size out", image_size=(100, 100))
    assert load_rig(path, image_size=(480, 640)).cameras.image_hw is not None
    with pytest.raises(InputError, match="impossible"):
        load_rig(path, image_size=(480, 0))


def test_options_that_do_not_fit(tmp_path: Path):
    path = tmp_path / "rig.json"
    path.write_text(json.dumps([_camera()]))
    _refused(path, "leave --subject out", subject="S1")
    _refused(path, "does not look like Qualisys", format="qualisys")
    with pytest.raises(InputError, match="unknown calibration format 'x'"):
        load_rig(path, format="x")


def _toml_cameras(**changes: Any) -> str:
    values = {
        "name": '"a"',
        "size": "[640, 480]",
        "matrix": str(K),
        "distortions": "[0.0, 0.0, 0.0, 0.0]",
        "rotation": "[0.0, 0.0, 0.0]",
        "translation": "[0.0, 0.0, 0.0]",
        **changes,
    }
    return "\n".join(f"{key} = {value}" for key, value in values.items()) + "\n"


def test_anipose_in_millimetres_is_not_taken_for_metres(tmp_path: Path):
    path = tmp_path / "calibration.toml"
    far = _toml_cameras(translation="[2000.0, 0.0, 0.0]", name='"b"')
    path.write_text(f"[cam_0]\n{_toml_cameras()}[cam_1]\n{far}[metadata]\nerror = 0.1\n")
    _refused(path, "--units")
    rig = load_rig(path, units="mm")
    assert rig.names == ("a", "b") and rig.up is None
    assert rig.cameras.t_mm.tolist() == [[0, 0, 0], [2000, 0, 0]]


def test_qualisys_parts_of_the_sensor(tmp_path: Path):
    """A picture that begins at (left, top) of the sensor, at half resolution."""
    path = tmp_path / "c.qca.txt"
    rotation = " ".join(f'r{i}{j}="{1 if i == j else 0}"' for i in (1, 2, 3) for j in (1, 2, 3))
    path.write_text(
        "<calibration><cameras>"
        '<camera serial="7" model="Miqus Video" video_resolution="540p" viewrotation="180">'
        f'<fov_video left="100" right="1059" top="40" bottom="579"/><transform {rotation} x="0" y="0" z="0"/>'
        '<intrinsic focalLengthU="64000" focalLengthV="64000" centerPointU="38400" centerPointV="19200" '
        'radialDistortion1="0" radialDistortion2="0" radialDistortion3="0.5" tangentalDistortion1="0" '
        'tangentalDistortion2="0" skew="0"/></camera>'
        '<camera serial="8" model="Miqus M3"/></cameras></calibration>'
    )
    rig = load_rig(path)
    assert rig.names == ("7",) and rig.quarter_turns == (2,)
    assert rig.cameras.image_hw is not None and rig.cameras.image_hw.tolist() == [[270, 480]]
    assert rig.cameras.K[0].tolist() == [[500, 0, 250.5], [0, 500, 130.5], [0, 0, 1]]
    assert rig.cameras.distortion[0].tolist() == [0, 0, 0, 0, 0.5]
    path.write_text(path.read_text().replace('focalLengthV="64000"', 'pixelAspectRatio="1.25"'))
    assert load_rig(path).cameras.K[0].diagonal().tolist() == [500, 400, 1]
    path.write_text(path.read_text().replace('viewrotation="180"', 'viewrotation="45"'))
    _refused(path, "'viewrotation' is 45")


@pytest.mark.parametrize(("degrees", "roll", "turns"), [(90, 1, 1), (270, 1, 1), (90, -1, 3), (270, -1, 3)])
def test_qualisys_sideways_cameras_end_upright(tmp_path: Path, degrees: int, roll: int, turns: int):
    """A level camera rolled by a quarter turn: up is at the left (1) or at the right (-1) of its picture."""
    R = torch.tensor([[0.0, 0.0, -roll], [0.0, roll, 0.0], [1.0, 0.0, 0.0]], dtype=torch.float64)
    R[1] = torch.linalg.cross(R[2], R[0])
    rig = _rig(R=R[None], up=(0.0, 0.0, 1.0))
    path = tmp_path / "rig.qca.txt"
    save_rig(rig, path)
    path.write_text(path.read_text().replace('viewrotation="0"', f'viewrotation="{degrees}"'))
    read = load_rig(path)
    assert read.quarter_turns == (turns,) and read.up is not None
    assert (read.upright_cameras.R[0] @ read.up)[1] == pytest.approx(-1)  # y points down


def _rig(up: tuple[float, float, float] | None = None, turns: int = 0, **changes: Any) -> Rig:
    cameras = Cameras(
        K=torch.tensor([K], dtype=torch.float64),
        R=torch.eye(3, dtype=torch.float64)[None],
        t_mm=torch.zeros(1, 3, dtype=torch.float64),
        distortion=torch.zeros(1, 5, dtype=torch.float64),
        image_hw=torch.tensor([[480, 640]]),
    )
    up_tensor = None if up is None else torch.tensor(up, dtype=torch.float64)
    return Rig(("cam_0",), replace(cameras, **changes), up_tensor, (turns,))


Z, Y_DOWN = (0.0, 0.0, 1.0), (0.0, -1.0, 0.0)
UP_OF = {"qualisys": Z, "voxelpose": Z, "human36m": Z, "panoptic": Y_DOWN}
SKEWED = torch.tensor([[[800.0, 2.0, 320.0], [0.0, 800.0, 240.0], [0.0, 0.0, 1.0]]], dtype=torch.float64)
TANGENTIAL = torch.tensor([[0.0, 0.0, 1e-3, 0.0, 0.0]], dtype=torch.float64)
UNSAYABLE: dict[str, tuple[Callable[[tuple[float, float, float] | None], Rig], set[str], str]] = {
    # what a rig has: the formats that can hold it, and what is said of the others
    "sideways": (lambda up: _rig(up, turns=1), {"trivox", "caliscope"}, "mounted sideways"),
    "lens model": (
        lambda up: _rig(up, distortion_model="human36m", distortion=TANGENTIAL),
        {"trivox", "human36m"},
        "lens model 'human36m'",
    ),
    "skew": (lambda up: _rig(up, K=SKEWED), set(FORMAT_NAMES) - {"voxelpose", "qualisys"}, "skew"),
    "no size": (
        lambda up: _rig(up, image_hw=None),
        {"trivox", "human36m", "voxelpose", "list", "easymocap", "opencv"},
        "image size",
    ),
}


@pytest.mark.parametrize("what", UNSAYABLE)
@pytest.mark.parametrize("form", FORMAT_NAMES)
def test_nothing_is_lost_in_writing(tmp_path: Path, what: str, form: str):
    make, able, said = UNSAYABLE[what]
    rig, path = make(UP_OF.get(form)), tmp_path / "written.yml" if form == "opencv" else tmp_path / "written"
    if form in able:
        save_rig(rig, path, format=form)
        return
    with pytest.raises(InputError, match=said):
        save_rig(rig, path, format=form)
    assert not path.exists()


@pytest.mark.parametrize("form", UP_OF)
@pytest.mark.parametrize("up", [None, (1.0, 0.0, 0.0)])
def test_no_false_up_axis_is_written(tmp_path: Path, form: str, up):
    with pytest.raises(InputError, match="points up"):
        save_rig(_rig(up), tmp_path / "rig", format=form)


def test_other_refusals_of_writers(tmp_path: Path):
    with pytest.raises(InputError, match="always in cm"):
        save_rig(_rig(Y_DOWN), tmp_path / "c.json", format="panoptic", units="mm")
    with pytest.raises(InputError, match="cam_0, cam_1"):
        save_rig(replace(_rig(), names=("left",)), tmp_path / "c.toml", format="caliscope")
    with pytest.raises(InputError, match="cannot hold the camera name"):
        save_rig(replace(_rig(), names=("left one",)), tmp_path / "folder")
    with pytest.raises(InputError, match="end in .yml"):
        save_rig(_rig(), tmp_path / "rig.txt", format="opencv")
    with pytest.raises(InputError, match="infinite or none"):
        save_rig(_rig(t_mm=torch.full((1, 3), torch.nan, dtype=torch.float64)), tmp_path / "rig.toml")
    with pytest.raises(InputError, match="MVOR .* cannot say that camera 'cam_0' has an OpenCV lens"):
        bent = _rig(distortion=torch.full((1, 5), 0.1, dtype=torch.float64))
        save_rig(bent, tmp_path / "m.json", format="mvor")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "rig.toml"
    save_rig(_rig(), path)
    before = path.read_bytes()
    with pytest.raises(InputError):
        save_rig(_rig(R=torch.zeros(1, 3, 3, dtype=torch.float64)), path)
    assert path.read_bytes() == before


def test_lens_models_that_agree_are_exchanged(tmp_path: Path):
    """Without tangential terms Human3.6M's model is OpenCV's."""
    radial = torch.tensor([[-0.2, 0.1, 0.0, 0.0, 0.05]], dtype=torch.float64)
    save_rig(_rig(Z, distortion=radial), tmp_path / "h.json", format="human36m")
    human = load_rig(tmp_path / "h.json", image_size=(480, 640))
    assert human.cameras.distortion_model == "human36m"
    save_rig(human, tmp_path / "v.json", format="voxelpose")
    assert torch.equal(load_rig(tmp_path / "v.json").cameras.distortion, radial)


@pytest.mark.parametrize("name", ["rig.toml", "rig.qca.txt", "rig.yml", "rig.xml"])
def test_a_byte_order_mark_is_no_matter(tmp_path: Path, name: str):
    """Some editors put one before the text."""
    save_rig(_rig(Z), tmp_path / name)
    before = load_rig(tmp_path / name)
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + (tmp_path / name).read_bytes())
    assert torch.equal(load_rig(tmp_path / name).cameras.K, before.cameras.K)


@pytest.mark.usefixtures("unchecked")
def test_what_is_no_rig_or_no_path_is_one_sentence(tmp_path: Path):
    for wrong in (3, None, b"rig.toml", ["rig.toml"]):
        with pytest.raises(
            InputError, match=f"path is of type {type(wrong).__name__}, expected a text or a pathlib.Path"
        ):
            load_rig(wrong)
        with pytest.raises(InputError, match=f"path is of type {type(wrong).__name__}"):
            save_rig(_rig(), wrong)
    with pytest.raises(
        InputError, match=r"rig is the path 'a', expected a trivox.Rig; read it with trivox.load_rig\('a'\)"
    ):
        save_rig("a", tmp_path / "rig.toml")
    with pytest.raises(InputError, match="rig is of type Cameras, expected a trivox.Rig"):
        save_rig(_rig().cameras, tmp_path / "rig.toml")
    assert list(tmp_path.iterdir()) == []
