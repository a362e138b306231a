"""Any rig that a format can hold comes back from it, and other programs read what we write."""

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trivox.errors import InputError
from trivox.files.calibrations import FORMAT_NAMES, load_rig, save_rig
from trivox.files.calibrations.rotations import matrix_from_vector, vector_from_matrix
from trivox.geometry.cameras import Cameras
from trivox.geometry.rig import Rig

Z_UP, Y_DOWN = (0.0, 0.0, 1.0), (0.0, -1.0, 0.0)

# name of the file, and what of a rig the format holds
FORMATS = {
    "trivox": ("rig.toml", {"any_up", "turns", "size", "skew", "distortion"}),
    "caliscope": ("array.toml", {"turns", "size", "skew", "distortion"}),
    "pose2sim": ("calib.toml", {"z_up", "size", "skew", "distortion"}),
    "qualisys": ("rig.qca.txt", {"z_up", "size", "distortion"}),
    "panoptic": ("calibration.json", {"y_down", "size", "skew", "distortion"}),
    "human36m": ("cameras.json", {"z_up", "skew", "distortion", "human36m"}),
    "mvor": ("mvor.json", {"size", "skew"}),
    "voxelpose": ("voxel.json", {"z_up", "distortion"}),
    "list": ("list.json", {"size", "skew", "distortion"}),
    "easymocap": ("folder", {"size", "skew", "distortion"}),
    "opencv": ("rig.yml", {"size", "skew", "distortion"}),
}
CASES = [(name, file, holds) for name, (file, holds) in FORMATS.items()]
CASES.append(("opencv", "rig.xml", FORMATS["opencv"][1]))


def rig_of(count: int, seed: int, holds: set[str]) -> Rig:
    """A random rig, limited to what a format holds."""
    rng = np.random.default_rng(seed)

    def some(low: float, high: float, *shape: int) -> np.ndarray:
        return rng.uniform(low, high, shape)

    # Rotations of all sizes, half turns among them.
    vectors = rng.standard_normal((count, 3))
    angles = rng.choice([0.0, 1e-9, 0.3, 2.0, np.pi - 1e-7, np.pi], count)
    vectors *= (angles / np.linalg.norm(vectors, axis=1))[:, None]
    K = np.tile(np.eye(3), (count, 1, 1))
    K[:, [0, 1], [0, 1]] = some(50, 5000, count, 2)
    K[:, :2, 2] = some(-100, 2000, count, 2)
    K[:, 0, 1] = some(-1, 1, count) * ("skew" in holds)
    up = {"z_up": Z_UP, "y_down": Y_DOWN, "any_up": tuple(np.array([0.6, 0.0, -0.8]))}
    ups = [up[key] for key in up if key in holds]
    cameras = Cameras(
        K=torch.tensor(K),
        R=torch.tensor(np.stack([cv2.Rodrigues(vector)[0] for vector in vectors])),
        t_mm=torch.tensor(some(-9000, 9000, count, 3)),
        distortion=torch.tensor(some(-0.5, 0.5, count, 5)) * ("distortion" in holds),
        distortion_model="human36m" if "human36m" in holds else "opencv",
        image_hw=torch.tensor(rng.integers(10, 4000, (count, 2))) if "size" in holds else None,
    )
    turns = tuple(int(turn) for turn in rng.integers(0, 4, count)) if "turns" in holds else ()
    return Rig(
        tuple(f"cam_{i}" for i in rng.permutation(99)[:count]),
        cameras,
        up=torch.tensor(ups[0], dtype=torch.float64) if ups else None,
        quarter_turns=turns,
    )


def assert_equal_rigs(read: Rig, written: Rig, tolerance: float) -> None:
    assert read.names == written.names
    assert read.quarter_turns == written.quarter_turns
    assert read.cameras.distortion_model == written.cameras.distortion_model
    for field in ("K", "R", "t_mm", "distortion"):
        one, other = getattr(read.cameras, field), getattr(written.cameras, field)
        assert one.dtype == torch.float64
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)
    if written.cameras.image_hw is None or read.cameras.image_hw is None:
        assert written.cameras.image_hw is read.cameras.image_hw
    else:
        assert torch.equal(read.cameras.image_hw, written.cameras.image_hw)
    if written.up is None or read.up is None:
        assert written.up is read.up
    else:
        torch.testing.assert_close(read.up, written.up, rtol=0, atol=tolerance)


def test_every_format_is_tried():
    assert set(FORMATS) == set(FORMAT_NAMES)


