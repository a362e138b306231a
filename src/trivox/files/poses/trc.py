"""TRC, the marker format of OpenSim: tab-separated text, metres, Y up, one person per file.

Lines: file type; names of the header fields; their values; marker names (each over three columns); X1 Y1 Z1
X2 ...; then a row per frame of number (from 1; some programs: from 0), time in seconds and coordinates, empty where a
marker is missing. In the last marker NaN stands there: OpenSim takes an empty end of a line for columns that lack.
Format: opensim-org/opensim-core, "Marker (.trc) Files". It keeps neither confidence nor covariance.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from trivox.base.atomic import atomic_write
from trivox.errors import InputError
from trivox.files.joint_names import matched_joints
from trivox.files.npz import to_numpy
from trivox.files.text import check_places, read_text, whole
from trivox.geometry.axes import y_up_from_world
from trivox.geometry.poses import Poses
from trivox.geometry.skeletons import Skeleton

MM_PER_UNIT = {"m": 1000.0, "meters": 1000.0, "cm": 10.0, "mm": 1.0, "millimeters": 1.0}

FIELDS = (
    *("DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units"),
    *("OrigDataRate", "OrigDataStartFrame", "OrigNumFrames"),
)


def save_trc(poses: Poses, path: Path) -> tuple[Path, ...]:
    """Write one file, or NAME_p0.trc, NAME_p1.trc ... for several people. Returns the paths.

    The world is turned so that `poses.up` becomes Y. Without `up` its axes are written as they are.
    """
    people = poses.points_mm.shape[1]
    turn = torch.eye(3).double() if poses.up is None else y_up_from_world(poses.up)
    points_m = to_numpy(poses.points_mm.double().cpu() @ turn.mT) / 1000
    points_m = np.where(to_numpy(poses.valid)[..., None], points_m, np.nan)
    paths = [path if people == 1 else path.with_name(f"{path.stem}_p{p}.trc") for p in range(people)]
    for person, target in enumerate(paths):
        with atomic_write(target) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(_lines(points_m[:, person], poses, target.name))
    return tuple(paths)


def _lines(points_m: np.ndarray, poses: Poses, name: str) -> Iterator[str]:
    frames, names, fps = poses.frames.tolist(), poses.skeleton.names, f"{poses.fps:.10g}"
    header = (fps, fps, len(frames), len(names), "m", fps, frames[0] + 1, len(frames))
    yield f"PathFileType\t4\t(X/Y/Z)\t{name}\n"
    yield "\t".join(FIELDS) + "\n"
    yield "\t".join(map(str, header)) + "\n"
    yield "Frame#\tTime\t" + "\t\t\t".join(names) + "\t\t\n"
    yield "\t\t" + "\t".join(f"{axis}{i}" for i in range(1, len(names) + 1) for axis in "XYZ") + "\n"
    yield "\n"
    for frame, row in zip(frames, points_m.reshape(len(frames), -1).tolist(), strict=True):
        cells = ["" if value != value else f"{value:.6f}" for value in row]
        if not cells[-1]:
            cells[-3:] = ["NaN"] * 3
        yield f"{frame + 1}\t{frame / poses.fps:.6f}\t" + "\t".join(cells) + "\n"


def load_trc(path: Path, skeleton: Skeleton | None) -> Poses:
    """Read one person from a TRC file of any of its units; the world has Y up. Raises `InputError`.

    A marker counts with confidence 1 where it has coordinates. `frames` is the file's number less 1, or the number
    itself where the file counts from 0.
    """
    lines = [line.rstrip("\r") for line in read_text(path).split("\n")]
    if len(lines) < 6 or not lines[0].startswith("PathFileType"):
        raise InputError(f"{path} is not a TRC file with frames: it should begin with PathFileType; write it again")
    header = dict(zip(lines[1].split(), lines[2].split(), strict=False))
    scale = MM_PER_UNIT.get(header.get("Units", "").lower())
    if scale is None:
        raise InputError(f"{path} has units {header.get('Units')!r}; expected one of {', '.join(MM_PER_UNIT)}")
    names = [name.strip() for name in lines[3].split("\t")[2:] if name.strip()]
    joints = matched_joints(names, skeleton, path)
    rows = [line for line in lines[5:] if line.strip()]
    _check_counts(header, len(rows), len(names), path)
    table = np.array([_row(line, 2 + 3 * len(names), path) for line in rows])
    numbers = np.array([whole(number, path, "Frame#") for number in table[:, 0]])
    rate = _rate(header, path)
    frames = numbers - _first_number(numbers, table[:, 1], rate)
    if (np.diff(frames) <= 0).any():
        raise InputError(f"{path} has frame numbers that do not rise; write it again")
    points = joints.picked(table[:, 2:].reshape(len(rows), 1, -1, 3), axis=2)
    valid = np.all(np.isfinite(points), axis=-1)
    check_places(points[valid], path, scale)
    points = points * scale
    return Poses(
        torch.from_numpy(points),
        torch.from_numpy(valid),
        torch.from_numpy(valid.astype(np.float64)),
        torch.from_numpy(frames),
        joints.skeleton,
        rate,
        torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64),
    )


def _first_number(numbers: np.ndarray, seconds: np.ndarray, rate: float) -> int:
    """What the recording's first frame is called: 0 where there is a frame 0, or where the numbers of a part of a
    recording are its times (Pose2Sim). Files that begin at 1 count from 1, whatever time they give that."""
    if numbers[0] <= 1:
        return int(numbers[0])
    with np.errstate(over="ignore", invalid="ignore"):
        ahead = float(np.median(numbers - seconds * rate))
    return 0 if abs(ahead) < 0.5 else 1


def _check_counts(header: dict[str, str], rows: int, markers: int, path: Path) -> None:
    """A file that was cut off is not read as if it were whole."""
    for field, found in (("NumFrames", rows), ("NumMarkers", markers)):
        if whole(header.get(field), path, field) != found or not found:
            raise InputError(f"{path} has {found} for the {header[field]} of its {field}; write it again in full")


def _rate(header: dict[str, str], path: Path) -> float:
    try:
        fps = float(header.get("DataRate", ""))
    except ValueError:
        fps = np.nan
    if not 0 < fps < np.inf:
        raise InputError(f"{path} has DataRate {header.get('DataRate')!r}; expected frames per second")
    return fps


def _row(line: str, columns: int, path: Path) -> list[float]:
    cells = [cell.strip() for cell in line.split("\t")]
    cells += [""] * (columns - len(cells))
    try:
        if any(cells[columns:]):
            raise ValueError("too many columns")
        return [float(cell) if cell else np.nan for cell in cells[:columns]]
    except ValueError as error:
        raise InputError(f"{path}: row {line[:40]!r} does not fit its markers ({error}); write it again") from error
