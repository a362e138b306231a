"""The open form gives back every bit, and takes nothing that it did not write."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lenses import with_lens
from tables import small_labels

from trivox.data.human36m import write_human36m_npy
from trivox.data.open_labels import load_labels, save_labels
from trivox.errors import InputError
from trivox.files.npz import write_npz
from trivox.geometry.cameras import Cameras
from trivox.geometry.skeletons import H36M_17


def test_labels_come_back_bit_for_bit(tmp_path: Path) -> None:
    labels = small_labels(root=tmp_path / "pictures")
    save_labels(labels, tmp_path / "out" / "labels.json")
    again = load_labels(tmp_path / "out" / "labels.json")
    for name in ("recording", "frames", "people", "points_mm", "valid", "confidence", "boxes_px", "has_camera"):
        ours, theirs = getattr(again, name), getattr(labels, name)
        assert ours.dtype == theirs.dtype and np.array_equal(ours, theirs), name
    for name in ("K", "R", "t_mm", "distortion", "image_hw"):
        assert torch.equal(getattr(again.cameras, name), getattr(labels.cameras, name)), name
    for name in ("name", "skeleton", "recordings", "camera_names"):
        assert getattr(again, name) == getattr(labels, name)
    assert again.up is not None and labels.up is not None and torch.equal(again.up, labels.up)
    expected = labels.pictures.path(labels.recordings[0], "left", 3)
    assert again.pictures.path(again.recordings[0], "left", 3).resolve() == expected.resolve()


def test_what_is_not_known_stays_unknown(tmp_path: Path) -> None:
    labels = small_labels()
    labels = replace(labels, up=None, cameras=replace(labels.cameras, image_hw=None, distortion_model="human36m"))
    save_labels(labels, tmp_path / "labels.json")
    again = load_labels(tmp_path / "labels.json")
    assert again.up is None and again.cameras.image_hw is None and again.cameras.distortion_model == "human36m"


@pytest.mark.parametrize("one_model", [True, False])
def test_every_lens_comes_back(one_model: bool, tmp_path: Path) -> None:
    labels = small_labels()
    recordings, cameras = labels.has_camera.shape
    kinds = ["fisheye"] if one_model else [14, "fisheye", "human36m", 8]
    placed = [
        [with_lens(labels.cameras[r, c], kinds[(r + c) % len(kinds)]) for c in range(cameras)]
        for r in range(recordings)
    ]
    given = Cameras.stack([Cameras.stack(row) for row in placed])
    save_labels(replace(labels, cameras=given), tmp_path / "labels.json")
    again = load_labels(tmp_path / "labels.json").cameras
    assert again.distortion_models == given.distortion_models and torch.equal(again.distortion, given.distortion)
    # Label files of the published system have five terms, and no place for the kind of a lens.
    with pytest.raises(InputError, match="lens"):
        write_human36m_npy(replace(labels, skeleton=H36M_17, cameras=given), tmp_path / "labels.npy")


@pytest.fixture
def written(tmp_path: Path) -> Path:
    save_labels(small_labels(), tmp_path / "labels.json")
    return tmp_path / "labels.json"


@pytest.mark.parametrize(
    "change",
    [
        {"format": "trivox labels 2"},
        {"rows": 10**12},
        {"rows": -1},
        {"rows": "12"},
        {"extra": 1},
        {"distortion_model": "fisheye"},
        {"cameras": ["a"]},
        {"recordings": []},
        {"npz_crc32": 1},
        {"pictures": {"folder": "x", "template": "../{file}", "undistorted": None, "first_file": 0}},
        {"skeleton": {"name": "x", "joints": ["a"] * 17, "bones": [], "root": "a"}},
    ],
)
def test_a_changed_description_is_refused(written: Path, change: dict[str, object]) -> None:
    described = json.loads(written.read_text())
    written.write_text(json.dumps(described | change))
    with pytest.raises(InputError):
        load_labels(written)


def test_an_archive_that_would_unpack_to_more_takes_no_memory(written: Path) -> None:
    """A terabyte of zeros in a small file: its head tells, or the size that the archive states."""
    npz = written.with_suffix(".npz")
    with np.load(npz) as archive:
        arrays = dict(archive)
    write_npz(npz, arrays | {"frames": np.zeros(5_000_000, np.int64)})
    with pytest.raises(InputError, match="frames"):
        load_labels(written)
    write_npz(npz, arrays | {"more": np.zeros(5_000_000)})
    with pytest.raises(InputError, match="expected"):
        load_labels(written)
    with zipfile.ZipFile(npz) as archive:
        parts = {name: archive.read(name) for name in archive.namelist() if name != "more.npy"}
    parts["frames.npy"] += b"\0" * 5_000_000
    with zipfile.ZipFile(npz, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    with pytest.raises(InputError, match="size that it claims"):
        load_labels(written)


def test_the_halves_of_two_tables_are_no_table(written: Path, tmp_path: Path) -> None:
    other = small_labels()
    other.frames[0] = 77
    save_labels(other, tmp_path / "other" / "labels.json")
    written.with_suffix(".npz").write_bytes((tmp_path / "other" / "labels.npz").read_bytes())
    with pytest.raises(InputError, match="not written together"):
        load_labels(written)


def test_what_is_missing_or_no_table_is_said(written: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing"):
        load_labels(tmp_path / "nothing.json")
    written.with_suffix(".npz").write_bytes(b"PK nothing")
    with pytest.raises(InputError, match="labels.npz"):
        load_labels(written)
    written.with_suffix(".npz").unlink()
    with pytest.raises(InputError, match="labels.npz"):
        load_labels(written)
