"""A model over the rows of a dataset: its predictions, and how good they are.

    trivox.evaluate_model("model.safetensors", labels="labels.json", results_pkl="results.pkl")

Samples are made as the model's profile asks: its picture size, its pixel origin, its way of shrinking pictures. The
predictions are written as the published system does, so that a later volumetric run can take its cubes' centres from
them (`centres`). Without these a volumetric model looks for the person itself; the true root is taken only where asked
for, because it tells the model a part of the answer.
"""

from __future__ import annotations

from collections.abc import Sequence, Sized
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from trivox.base.work import alone_in, alone_with
from trivox.data.centres import centres_of_results
from trivox.data.dataset import DatasetOptions, PoseDataset
from trivox.data.labels import Labels
from trivox.data.samples import Sample, collate
from trivox.data.workers import batches_of
from trivox.errors import InputError
from trivox.evaluate import Files, refuse_to_overwrite, scored
from trivox.evaluation_inputs import (
    Predictions,
    Rows,
    Target,
    Units,
    labels_of,
    load_predictions,
    save_predictions,
    target_of_labels,
)
from trivox.evaluation_report import Report
from trivox.geometry.axes import angle_deg, estimated_up, upright_from_world
from trivox.geometry.triangulated import Triangulated
from trivox.kept_predictions import KeptPredictions, digest_of, forget_kept
from trivox.metrics.evaluation import Missing
from trivox.models.backbones import BackboneOutput, MoveNetBackbone
from trivox.models.checkpoints import load_model
from trivox.models.configs import Model
from trivox.models.volumetric import Volumetric
from trivox.people.detected_boxes import with_boxes_where_unknown
from trivox.progress import progress, say

Centres = Literal["own", "truth"]

# A world whose up axis is the model's, but for rounding, is left as it is.
_UPRIGHT_DEG = 0.01


@dataclass(frozen=True)
class Running:
    """How a model is run. `device` is torch's name; "auto" is a GPU where there is one.

    `centres` of a volumetric model: its "own", the "truth", or the results.pkl of an earlier run on the same rows, in
    `units`.
    """

    batch_size: int = 8
    workers: int = 2
    device: str = "auto"
    centres: Centres | Path = "own"
    units: Units = "mm"

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.workers < 0:
            raise InputError(
                f"{self.batch_size} samples at a time in {self.workers} processes cannot be; give --batch-size from 1 "
                "and --workers from 0 up"
            )


@dataclass(frozen=True)
class Views:
    """Which views a model sees: fields of `DatasetOptions` that are not the model's own."""

    choose_cameras: tuple[str, ...] = ()
    ignore_cameras: tuple[str, ...] = ()
    scale_bbox: float = 1.0
    undistort_images: bool = False
    unreadable: Literal["raise", "missing"] = "raise"


def evaluate_model(
    weights: Path | str,
    *,
    labels: Path | str,
    pictures: Path | str | None = None,
    rows: Rows | None = None,
    views: Views | None = None,
    running: Running | None = None,
    protocol: str | None = None,
    missing: Missing = "refuse",
    out: Path | str | None = None,
    metric_json: Path | str | None = None,
    results_pkl: Path | str | None = None,
    compare: Path | str | None = None,
) -> Report:
    """Run the model in `weights` (or one that comes along, by name) over the `rows` of a label table, and score it.

    `pictures` is the folder with the pictures of a label table of the published system. Everything else is as in
    `evaluate`; `results_pkl` keeps the predictions, those of an interrupted run too, which the same call finishes.
    Raises `InputError` where anything does not fit, as far as possible before the model runs.
    """
    running = running or Running()
    results = None if results_pkl is None else Path(results_pkl)
    with alone_in(None if out is None else Path(out)), alone_with(results):
        if results is not None and results.is_file():
            forget_kept(results)
        refuse_to_overwrite(out, metric_json, results)
        model = load_model(weights).to(_device(running.device))
        table = (rows or Rows()).of(labels_of(Path(labels), None if pictures is None else Path(pictures)))
        if not table.valid.any():
            raise InputError(f"{labels} holds no truth for these rows to be scored against; use trivox predict")
        table = with_boxes_where_unknown(table)
        dataset = dataset_for(model, table, views or Views(), running)
        target, files = target_of_labels(table), Files.of(out, metric_json, compare)
        _rehearse(model, dataset, target, protocol, missing, files)
        predicted = _predicted(model, dataset, running, results)
        about = {"model": str(weights), "centres": str(running.centres)}
        return scored(predicted, target, protocol, missing, files, about)


