"""Predictions against their truth, by a named protocol.

    trivox.evaluate("trivox-out", truth="truth.npz")
    trivox.evaluate("results.pkl", labels="labels.npz", protocol="human36m-absolute")

Predictions are a result folder, a file of poses, or a results.pkl of the published system. The truth is a file of
poses or the label table of a dataset. docs/protocols.md defines the protocols.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from trivox.base.work import alone_in
from trivox.errors import InputError
from trivox.evaluation_doubts import doubts_about_truth, in_world_of
from trivox.evaluation_inputs import (
    Predictions,
    Rows,
    Target,
    Units,
    for_rows,
    labels_of,
    load_predictions,
    scenes,
    target_of_labels,
    target_of_poses,
    within_predictions,
)
from trivox.evaluation_report import (
    Report,
    metric_tables,
    report_of_parts,
    report_of_people,
    report_of_poses,
    report_paths,
    save_report,
    with_comparison,
)
from trivox.files.poses import load_poses
from trivox.files.reference_results import load_metric_json, save_metric_json
from trivox.geometry.poses import Poses
from trivox.metrics.evaluation import Evaluation, Missing, evaluated
from trivox.metrics.people_evaluation import evaluated_parts, evaluated_people
from trivox.metrics.protocols import PROTOCOLS, protocol_named
from trivox.metrics.truth import with_joints_of
from trivox.progress import say

# Protocols of several people, beside those of `metrics.PROTOCOLS`.
PEOPLE, PARTS = "people", "parts"
_OF_DATASET = {"human36m": "human36m-relative", "panoptic": "panoptic-relative"}


def evaluate(
    predictions: Path | str,
    *,
    truth: Path | str | None = None,
    labels: Path | str | None = None,
    rows: Rows | None = None,
    protocol: str | None = None,
    skeleton: str | None = None,
    units: Units | None = None,
    missing: Missing = "refuse",
    out: Path | str | None = None,
    metric_json: Path | str | None = None,
    compare: Path | str | None = None,
) -> Report:
    """Score `predictions` against a file of poses (`truth`) or the `rows` of a label table (`labels`).

    `protocol` is one of `metrics.PROTOCOLS`, or "people" (average precision, recall) or "parts" (PCP) for scenes of
    several people; unless given, that of the dataset, "people" where there are several, else "absolute". `skeleton`
    names the joints of a results.pkl, or picks those of other files; `units` are those of a results.pkl (mm unless
    given; of Panoptic the published programs write cm). `missing="skip"` scores what was found.

    Written where asked for: `out`, a folder with evaluation.json and evaluation.csv, and `metric_json` as the published
    system has it; `compare` is another one to stand beside. Raises `InputError` where anything does not fit.
    """
    if (truth is None) == (labels is None):
        raise InputError("an evaluation needs either a file of true poses (--truth) or a label table (--labels)")
    files = Files.of(out, metric_json, compare)
    with alone_in(files.out):
        refuse_to_overwrite(out, metric_json)
        predicted = load_predictions(Path(predictions), skeleton, units)
        if truth is not None:
            known = load_poses(truth)
            known = in_world_of(known, predicted) if isinstance(predicted, Poses) else known
            target, rate = target_of_poses(_counted(known, predicted)), known.fps
        else:
            assert labels is not None
            target, rate = target_of_labels((rows or Rows()).of(labels_of(Path(labels)))), None
        if isinstance(predicted, Poses) and target.scene is not None:
            for doubt in doubts_about_truth(predicted, target.scene, rate):
                say(doubt)
        return scored(predicted, target, protocol, missing, files)


def _counted(truth: Poses, predicted: Predictions | Poses) -> Poses:
    counted = within_predictions(truth, predicted)
    if left_out := len(truth.frames) - len(counted.frames):
        say(f"{left_out} of {len(truth.frames)} frames with truth lie outside the predicted ones: not counted")
    return counted


@dataclass(frozen=True)
class Files:
    """What an evaluation writes, and another's metric.json to stand beside."""

    out: Path | None = None
    metric_json: Path | None = None
    compare: Path | None = None

    @classmethod
    def of(cls, *paths: Path | str | None) -> Files:
        return cls(*(None if path is None else Path(path) for path in paths))


def scored(
    predicted: Predictions | Poses,
    target: Target,
    protocol: str | None,
    missing: Missing,
    files: Files,
    about: dict[str, str] | None = None,
) -> Report:
    """The report of these predictions, written where asked for; `about` joins its choices."""
    name = protocol or default_protocol(target, by_rows=isinstance(predicted, Predictions))
    evaluation = None
    if name in (PEOPLE, PARTS):
        if files.metric_json or files.compare:
            raise InputError(f"a metric.json holds errors of known people, not what {name} measures; leave it out")
        report = _of_several_people(predicted, target, name)
    else:
        evaluation, other = _of_known_people(predicted, target, name, missing)
        report = report_of_poses(evaluation, other)
    report = replace(report, choices={**report.choices, **(about or {})})
    if evaluation and files.compare:
        report = with_comparison(report, evaluation, load_metric_json(files.compare), str(files.compare))
    if evaluation and files.metric_json:
        save_metric_json(metric_tables(evaluation), files.metric_json)
    if files.out:
        save_report(report, files.out)
    return report


def default_protocol(target: Target, by_rows: bool) -> str:
    """That of the dataset; "people" where frames have to tell several of them apart, which rows (`by_rows`) do."""
    if target.truth is None or (target.shares_frames and not by_rows):
        return PEOPLE
    return _OF_DATASET.get(target.dataset, "absolute")


def refuse_to_overwrite(out: Path | str | None, *files: Path | str | None) -> None:
    """Raise `InputError`, before any work, where a file that would be written is there."""
    for path in (*(report_paths(Path(out)) if out else ()), *(Path(file) for file in files if file)):
        if path.exists():
            raise InputError(f"{path} exists and is not overwritten; remove it, or choose another name")


def _of_several_people(predicted: Predictions | Poses, target: Target, name: str) -> Report:
    ours, truth = scenes(predicted, target)
    if name == PEOPLE:
        return report_of_people(evaluated_people(ours, truth))
    return report_of_parts(evaluated_parts(ours, truth))


def _of_known_people(
    predicted: Predictions | Poses, target: Target, name: str, missing: Missing
) -> tuple[Evaluation, Evaluation | None]:
    """The evaluation, and where some rows are damaged also the one that treats them the other way."""
    if name not in PROTOCOLS:
        raise InputError(f"there is no protocol {name!r}; use one of {', '.join((*PROTOCOLS, PEOPLE, PARTS))}")
    truth = target.truth
    if truth is None or (target.shares_frames and not isinstance(predicted, Predictions)):
        raise InputError(f"the truth has several people in a frame, which {name} cannot tell apart; take `people`")
    ours, protocol = for_rows(predicted, target), protocol_named(name)
    if name not in _OF_DATASET.values():
        truth = with_joints_of(truth, ours.skeleton)
    other = replace(protocol, without_damaged=not protocol.without_damaged)
    some = bool(truth.damaged.any()) and not bool(truth.damaged.all())
    first, *rest = (
        evaluated(ours.points_mm, truth, each, skeleton=ours.skeleton, found=ours.found, missing=missing)
        for each in ((protocol, other) if some else (protocol,))
    )
    return first, rest[0] if rest else None
