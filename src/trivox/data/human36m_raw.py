"""What Human3.6M's downloads hold: 3D positions as CDF or HDF5, and masks of people in MATLAB's v7.3 form.

All have 32 joints, of which seventeen are the skeleton of the field; the others repeat them or lie in hands and feet.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float32, Int64

from trivox.base.reading import check_regular, read_bytes
from trivox.errors import InputError
from trivox.files.hdf5 import BROKEN, array_of, member, opened_hdf5
from trivox.files.text import check_places

# Where the joints of `H36M_17` are among the 32; the order is that of the skeleton.
JOINTS_17 = (3, 2, 1, 6, 7, 8, 0, 12, 13, 15, 27, 26, 25, 17, 18, 19, 14)
_RAW_JOINTS = 32
_LARGEST_FILE, _LARGEST_MASK = 2**30, 2**26
_MOST = 1000
# What damaged files make of the readers.
_BROKEN = (*BROKEN, EOFError, zlib.error, struct.error)


def read_positions(path: Path) -> Float32[np.ndarray, "F 17 3"]:
    """World positions in mm of a recording: `.cdf` (variable Pose) or `.h5` (data set 3D_positions)."""
    if check_regular(path).st_size > _LARGEST_FILE:
        raise InputError(f"{path} is far larger than any recording of Human3.6M; give the file of positions")
    flat = _cdf_positions(path) if path.suffix == ".cdf" else _h5_positions(path)
    if flat.ndim != 2 or flat.shape[1] != 3 * _RAW_JOINTS or flat.dtype.kind != "f" or not np.isfinite(flat).all():
        raise InputError(
            f"{path} holds {flat.dtype} of shape {flat.shape}, expected (frames, {3 * _RAW_JOINTS}) positions in mm; "
            "give the world positions D3_Positions"
        )
    check_places(flat, path)
    return flat.reshape(-1, _RAW_JOINTS, 3)[:, JOINTS_17].astype(np.float32)


def _cdf_positions(path: Path) -> np.ndarray:
    """Pose: (1, frames, 96)."""
    try:
        import cdflib
    except ModuleNotFoundError as error:
        raise InputError(f"{path} is a CDF, which needs cdflib; run: pip install 'trivox[human36m]'") from error
    try:
        _check_counts(path)
        pose = np.asarray(cdflib.CDF(path).varget("Pose"))
        return pose.reshape(pose.shape[-2:]) if pose.ndim == 3 and len(pose) == 1 else pose
    except _BROKEN as error:
        raise InputError(f"{path} is not a readable CDF with a variable Pose; download it again") from error


def _check_counts(path: Path) -> None:
    """Raise `ValueError` where a damaged version 3 file counts thousands of variables, dimensions or blocks, which the
    reader would go through one by one. Offsets: CDF Internal Format Description, the records GDR, zVDR and VXR."""
    content = read_bytes(path, _LARGEST_FILE)
    if content[:4] != b"\xcd\xf3\x00\x01":
        return
    (gdr,) = struct.unpack_from(">q", content, 20)
    counts = struct.unpack_from(">2i4x2i", content, gdr + 44)  # variables, attributes, dimensions, z variables
    of_variables, variable = [], struct.unpack_from(">q", content, gdr + 20)[0]
    while variable > 0 and len(of_variables) < _MOST:
        of_variables += struct.unpack_from(">i", content, variable + 340)
        (blocks,) = struct.unpack_from(">q", content, variable + 28)
        of_variables += struct.unpack_from(">i", content, blocks + 24) if blocks > 0 else ()
        (variable,) = struct.unpack_from(">q", content, variable + 12)
    if gdr < 0 or not all(0 <= count < _MOST for count in (*counts, *of_variables)):
        raise ValueError("counts that cannot be")


def _h5_positions(path: Path) -> np.ndarray:
    """3D_positions: (96, frames)."""
    try:
        with opened_hdf5(path) as file:
            data = member(file, "3D_positions")
            if not isinstance(data, h5py.Dataset) or data.ndim != 2 or data.shape[0] != 3 * _RAW_JOINTS:
                raise InputError(f"{path} has no 3D_positions of shape (96, frames); give the h5 files of positions")
            return np.ascontiguousarray(array_of(data).T)
    except _BROKEN as error:
        raise InputError(f"{path} is not a readable HDF5 file with 3D_positions; download it again") from error


def read_mask_boxes(path: Path, frames: np.ndarray) -> Int64[np.ndarray, "F 4"]:
    """Boxes (left, top, right, bottom) of the person's mask in these frames; zero where it is empty or absent.

    The file is MATLAB v7.3 (HDF5): `Masks` are references to one logical matrix per frame, stored column by column, so
    that its first axis here is x.
    """
    boxes = np.zeros((len(frames), 4), np.int64)
    try:
        with opened_hdf5(path) as file:
            references = array_of(member(file, "Masks")).reshape(-1)
            for i, frame in enumerate(frames.tolist()):
                if frame < len(references):
                    boxes[i] = _box_of(file[references[frame]], path)
    except (*_BROKEN, AssertionError) as error:
        raise InputError(f"{path} is not a readable v7.3 .mat file of Masks; download it again") from error
    return boxes


def mask_count(path: Path) -> int:
    """How many frames have a mask."""
    try:
        with opened_hdf5(path) as file:
            masks = member(file, "Masks")
            assert isinstance(masks, h5py.Dataset)
            return int(np.prod(masks.shape))
    except (*_BROKEN, AssertionError) as error:
        raise InputError(f"{path} is not a readable v7.3 .mat file of Masks; download it again") from error


def _box_of(mask: object, path: Path) -> tuple[int, int, int, int]:
    if not isinstance(mask, h5py.Dataset) or mask.ndim != 2:
        raise InputError(f"{path} has a mask that is no matrix; download it again")
    there = array_of(mask, _LARGEST_MASK) > 0
    columns, rows = np.flatnonzero(there.any(1)), np.flatnonzero(there.any(0))
    if not len(columns):
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
