"""Nothing outside of an HDF5 file is read, and no size in it is believed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from trivox.data.human36m_raw import mask_count, read_mask_boxes, read_positions
from trivox.errors import InputError
from trivox.files.hdf5 import array_of, member, opened_hdf5
from trivox.files.keypoints import load_keypoints

PANDAS = Path(__file__).parent / "keypoints" / "pandas_fixed.h5"
Place = Callable[[h5py.Group, str, Path], None]


def dataset(group: h5py.Group, name: str) -> h5py.Dataset:
    found = group[name]
    assert isinstance(found, h5py.Dataset)
    return found


def external_link(group: h5py.Group, name: str, folder: Path) -> None:
    with h5py.File(folder / "other.h5", "w") as other:
        group.file.copy(group[name], other, "moved")
    del group[name]
    group[name] = h5py.ExternalLink(str(folder / "other.h5"), "moved")


def external_storage(group: h5py.Group, name: str, folder: Path) -> None:
    data = np.asarray(dataset(group, name)[()])
    (folder / "raw").write_bytes(data.tobytes())
    del group[name]
    group.create_dataset(name, data.shape, data.dtype, external=[(str(folder / "raw"), 0, data.nbytes)])


def virtual(group: h5py.Group, name: str, folder: Path) -> None:
    external_link(group, name, folder)
    source = h5py.VirtualSource(group[name])
    del group[name]
    layout = h5py.VirtualLayout(source.shape, source.dtype)
    layout[:] = source
    group.create_virtual_dataset(name, layout)


def soft_link(group: h5py.Group, name: str, folder: Path) -> None:
    group.move(name, f"{name}_moved")
    group[name] = h5py.SoftLink(f"{group.name}/{name}_moved")


def endless(group: h5py.Group, name: str, folder: Path) -> None:
    shape, dtype = dataset(group, name).shape, dataset(group, name).dtype
    del group[name]
    group.create_dataset(name, (10**6, *(10**5 for _ in shape[1:])), dtype, chunks=(1,) * len(shape))


def text_of_any_length(group: h5py.Group, name: str, folder: Path) -> None:
    del group[name]
    group[name] = np.array(["a", "b"], object)


PLACES = [external_link, external_storage, virtual, soft_link, endless, text_of_any_length]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["block0_values", "block0_items_level1", "axis1"])
def test_points_of_pandas_are_in_their_own_file(tmp_path: Path, place: Place, name: str) -> None:
    path = tmp_path / "points.h5"
    path.write_bytes(PANDAS.read_bytes())
    assert load_keypoints(path).points_px.isfinite().all()
    with h5py.File(path, "r+") as file:
        (table,) = file.values()
        place(table, name, tmp_path)
    with pytest.raises(InputError, match=r"points\.h5"):
        load_keypoints(path)


@pytest.mark.parametrize("place", [*PLACES[:4], text_of_any_length])
def test_positions_and_masks_are_in_their_own_file(tmp_path: Path, place: Place) -> None:
    path, masks = tmp_path / "positions.h5", tmp_path / "masks.mat"
    with h5py.File(path, "w") as file:
        file["3D_positions"] = np.ones((96, 2))
    with h5py.File(masks, "w") as file:
        file["mask"] = np.eye(5, dtype=np.uint8)
        file["Masks"] = np.array([file["mask"].ref], h5py.ref_dtype)
    assert read_positions(path).shape == (2, 17, 3)
    assert (mask_count(masks), read_mask_boxes(masks, np.array([0])).tolist()) == (1, [[0, 0, 5, 5]])
    for at, name in ((path, "3D_positions"), (masks, "Masks")):
        with h5py.File(at, "r+") as file:
            if name == "Masks" and place in (external_storage, virtual):
                continue  # references cannot be stored so
            place(file, name, tmp_path)
    with pytest.raises(InputError):
        read_positions(path)
    if place not in (external_storage, virtual):
        with pytest.raises(InputError):
            read_mask_boxes(masks, np.array([0]))


def test_no_path_leads_through_another_file(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = np.arange(3)
    with h5py.File(tmp_path / "file.h5", "w") as file:
        file["away"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/")
        file["type"], file["own"] = np.dtype("f8"), np.arange(3)
        file["nothing"] = h5py.Empty("f8")
    with opened_hdf5(tmp_path / "file.h5") as file:
        assert array_of(member(file, "own")).tolist() == [0, 1, 2]
        for name in ("away", "away/secret", "type", "none"):
            with pytest.raises(ValueError):
                member(file, name)
        with pytest.raises(ValueError):
            array_of(member(file, "nothing"))
        with pytest.raises(ValueError, match="more than 8 bytes"):
            array_of(member(file, "own"), 8)