@pytest.mark.parametrize(("name", "file", "holds"), CASES)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(count=st.integers(1, 5), seed=st.integers(0, 2**32))
def test_what_is_written_is_read_back(tmp_path: Path, name: str, file: str, holds: set[str], count, seed):
    rig = rig_of(count, seed, holds)
    save_rig(rig, tmp_path / file, format=name)
    tolerance = 0.0 if name == "trivox" else 1e-9
    assert_equal_rigs(load_rig(tmp_path / file), rig, tolerance)
    assert_equal_rigs(load_rig(tmp_path / file, format=name), rig, tolerance)


@pytest.mark.parametrize("name", ["trivox", "list", "easymocap", "opencv"])
def test_a_rig_without_image_size_stays_without(tmp_path: Path, name: str):
    file, holds = FORMATS[name]
    rig = rig_of(3, 5, holds - {"size"})
    save_rig(rig, tmp_path / file, format=name)
    assert_equal_rigs(load_rig(tmp_path / file), rig, 1e-9)
    given_hw = load_rig(tmp_path / file, image_size=(480, 640)).cameras.image_hw
    assert given_hw is not None and given_hw.tolist() == [[480, 640]] * 3


@pytest.mark.parametrize("name", ["pose2sim", "list", "easymocap", "opencv"])
@pytest.mark.parametrize("units", ["mm", "cm", "m"])
def test_units_a_format_leaves_open(tmp_path: Path, name: str, units):
    file, holds = FORMATS[name]
    rig = rig_of(3, 6, holds - {"z_up"})
    save_rig(rig, tmp_path / file, format=name, units=units)
    assert_equal_rigs(load_rig(tmp_path / file, units=units), rig, 1e-9)


def test_the_name_decides_the_format_to_write(tmp_path: Path):
    rig = rig_of(2, 7, {"size", "z_up"})
    save_rig(rig, tmp_path / "rig.toml")
    assert tomllib.loads((tmp_path / "rig.toml").read_text())["format"] == "trivox"
    save_rig(rig, tmp_path / "rig.qca.txt")
    assert "<intrinsic" in (tmp_path / "rig.qca.txt").read_text()
    save_rig(rig, tmp_path / "rig.xml")
    assert "<opencv_storage>" in (tmp_path / "rig.xml").read_text()
    save_rig(rig, tmp_path / "new" / "intri.yml")
    assert (tmp_path / "new" / "extri.yml").is_file()
    with pytest.raises(InputError, match="--format"):
        save_rig(rig, tmp_path / "rig.json")


def test_float32_rigs_are_written_exactly(tmp_path: Path):
    rig = rig_of(2, 8, {"size"})
    single = replace(rig, cameras=rig.cameras.to(dtype=torch.float32))
    save_rig(single, tmp_path / "rig.toml")
    doubled = replace(rig, cameras=single.cameras.to(dtype=torch.float64))
    assert_equal_rigs(load_rig(tmp_path / "rig.toml"), doubled, 0.0)


def test_cameras_can_be_chosen(tmp_path: Path):
    rig = rig_of(5, 9, FORMATS["panoptic"][1])
    save_rig(rig, tmp_path / "c.json", format="panoptic")
    names = [rig.names[3], rig.names[1]]
    assert_equal_rigs(load_rig(tmp_path / "c.json", names=names), rig.selected(names), 1e-9)
    with pytest.raises(InputError, match=f"'cam_x'.*{rig.names[0]}"):
        load_rig(tmp_path / "c.json", names=["cam_x"])


def test_centres_at_whole_numbers_become_corner_pixels(tmp_path: Path):
    """The same place is half a pixel further right when counted from the corner."""
    rig = rig_of(1, 10, {"size"})
    save_rig(rig, tmp_path / "list.json", format="list")
    file_cx = json.loads((tmp_path / "list.json").read_text())[0]["K"][0][2]
    assert file_cx + 0.5 == pytest.approx(rig.cameras.K[0, 0, 2].item(), abs=1e-9)


