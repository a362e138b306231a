"""Predictions of a run that is not finished, kept beside the file that it is to write, so that an interrupted one goes
on.

`results.pkl` has `results.pkl.unfinished.npz` beside it while a model runs: written once a minute and whenever the run
stops, whole or not at all, and removed when the results are there. It belongs to one model, one dataset and one way of
running it; what they are is in its `digest`.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trivox.data.dataset import PoseDataset
from trivox.errors import InputError
from trivox.evaluation_inputs import Predictions
from trivox.files.npz import read_npz_of, write_npz
from trivox.geometry.skeletons import Skeleton
from trivox.models.configs import Model

_SECONDS = 60.0


def forget_kept(results: Path) -> None:
    """Remove what a run left beside its results, when it was stopped between writing them and tidying up."""
    _beside(results).unlink(missing_ok=True)


def _beside(results: Path) -> Path:
    return results.with_name(f"{results.name}.unfinished.npz")


class KeptPredictions:
    """Poses (N, J, 3) of N rows, which of their joints were found, and which rows are `done`.

    `path` is the file of the results, or None to keep nothing. Raises `InputError` where another run left its
    predictions there.
    """

    def __init__(self, path: Path | None, rows: int, skeleton: Skeleton, digest: str) -> None:
        self.points_mm = np.zeros((rows, len(skeleton), 3), np.float32)
        self.found = np.zeros((rows, len(skeleton)), bool)
        self.done = np.zeros(rows, bool)
        self._path = None if path is None else _beside(path)
        self._skeleton, self._digest, self._written = skeleton, digest, time.monotonic()
        if self._path is not None and self._path.is_file():
            self._read(self._path)

    def add(self, rows: Tensor, points_mm: Tensor, found: Tensor) -> None:
        at = rows.numpy()
        self.points_mm[at], self.found[at], self.done[at] = points_mm.float().cpu(), found.cpu(), True
        if time.monotonic() - self._written > _SECONDS:
            self.write()

    def write(self) -> None:
        """Keep what is there."""
        if self._path is not None and self.done.any():
            write_npz(self._path, self._arrays())
        self._written = time.monotonic()

    def remove(self) -> None:
        """The results are written: nothing has to be kept any more."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def predictions(self) -> Predictions:
        return Predictions(torch.from_numpy(self.points_mm), torch.from_numpy(self.found), self._skeleton)

    def _arrays(self) -> dict[str, np.ndarray]:
        return {
            "digest": np.array(self._digest),
            "points_mm": self.points_mm,
            "found": self.found,
            "done": self.done,
        }

    def _read(self, path: Path) -> None:
        ours = {name: (array.dtype.str, array.shape) for name, array in self._arrays().items()}
        try:
            kept = read_npz_of(path, ours)
        except InputError as error:
            raise self._of_another_run(path) from error
        if str(kept["digest"]) != self._digest:
            raise self._of_another_run(path)
        self.points_mm, self.found, self.done = kept["points_mm"], kept["found"], kept["done"]

    @staticmethod
    def _of_another_run(path: Path) -> InputError:
        return InputError(
            f"{path} holds what another evaluation has done so far; repeat that one to finish it, remove the file, or "
            "choose another name"
        )


def digest_of(model: Model, dataset: PoseDataset, how: object) -> str:
    """What a run computes from: weights, rows, cameras, options and centres."""
    labels, digest = dataset.labels, hashlib.sha256()
    described: list[Any] = [model.skeleton, model.profile, labels.recordings, labels.camera_names, dataset.options, how]
    described.append(labels.cameras.distortion_models)
    digest.update(repr(described).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(_bytes(tensor))
    cameras = labels.cameras
    for tensor in (cameras.K, cameras.R, cameras.t_mm, cameras.distortion):
        digest.update(_bytes(tensor))
    arrays = (labels.recording, labels.frames, labels.people, dataset.boxes_px, dataset.present, labels.points_mm)
    for array in (*arrays, *(() if dataset.centres_mm is None else (dataset.centres_mm,))):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