def _rehearse(
    model: Model, dataset: PoseDataset, target: Target, protocol: str | None, missing: Missing, files: Files
) -> None:
    """Score nothing but the rows' shapes, so that what would be refused after hours is refused now."""
    seen = torch.from_numpy(dataset.present.any(1))[:, None].expand(-1, len(model.skeleton))
    nothing = Predictions(torch.zeros(*seen.shape, 3), seen, model.skeleton)
    scored(nothing, target, protocol, missing, Files(compare=files.compare))


def _predicted(model: Model, dataset: PoseDataset, running: Running, results: Path | None) -> Predictions:
    """The predictions, written to `results`; what an interrupted run has done is kept there and taken up again."""
    if results is None:
        return in_own_worlds(predict_rows(model, dataset, running), dataset.labels)
    kept = KeptPredictions(results, len(dataset), model.skeleton, digest_of(model, dataset, running.centres))
    try:
        predicted = in_own_worlds(predict_rows(model, dataset, running, kept=kept), dataset.labels)
    except BaseException:
        kept.write()
        raise
    save_predictions(predicted, results)
    kept.remove()
    return predicted


def in_own_worlds(predicted: Predictions, labels: Labels) -> Predictions:
    """Predictions for all rows of labels that may have been turned for a model, in the world of their truth."""
    return replace(predicted, points_mm=torch.from_numpy(labels.in_own_worlds(predicted.points_mm.numpy())))


def upright_for(model: Model, labels: Labels) -> Labels:
    """The labels in a world whose up axis is the one that a volumetric model was trained with.

    Where nobody knows which way is up, it is estimated for each recording from the true people and the cameras, and
    said. A world that is upright already stays as it is, and so it does for a model that has no up.
    """
    if not isinstance(model, Volumetric):
        return labels
    axis = model.cube.up_axis
    if labels.up is not None and angle_deg(labels.up.double(), axis) < _UPRIGHT_DEG:
        return labels
    turns = torch.eye(3, dtype=torch.float64).repeat(len(labels.recordings), 1, 1)
    for r in np.flatnonzero(labels.has_camera.any(1)).tolist():
        cameras, up = labels.cameras[r][torch.from_numpy(labels.has_camera[r])], labels.up
        if up is None:
            rows = labels.recording == r
            points_mm, valid = torch.from_numpy(labels.points_mm[rows]), torch.from_numpy(labels.valid[rows])
            found = estimated_up(points_mm, valid, labels.skeleton, cameras)
            say(f"{labels.recordings[r].name}: {found}; the model sees the people with that way up")
            up = found.up
        turns[r] = upright_from_world(up, cameras, axis)[:3, :3]
    return labels.turned(turns, axis)