@pytest.mark.parametrize("file", ["rig.yml", "rig.xml"])
def test_opencv_reads_what_we_write(tmp_path: Path, file: str):
    rig = rig_of(3, 11, FORMATS["opencv"][1])
    save_rig(rig, tmp_path / file, units="m")
    storage = cv2.FileStorage(str(tmp_path / file), cv2.FILE_STORAGE_READ)
    assert storage.getNode("units").string() == "m"
    cameras = storage.getNode("cameras")
    for i, name in enumerate(rig.names):
        camera = cameras.at(i)
        assert camera.getNode("name").string() == name
        K = camera.getNode("camera_matrix").mat()
        K[:2, 2] += 0.5
        np.testing.assert_allclose(K, rig.cameras.K[i], atol=1e-9)
        np.testing.assert_array_equal(camera.getNode("R").mat(), rig.cameras.R[i])
        np.testing.assert_allclose(1000 * camera.getNode("T").mat()[:, 0], rig.cameras.t_mm[i], atol=1e-9)
        np.testing.assert_array_equal(camera.getNode("distortion_coefficients").mat()[0], rig.cameras.distortion[i])
        assert rig.cameras.image_hw is not None
        assert camera.getNode("image_height").real() == rig.cameras.image_hw[i, 0]


def test_opencv_reads_our_easymocap_files(tmp_path: Path):
    rig = rig_of(3, 12, FORMATS["easymocap"][1])
    save_rig(rig, tmp_path, format="easymocap")
    lens = cv2.FileStorage(str(tmp_path / "intri.yml"), cv2.FILE_STORAGE_READ)
    place = cv2.FileStorage(str(tmp_path / "extri.yml"), cv2.FILE_STORAGE_READ)
    for i, name in enumerate(rig.names):
        assert lens.getNode("names").at(i).string() == name
        R = cv2.Rodrigues(place.getNode(f"R_{name}").mat())[0]
        np.testing.assert_allclose(R, rig.cameras.R[i], atol=1e-9)
        np.testing.assert_allclose(1000 * place.getNode(f"T_{name}").mat()[:, 0], rig.cameras.t_mm[i])
        np.testing.assert_array_equal(lens.getNode(f"dist_{name}").mat()[0], rig.cameras.distortion[i])


def _opencv_file(path: Path, rig: Rig, camera: int, rotation_key: str) -> None:
    """One camera as a calibration sample of OpenCV writes it."""
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    assert rig.cameras.image_hw is not None
    height, width = rig.cameras.image_hw[camera].tolist()
    storage.write("calibration_time", "Thu 01 Jan 2026 10:00:00")
    storage.write("image_width", width)
    storage.write("image_height", height)
    K = rig.cameras.K[camera].numpy().copy()
    K[:2, 2] -= 0.5
    storage.write("camera_matrix", K)
    storage.write("distortion_coefficients", rig.cameras.distortion[camera].numpy()[:, None])
    R = rig.cameras.R[camera].numpy()
    storage.write(rotation_key, R if rotation_key == "R" else cv2.Rodrigues(R)[0])
    storage.write("tvec", rig.cameras.t_mm[camera].numpy()[:, None])
    storage.release()


@pytest.mark.parametrize("suffix", [".yml", ".yaml", ".xml"])
@pytest.mark.parametrize("rotation_key", ["R", "rvec"])
def test_a_folder_of_files_that_opencv_wrote(tmp_path: Path, suffix: str, rotation_key: str):
    rig = rig_of(3, 13, FORMATS["opencv"][1])
    for i, name in enumerate(rig.names):
        _opencv_file(tmp_path / f"{name}{suffix}", rig, i, rotation_key)
    read = load_rig(tmp_path, units="mm", names=rig.names)
    assert_equal_rigs(read, rig, 1e-7)
    single = load_rig(tmp_path / f"{rig.names[0]}{suffix}", units="mm")
    assert_equal_rigs(single, rig.selected(rig.names[:1]), 1e-7)
    with pytest.raises(InputError, match="--units"):
        load_rig(tmp_path)


def test_camera_names_stay_as_they_are_written(tmp_path: Path):
    """01 is neither the number 1 nor an octal one."""
    rig = replace(rig_of(2, 14, {"size"}), names=("01_02", "007"))
    save_rig(rig, tmp_path, format="easymocap")
    for file in ("intri.yml", "extri.yml"):
        text = (tmp_path / file).read_text()
        (tmp_path / file).write_text(text.replace('"', ""))  # names without quotes, as some programs write
    assert load_rig(tmp_path / "extri.yml").names == ("01_02", "007")


@given(
    st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda v: np.linalg.norm(v) > 1e-3),
    st.sampled_from([0.0, 1e-12, 1e-7, 0.5, 3.0, np.pi - 1e-9, np.pi]),
)
def test_rotation_vectors_are_opencvs(axis, angle):
    vector = np.array(axis) / np.linalg.norm(axis) * angle
    R = matrix_from_vector(vector)
    np.testing.assert_allclose(R, cv2.Rodrigues(vector)[0], atol=1e-12)
    np.testing.assert_allclose(matrix_from_vector(vector_from_matrix(R)), R, atol=1e-12)
