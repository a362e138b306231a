"""Held-out data scored while training: shared by all processes, every sample seen exactly once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from trivox.data.samples import Sample
from trivox.errors import InputError
from trivox.evaluate import default_protocol
from trivox.evaluate_model import Running, predict_rows
from trivox.evaluation_inputs import Predictions, target_of_labels
from trivox.geometry.skeletons import Skeleton
from trivox.metrics.evaluation import Evaluation, evaluated
from trivox.metrics.protocols import protocol_named
from trivox.metrics.truth import Truth, truth_of_labels
from trivox.models.configs import Model
from trivox.training.config import Augmentation, Evaluating, LabelData
from trivox.training.kept import KeptForScoring, KeptScenes
from trivox.training.labelled import dataset_of_data
from trivox.training.processes import Processes
from trivox.training.rendered import DrawnSamples


class HeldOut:
    """The data of an evaluation, and its protocol. Raises `InputError` where they do not fit."""

    def __init__(self, options: Evaluating, model: Model, processes: Processes, workers: int) -> None:
        data = options.data
        self.dataset: Dataset[Sample]
        if isinstance(data, LabelData):
            self.dataset = dataset = dataset_of_data(data, model)
            self.truth = truth_of_labels(dataset.labels)
            name = options.protocol or _default(dataset.labels.name, default_protocol(target_of_labels(dataset.labels)))
        else:
            if data.kept is None:
                self.dataset = DrawnSamples(data, model, options.views)
            else:
                kept = KeptScenes(data, model, Augmentation(), 0).drawn(processes, workers)
                self.dataset = KeptForScoring(kept, options.views)
            self.truth = _truth_of(self.dataset, model.skeleton)
            name = options.protocol or "absolute"
        self.protocol = protocol_named(name)
        centres = "truth" if isinstance(data, LabelData) and data.centres is not None else options.centres
        self.running = Running(batch_size=options.batch_size, workers=workers, centres=centres)

    def score(self, model: Model, processes: Processes) -> Evaluation:
        """The model on all of it; the same in every process."""
        model.eval()
        rows = range(processes.rank, len(self.truth), processes.size)
        predicted = gathered(predict_rows(model, self.dataset, self.running, rows), processes)
        return evaluated(
            predicted.points_mm,
            self.truth,
            self.protocol,
            skeleton=predicted.skeleton,
            found=predicted.found,
            missing="skip",
        )


def gathered(predicted: Predictions, processes: Processes) -> Predictions:
    """Predictions of all processes. Each row was found by one of them; a second time would be a defect."""
    times = processes.summed(predicted.found.long())
    assert int(times.max()) <= 1, "a sample was predicted by two processes"
    points_mm = processes.summed(torch.where(predicted.found[..., None], predicted.points_mm, 0.0))
    return replace(predicted, points_mm=points_mm, found=times == 1)


def record_of(evaluation: Evaluation) -> dict[str, Any]:
    """The numbers of an evaluation for metrics.jsonl."""
    average = evaluation.average
    names = ("poses", "absolute_mm", "relative_mm", "aligned_mm", "auc")
    score = evaluation.protocol.measure + "_mm"
    return {
        "protocol": evaluation.protocol.name,
        "score_mm": getattr(average, score),
        "joints_missing": evaluation.joints_missing,
        **{name: getattr(average, name) for name in names},
    }


def _default(dataset: str, protocol: str) -> str:
    if protocol == "people":  # rows are single people even where these share frames
        return {"panoptic": "panoptic-relative"}.get(dataset, "absolute")
    return protocol


def _truth_of(dataset: DrawnSamples | KeptForScoring, skeleton: Skeleton) -> Truth:
    samples = [replace(dataset[row], looked=None) for row in range(len(dataset))]
    if not any(bool(sample.present.any()) for sample in samples):
        raise InputError("no scene for evaluation shows the person; draw more scenes")

    def stacked(field: str) -> Tensor:
        return torch.stack([getattr(sample, field) for sample in samples])

    nobody = np.full(len(samples), "")
    unbroken = torch.zeros(len(samples), dtype=torch.bool)
    return Truth(stacked("points_mm"), stacked("valid"), skeleton, nobody, nobody, unbroken)
