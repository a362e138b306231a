"""What is written is read, with every NumPy; what a file cannot hold takes no memory."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trivox.errors import InputError
from trivox.files import npz
from trivox.files.keypoints import load_keypoints
from trivox.files.npz import Archive, read_npz, read_npz_of, write_npz
from trivox.files.poses import load_poses, save_poses
from trivox.geometry.poses import Poses
from trivox.geometry.skeletons import COCO_17

ARRAYS = {"numbers": np.arange(6.0).reshape(2, 3), "text": np.array(["a", "\N{SNOWMAN}"]), "one": np.array(3)}


def saved(path: Path, heads: Mapping[str, tuple[str, tuple[int, ...]]], plain: Mapping[str, Any]) -> Path:
    """An archive with `plain` arrays, and arrays of zeros of which only the head is made in memory."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in plain.items():
            content = io.BytesIO()
            np.save(content, np.asarray(array))
            archive.writestr(f"{name}.npy", content.getvalue())
        for name, (dtype, shape) in heads.items():
            head = io.BytesIO()
            described = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(head, described)
            left = int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                member.write(head.getvalue())
                while left > 0:
                    left -= member.write(bytes(min(left, 2**22)))
    return path


@contextmanager
def little_memory(most: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_npz(tmp_path / "file.npz", ARRAYS)
    with np.load(tmp_path / "file.npz", allow_pickle=False) as theirs:
        assert set(theirs.files) == set(ARRAYS)
        for name, array in read_npz(tmp_path / "file.npz", *ARRAYS, "another").items():
            np.testing.assert_array_equal(array, ARRAYS[name])
            np.testing.assert_array_equal(array, theirs[name])


def test_every_numpy_is_given_arrays_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 2.2 `savez` knows no options: whatever has a name becomes an array of the file."""

    def savez(file: Path, **arrays: object) -> None:
        assert all(isinstance(array, np.ndarray) for array in arrays.values())
        file.write_bytes(b"")

    monkeypatch.setattr(np, "savez_compressed", savez)
    monkeypatch.setattr(np, "savez", savez)
    write_npz(tmp_path / "file.npz", ARRAYS)


@pytest.mark.usefixtures("small")
def test_gaps_that_shrink_away_are_written_so_that_they_are_believed(tmp_path: Path) -> None:
    """An hour in which hardly anybody is seen is a true result: what we write, we read."""
    frames, joints = 2000, len(COCO_17)
    valid = torch.zeros(frames, 2, joints, dtype=torch.bool)
    valid[::1000] = True
    points = torch.rand(frames, 2, joints, 3, dtype=torch.float64) * valid[..., None]
    covariance = torch.zeros(frames, 2, joints, 3, 3, dtype=torch.float64)
    poses = Poses(points, valid, valid.double(), torch.arange(frames), COCO_17, 30.0, None, covariance)
    save_poses(poses, tmp_path / "poses.npz")
    read = load_poses(tmp_path / "poses.npz")
    assert torch.equal(read.points_mm.nan_to_num(), points) and torch.equal(read.valid, valid)


HALF = {"format": "trivox poses 1", "joints": ["a", "b"], "bones": [[0, 1]], "skeleton": "s", "root": "a", "fps": 30.0}
ZEROS = 2**23


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds of a house in which megabytes are what gigabytes are elsewhere."""
    monkeypatch.setattr(npz, "_ALWAYS_READ", 2**20)


@pytest.mark.parametrize(
    ("heads", "plain", "said"),
    [
        ({"points_mm": ("f8", (ZEROS // 48, 1, 2, 3))}, {"frames": [0, 1, 2]}, "points_mm"),
        ({"points_mm": ("f8", (3, ZEROS // 144, 2, 3))}, {"frames": [0, 1, 2]}, "points_mm"),
        ({"frames": ("i8", (ZEROS // 8,))}, {}, "frames"),
        ({"joints": ("U1", (ZEROS // 4,))}, {"joints": None}, "joints"),
        ({"bones": ("i8", (ZEROS // 16, 2))}, {"bones": None}, "bones"),
        ({"format": (f"U{ZEROS // 4}", ())}, {"format": None}, "format"),
    ],
)
@pytest.mark.usefixtures("small")
def test_more_than_a_file_can_hold_takes_no_memory(tmp_path: Path, heads: dict, plain: dict, said: str) -> None:
    arrays = {name: value for name, value in {**HALF, **plain}.items() if value is not None}
    path = saved(tmp_path / "poses.npz", heads, arrays)
    assert path.stat().st_size < 2**15
    with little_memory(2**21), pytest.raises(InputError, match=said):
        load_poses(path)
    if "format" not in heads:
        arrays["format"] = "trivox keypoints 1"
        renamed = {name.replace("points_mm", "points_px"): head for name, head in heads.items()}
        path = saved(tmp_path / "keypoints.npz", renamed, arrays)
        with little_memory(2**21), pytest.raises(InputError):
            load_keypoints(path)


def test_arrays_that_nobody_expects_are_not_read(tmp_path: Path) -> None:
    arrays = {**HALF, "frames": [0], "points_mm": np.zeros((1, 1, 2, 3)), "valid": np.ones((1, 1, 2), bool)}
    arrays["confidence"] = np.ones((1, 1, 2))
    path = saved(tmp_path / "poses.npz", {"another": ("f8", (ZEROS // 8,))}, arrays)
    with little_memory(2**21):
        assert load_poses(path).valid.all()
    with little_memory(2**21), pytest.raises(InputError, match="another"):
        read_npz_of(path, {"fps": ("f8", ())})


def test_an_array_has_the_size_that_it_claims(tmp_path: Path) -> None:
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": (10**9,)})
    objects = io.BytesIO()
    np.lib.format.write_array_header_1_0(objects, {"descr": "|O", "fortran_order": False, "shape": (1,)})
    pickled = io.BytesIO()
    np.save(pickled, np.array([{}]), allow_pickle=True)
    with zipfile.ZipFile(tmp_path / "file.npz", "w") as archive:
        archive.writestr("short.npy", head.getvalue() + bytes(80))
        archive.writestr("objects.npy", objects.getvalue())
        archive.writestr("pickled.npy", pickled.getvalue())
        archive.writestr("text.npy", b"hello")
        archive.writestr("packed.npy", head.getvalue(), zipfile.ZIP_BZIP2)
    archive = Archive(tmp_path / "file.npz")
    for name in sorted(archive.names):
        with little_memory(2**22), pytest.raises(InputError):
            archive.array(name)