def dataset_for(model: Model, labels: Labels, views: Views, running: Running) -> PoseDataset:
    """Samples of `labels` in the conventions of the model, with centres from an earlier run where there was one.

    They are in the model's world (`upright_for`); `in_own_worlds` leads what is predicted back.
    """
    options = DatasetOptions(
        choose_cameras=views.choose_cameras,
        ignore_cameras=views.ignore_cameras,
        scale_bbox=views.scale_bbox,
        undistort_images=views.undistort_images,
        image_hw=model.image_hw,
        pixels=model.profile.resampling,
        unreadable=views.unreadable,
    )
    centres_mm = None
    if isinstance(centres := running.centres, Path):
        earlier = load_predictions(centres, units=running.units)
        if not isinstance(earlier, Predictions):
            raise InputError(f"{centres} has no pose for each row of a dataset; give the results.pkl of an earlier run")
        points = earlier.points_mm.numpy().astype(np.float32)
        centres_mm = centres_of_results(points, np.arange(len(points)), earlier.skeleton, len(labels))
    labels = upright_for(model, labels)
    if centres_mm is not None:
        centres_mm = labels.from_own_worlds(centres_mm)
    return PoseDataset(labels.with_cameras(model.profile.recorded(labels.cameras)), options, centres_mm)


@torch.inference_mode()
def predict_rows(
    model: Model,
    dataset: Dataset[Sample],
    running: Running,
    rows: Sequence[int] | None = None,
    kept: KeptPredictions | None = None,
) -> Predictions:
    """One pose for every row of `dataset`, in its order; a row without any picture has none.

    With `rows` only these are predicted, and the others have none: processes can share the work. What is done already
    (`kept`) is not done again.
    """
    total = len(cast(Sized, dataset))
    kept = kept or KeptPredictions(None, total, model.skeleton, "")
    chosen = list(range(total)) if rows is None else list(rows)
    if isinstance(dataset, PoseDataset):
        seen = set(np.flatnonzero(dataset.present.any(1)).tolist())
        chosen = [row for row in chosen if row in seen]
    todo = [row for row in chosen if not kept.done[row]]
    loader = DataLoader(
        Subset(dataset, todo), batch_size=running.batch_size, num_workers=running.workers, collate_fn=collate
    )
    device = next(model.parameters()).device
    with progress("samples", len(chosen), done=len(chosen) - len(todo), unit="samples") as advance:
        for sample in batches_of(loader):
            advance(len(sample.row))
            sample = _with_views(sample)
            if len(sample.row):
                triangulated = _run(model, sample.to(device), running.centres != "own")
                kept.add(sample.row, triangulated.points_mm, placed(model, triangulated))
    return kept.predictions()


def placed(model: Model, found: Triangulated) -> Bool[Tensor, "B J"]:
    """Joints that a model gives a place: what is scored.

    A volumetric one places every joint; leaving out those whose place it does not know well would flatter it.
    """
    return found.confidence > 0 if isinstance(model, Volumetric) else found.valid


def _with_views(batch: Sample) -> Sample:
    """The samples that have a view: pictures that cannot be read may have been taken as missing."""
    seen = batch.present.any(1)
    if bool(seen.all()):
        return batch
    chosen = replace(batch, key="").map(lambda t: t[seen])
    return replace(chosen, key=tuple(key for key, has in zip(batch.key, seen.tolist(), strict=True) if has))


def _run(model: Model, sample: Sample, has_centres: bool) -> Triangulated:
    if not isinstance(model, Volumetric) or not has_centres:
        return ask(model, sample)
    if not bool(sample.has_centre.all()):
        raise InputError("a row has no true root to put a cube at; let the model find its own centres")
    return ask(model, sample, centre_mm=sample.centre_mm)


def ask(model: Model, batch: Sample, **where: Tensor) -> Triangulated:
    """What the model says of a batch; `where` a volumetric one has its cubes (`centre_mm`, `angle_rad`).

    What the backbone said before is not asked again; its confidence heads are: they may have learned since.
    """
    if batch.looked is None:
        return model(batch.images, batch.cameras, batch.present, **where)
    flat = cast(BackboneOutput, batch.looked).map(lambda t: t.flatten(0, 1).float())
    views = cast(MoveNetBackbone, model.backbone).confident(flat).map(lambda t: t.unflatten(0, batch.present.shape))
    return model.from_views(views, model.image_hw, batch.cameras, batch.present, **where)


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"there is no device {name!r} here; give cpu or cuda, or leave --device out") from error
