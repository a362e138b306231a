"""Held-out data scored while training: shared by all processes, every sample seen exactly once."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from trivox.data.dataset import PoseDataset
from trivox.data.samples import Sample
from trivox.errors import InputError
from trivox.evaluate import default_protocol
from trivox.evaluate_model import Running, predict_rows
from trivox.evaluation_inputs import Predictions, target_of_labels
from trivox.geometry.skeletons import Skeleton, converted
from trivox.metrics.evaluation import Evaluation, evaluated
from trivox.metrics.protocols import protocol_named
from trivox.metrics.truth import Truth, truth_of_labels
from trivox.models.configs import Model
from trivox.training.baseline import Baseline
from trivox.training.config import Augmentation, Evaluating, LabelData
from trivox.training.kept import KeptForScoring, KeptScenes
from trivox.training.kept_rows import KeptRows
from trivox.training.labelled import dataset_of_data
from trivox.training.processes import Processes
from trivox.training.rendered import DrawnSamples, chosen


class HeldOut:
    """The data of an evaluation, and its protocol. Raises `InputError` where they do not fit."""

    def __init__(self, options: Evaluating, model: Model, processes: Processes, workers: int) -> None:
        data = options.data
        self.dataset: Dataset[Sample]
        if isinstance(data, LabelData):
            self.dataset = dataset = dataset_of_data(data, model)
            if data.kept is not None:
                kept = KeptRows.to_score(data, model).drawn(processes, workers)
                self.dataset = KeptForScoring(kept, options.views)
            elif options.views is not None:
                self.dataset = SomeViews(dataset, options.views)
            self.truth = truth_of_labels(dataset.labels)
            name = options.protocol or default_protocol(target_of_labels(dataset.labels), by_rows=True)
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
        self.has_ransac = options.ransac
        self.ransac: Predictions | None = None
        self._rehearse(model)

    def record(self, model: Model, processes: Processes) -> dict[str, Any]:
        """The numbers of the model on all of it for metrics.jsonl; the same in every process."""
        begun = time.perf_counter()
        model.eval()
        ours = self._predicted(model, processes)
        record = record_of(self._scored(ours, self.truth))
        if self.has_ransac:
            if self.ransac is None or _heatmaps_learn(model):
                self.ransac = self._predicted(Baseline.beside(model), processes)
            record |= self._beside(ours, self.ransac)
        return record | {"evaluation_s": time.perf_counter() - begun}

    def _predicted(self, model: Model, processes: Processes) -> Predictions:
        rows = range(processes.rank, len(self.truth), processes.size)
        return gathered(predict_rows(model, self.dataset, self.running, rows), processes)

    def _scored(self, predicted: Predictions, truth: Truth) -> Evaluation:
        points_mm, found = predicted.points_mm, predicted.found
        return evaluated(points_mm, truth, self.protocol, skeleton=predicted.skeleton, found=found, missing="skip")

    def _beside(self, ours: Predictions, ransac: Predictions) -> dict[str, float | None]:
        """Both in the joints of the heatmaps, over what both found; None where there is no such joint."""
        skeleton, truth = ransac.skeleton, self.truth
        own = converted(ours.points_mm, ours.found, ours.skeleton, skeleton)
        true = converted(truth.points_mm, truth.valid, truth.skeleton, skeleton)
        both = own.valid & ransac.found & true.valid
        if not bool(both.any()):
            return {"ransac_mm": None, "beside_ransac_mm": None, "ratio_to_ransac": None}
        truth = replace(truth, points_mm=true.points, valid=both, skeleton=skeleton)
        own_mm, ransac_mm = (
            self._scored(Predictions(points_mm, both, skeleton), truth).score_mm
            for points_mm in (own.points, ransac.points_mm)
        )
        return {"ransac_mm": ransac_mm, "beside_ransac_mm": own_mm, "ratio_to_ransac": own_mm / ransac_mm}

    def _rehearse(self, model: Model) -> None:
        """Score nothing but the rows' shapes, so that a protocol that does not fit is refused before the first step."""

        def nothing(skeleton: Skeleton) -> Predictions:
            shape = (len(self.truth), len(skeleton))
            return Predictions(torch.zeros(*shape, 3), torch.ones(shape, dtype=torch.bool), skeleton)

        ours = nothing(model.skeleton)
        self._scored(ours, self.truth)
        if self.has_ransac:
            self._beside(ours, nothing(Baseline.beside(model).skeleton))


class SomeViews(Dataset[Sample]):
    """Rows of a table with so many of their views, those of kept rows: the same ones every time."""

    def __init__(self, rows: PoseDataset, views: int) -> None:
        self.rows, self.views = rows, views

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> Sample:
        return chosen(self.rows[row], self.views, (0,))


def _heatmaps_learn(model: Model) -> bool:
    backbone = cast(nn.Module, model.backbone)
    return any(p.requires_grad for name, p in backbone.named_parameters() if "_confidences." not in name)


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


def _truth_of(dataset: DrawnSamples | KeptForScoring, skeleton: Skeleton) -> Truth:
    samples = [replace(dataset[row], looked=None) for row in range(len(dataset))]
    if not any(bool(sample.present.any()) for sample in samples):
        raise InputError("no scene for evaluation shows the person; draw more scenes")

    def stacked(field: str) -> Tensor:
        return torch.stack([getattr(sample, field) for sample in samples])

    nobody = np.full(len(samples), "")
    unbroken = torch.zeros(len(samples), dtype=torch.bool)
    return Truth(stacked("points_mm"), stacked("valid"), skeleton, nobody, nobody, unbroken)
