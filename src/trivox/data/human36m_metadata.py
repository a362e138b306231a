"""Human3.6M's `metadata.xml` (of its official code, Release-v1.x): which file is which trial, and the cameras.

    <mapping>      rows of cells: action number, trial number, then a file name ("Directions 1") for each subject
    <actionnames>  names of the actions 1, 2, ...
    <dbcameras><index2id>  names of the cameras 1 to 4
    <w0>           300 numbers: for each camera, then subject, three angles and the centre in mm; then for each camera
                   focal lengths, principal point, k1 k2 k3, p1 p2

The rotation is Rx(a) Ry(b) Rz(c), and x_cam = R (X - centre). The numbers of the files do not tell trials: the first
trial of S1's Eating is "Eating 2", its second "Eating". The table has them in the order of the official file names:
the numbered ones, then the one without a number. Where the file is missing that order takes its place.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from trivox.data.human36m import ACTIONS, CAMERAS, SUBJECTS
from trivox.errors import InputError
from trivox.files.text import read_text
from trivox.geometry.cameras import Cameras

_ALL_SUBJECTS = 11
# As the files abbreviate them.
_VIDEO = re.compile(r"(([A-Za-z]+)(?: (\d+))?)\.\d{8}\.mp4")
_RENAMED = {"Photo": "TakingPhoto", "WalkDog": "WalkingDog", "WalkTogether": "WalkingTogether"}


@dataclass(frozen=True)
class Metadata:
    """`files[subject, trial]` is the file's name without camera and suffix, `cameras[subject]` has batch (4,).

    `cameras` is None where the file has none.
    """

    files: dict[tuple[str, str], str]
    cameras: dict[str, Cameras] | None


def read_metadata(path: Path) -> Metadata:
    """Raises `InputError` where the file is not as described."""
    text = read_text(path)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise _malformed(path, "it declares entities")
    try:
        root = ET.fromstring(text)
    except ET.ParseError as error:
        raise _malformed(path, str(error)) from error
    return Metadata(_files(root, path), _cameras(root, path))


def metadata_of_names(raw: Path, subjects: Sequence[str]) -> Metadata:
    """Trials by the order of the names of their videos; those of an action that has not just two are not told apart."""
    return Metadata(
        {
            (subject, trial): name
            for subject in subjects
            for trial, name in _trials_in_order(path.name for path in (raw / subject / "Videos").glob("*.mp4")).items()
        },
        None,
    )


def _trials_in_order(videos: Iterable[str]) -> dict[str, str]:
    """Trial -> name of its files, of the names of all videos of a subject."""
    found: dict[str, set[tuple[float, str]]] = {}
    for match in filter(None, map(_VIDEO.fullmatch, videos)):
        action = _RENAMED.get(match[2], match[2])
        found.setdefault(action, set()).add((float(match[3] or "inf"), match[1]))
    return {
        f"{action}-{trial}": name
        for action, names in found.items()
        if action in ACTIONS and len(names) == 2
        for trial, (_, name) in enumerate(sorted(names), start=1)
    }


def _files(root: ET.Element, path: Path) -> dict[tuple[str, str], str]:
    rows = [[(cell.text or "").strip() for cell in row] for row in root.findall("mapping/*")]
    actions = [(name.text or "").strip() for name in root.findall("actionnames/*")]
    if not rows or not actions or not set(SUBJECTS) <= set(rows[0][2:]):
        raise _malformed(path, "it lacks the table of file names or of actions")
    files = {}
    for row in rows[1:]:
        if len(row) < 2 or not row[0].isdigit() or not row[1].isdigit() or not 1 <= int(row[0]) <= len(actions):
            continue  # rows of picture sizes
        action = _RENAMED.get(actions[int(row[0]) - 1], actions[int(row[0]) - 1])
        if action in ACTIONS:
            files |= {
                (subject, f"{action}-{int(row[1])}"): name
                for subject, name in zip(rows[0][2:], row[2:], strict=False)
                if name
            }
    return files


def _cameras(root: ET.Element, path: Path) -> dict[str, Cameras] | None:
    text = root.findtext("w0")
    if text is None:
        return None
    try:
        numbers = np.array([float(word) for word in text.strip().strip("[]").split()])
    except ValueError as error:
        raise _malformed(path, f"w0 holds something that is no number ({error})") from error
    names = tuple((name.text or "").strip() for name in root.findall("dbcameras/index2id/*"))
    if len(numbers) != 6 * 4 * _ALL_SUBJECTS + 9 * 4 or not np.isfinite(numbers).all() or names[:4] != CAMERAS:
        raise _malformed(path, f"w0 holds {len(numbers)} numbers for the cameras {', '.join(names[:6])}")
    placed = torch.from_numpy(numbers[: 24 * _ALL_SUBJECTS].reshape(4, _ALL_SUBJECTS, 6))
    lenses = torch.from_numpy(numbers[24 * _ALL_SUBJECTS :].reshape(4, 9))
    return {f"S{s + 1}": _of_subject(placed[:, s], lenses) for s in range(_ALL_SUBJECTS)}


def _of_subject(placed: torch.Tensor, lenses: torch.Tensor) -> Cameras:
    K = torch.eye(3, dtype=torch.float64).repeat(4, 1, 1)
    K[:, 0, 0], K[:, 1, 1] = lenses[:, 0], lenses[:, 1]
    K[:, :2, 2] = lenses[:, 2:4] + 0.5  # the file counts from the centre of the first pixel
    R = rotations_xyz(placed[:, :3])
    t_mm = -(R @ placed[:, 3:, None])[..., 0]
    return Cameras(K, R, t_mm, lenses[:, [4, 5, 7, 8, 6]].clone(), "human36m")


def rotations_xyz(angles: torch.Tensor) -> torch.Tensor:
    """Rx(a) Ry(b) Rz(c) of angles (*b, 3) in radians."""
    c, s = angles.cos(), angles.sin()
    zero, one = torch.zeros_like(c[..., 0]), torch.ones_like(c[..., 0])
    about_x = [one, zero, zero, zero, c[..., 0], -s[..., 0], zero, s[..., 0], c[..., 0]]
    about_y = [c[..., 1], zero, s[..., 1], zero, one, zero, -s[..., 1], zero, c[..., 1]]
    about_z = [c[..., 2], -s[..., 2], zero, s[..., 2], c[..., 2], zero, zero, zero, one]
    x, y, z = (torch.stack(parts, -1).unflatten(-1, (3, 3)) for parts in (about_x, about_y, about_z))
    return x @ y @ z


def _malformed(path: Path, said: str) -> InputError:
    return InputError(f"{path} is not Human3.6M's metadata.xml: {said}; take it from the official code (Release-v1.x)")
