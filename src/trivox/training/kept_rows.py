"""Rows of a label table as a frozen backbone sees them (kept.py): read, varied and looked at once.

Kept are the pictures' answers and their cameras. The truth, and where cubes are, come from the table each time, so that
other joints, or corrected ones, learn from the same files.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Int

from trivox.data.samples import Sample
from trivox.models.configs import Model
from trivox.training.config import Augmentation, LabelData
from trivox.training.kept import Kept, KeptSamples, pictures_varied, read_kept
from trivox.training.labelled import VariedDataset, dataset_of_data, rows_to_learn_from


@dataclass(frozen=True)
class KeptRows(Kept):
    """Some `rows` of a dataset in `folder`, a file each; varied as in the first epoch."""

    folder: Path
    model: Model
    dataset: VariedDataset
    rows: Int[np.ndarray, "n"]
    fields: ClassVar[tuple[str, ...]] = ("present", "boxes_px")
    what: ClassVar[str] = "rows"

    @classmethod
    def to_learn_from(cls, data: LabelData, model: Model, vary: Augmentation, seed: int) -> KeptRows:
        """The rows of `data` that training takes."""
        dataset = dataset_of_data(data, model)
        assert data.kept is not None
        return cls(data.kept, model, VariedDataset(dataset, vary, seed), rows_to_learn_from(dataset, data))

    @classmethod
    def to_score(cls, data: LabelData, model: Model) -> KeptRows:
        """All rows of `data`, as they are."""
        dataset = VariedDataset(dataset_of_data(data, model), Augmentation(), 0)
        assert data.kept is not None
        return cls(data.kept, model, dataset, np.arange(len(dataset)))

    def __len__(self) -> int:
        return len(self.rows)

    def path(self, number: int) -> Path:
        return self.folder / f"row-{int(self.rows[number]):07d}.safetensors"

    def samples(self, number: int) -> list[Sample]:
        return [self.dataset.varied(int(self.rows[number]))]

    def described(self) -> dict[str, Any]:
        """The rows by all that decides what is cut out of which pictures; not where the folder of these is."""
        dataset, labels, digest = self.dataset, self.dataset.labels, hashlib.sha256()
        lenses = labels.cameras.distortion_models
        where = (
            labels.name,
            labels.recordings,
            lenses,
            dataset.camera_names,
            labels.pictures.template,
            dataset.options,
        )
        digest.update(repr(where).encode())
        cameras = labels.cameras
        tensors = (cameras.K, cameras.R, cameras.t_mm, cameras.distortion)
        arrays = (labels.recording, labels.frames, labels.people, dataset.boxes_px, dataset.present)
        for array in (*arrays, *(tensor.numpy() for tensor in tensors)):
            digest.update(np.ascontiguousarray(array).tobytes())
        pictures = pictures_varied(dataset.variations)
        return {"rows": digest.hexdigest(), "pictures": pictures, "seed": dataset.seed}

    def opened(self) -> KeptRowSamples:
        return KeptRowSamples(self)


class KeptRowSamples(KeptSamples):
    """Item n: the n-th of the rows that are kept."""

    def __init__(self, kept: KeptRows) -> None:
        self.kept, self.views = kept, len(kept.dataset.camera_names)

    def __len__(self) -> int:
        return len(self.kept)

    def __getitem__(self, row: int) -> Sample:
        truth = self.kept.dataset.without_pictures(int(self.kept.rows[row]))
        read, _ = read_kept(self.kept.path(row), 0, truth.cameras.distortion_model)
        return replace(truth, images=torch.zeros(self.views, 3, 0, 0), **read)
