"""Reading the golden folder: cases are whatever the files hold."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.linalg import rq
from torch import Tensor

from trivox.geometry.cameras import Cameras
from trivox.geometry.skeletons import Skeleton

Case = dict[str, Any]

# Where each kind of joints has its pelvis, or the hips whose middle it is.
ROOTS = {"mpii": {6: "pelvis"}, "coco": {11: "left_hip", 12: "right_hip"}, "cmu": {2: "pelvis"}}


def read_cases(path: Path) -> dict[str, Case]:
    """Arrays of an npz by case, the name up to the last dot."""
    cases: dict[str, Case] = defaultdict(dict)
    with np.load(path, allow_pickle=False) as arrays:
        for key in arrays.files:
            name, _, field = key.rpartition(".")
            cases[name][field] = arrays[key]
    return dict(cases)


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def skeleton_of_kind(joints: int, kind: str = "mpii") -> Skeleton:
    """A skeleton of so many joints that has its pelvis where the golden README says."""
    names = [ROOTS[kind].get(joint, f"joint{joint}") for joint in range(joints)]
    return Skeleton(kind, tuple(names), (), "pelvis")


class Tolerances:
    """`tolerances.json`: |a - b| <= atol + rtol |b|."""

    def __init__(self, golden: Path) -> None:
        self.table = read_json(golden / "tolerances.json")

    def check(self, kind: str, ours: Tensor, theirs: np.ndarray, what: str) -> None:
        limit = self.table[kind]
        expected = torch.from_numpy(theirs).to(ours.dtype)
        torch.testing.assert_close(
            ours, expected, atol=limit["atol"], rtol=limit["rtol"], msg=lambda text: f"{what}: {text}"
        )

    def check_of_largest(self, kind: str, ours: Tensor, theirs: np.ndarray, what: str) -> None:
        """For sums in float32, where terms of any size cancel: the share is one of the largest value."""
        limit = self.table[kind]
        expected = torch.from_numpy(theirs).to(ours.dtype)
        atol = limit["atol"] + limit["rtol"] * float(expected.abs().max())
        torch.testing.assert_close(ours, expected, atol=atol, rtol=0, msg=lambda text: f"{what}: {text}")


def camera_of(R: np.ndarray, t: np.ndarray, K: np.ndarray) -> Cameras:
    """Cameras from golden arrays, any batch; golden cameras have no lens."""
    t_mm = torch.from_numpy(t)[..., 0]
    return Cameras(torch.from_numpy(K), torch.from_numpy(R), t_mm, t_mm.new_zeros(*t_mm.shape[:-1], 5))


def cameras_of_projections(P: np.ndarray) -> Cameras:
    """Cameras whose `pixel_from_world` is P (*b, 3, 4), in float64."""
    flat = P.reshape(-1, 3, 4).astype(np.float64)
    cameras = [_decomposed(matrix) for matrix in flat]
    K, R, t = (np.stack(parts).reshape(*P.shape[:-2], 3, -1) for parts in zip(*cameras, strict=True))
    return camera_of(R, t, K)


def _decomposed(P: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    K, R = rq(P[:, :3])
    signs = np.diag(np.sign(np.diag(K)))
    K, R = K @ signs, signs @ R
    assert np.linalg.det(R) > 0, "a projection matrix with its sign turned"
    return K / K[2, 2], R, np.linalg.solve(K, P[:, 3:])
