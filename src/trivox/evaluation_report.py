"""What an evaluation says: tables for the terminal, JSON and CSV for programs, and the published system's metric.json.

Every form carries the protocol and its choices along. A table is a list of records, so that it reads as well into a
data frame as on paper.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from trivox.base.atomic import atomic_write
from trivox.errors import InputError
from trivox.files.reference_results import METRICS, ErrorTable
from trivox.metrics.evaluation import AUC_MM, AVERAGE, PCK_MM, Evaluation, Score
from trivox.metrics.people import MATCHED_MM
from trivox.metrics.people_evaluation import PartsEvaluation, PeopleEvaluation

Record = dict[str, Any]


@dataclass(frozen=True)
class Report:
    """`headline` is the result in a sentence, `choices` all that led to it, in plain JSON values.

    `tables`: title -> records of the same keys. Values are None where there is nothing to measure.
    """

    headline: str
    choices: dict[str, Any]
    tables: dict[str, list[Record]]


def report_of_poses(evaluation: Evaluation, other: Evaluation | None = None) -> Report:
    """Scores by subject and action, and by joint; `other` is the same with or without the damaged rows."""
    protocol, average = evaluation.protocol, evaluation.average
    lost = evaluation.joints_missing
    choices = {
        "protocol": asdict(protocol),
        "score": f"mean over poses of the mean over joints, {protocol.measure} errors",
        "score_mm": evaluation.score_mm,
        "units": "mm; shares 0..1",
        "origin": f"{evaluation.origin}; where it is a joint itself, it counts with a relative error of 0",
        "aligned": "each pose moved, turned and scaled onto its truth (Procrustes), not mirrored",
        "skeleton": evaluation.skeleton,
        "predicted_skeleton": evaluation.predicted_skeleton,
        "joints": list(evaluation.joints),
        "rows": evaluation.rows,
        "rows_left_out": evaluation.rows_left_out,
        "rows_without_origin": evaluation.rows_without_origin,
        "joints_missing": f"{lost} skipped in means, wrong in PCK and PCP" if lost else 0,
        "pck": f"share of joints with {protocol.measure} errors up to the threshold",
        "auc": f"mean of PCK at {AUC_MM[0]:g}, {AUC_MM[1]:g}, ... {AUC_MM[-1]:g} mm",
        "pcp": "share of limbs (and the head) whose ends err by at most half its length on average, absolute errors",
    }
    groups = [
        {"subject": subject, "action": action, **_columns(score)}
        for (subject, action), score in evaluation.scores.items()
    ]
    joints = [{"joint": name, **asdict(score)} for name, score in evaluation.by_joint.items()]
    tables = {"subjects and actions": groups, "joints": joints}
    if other is not None:
        tables["damaged rows"] = [
            {"rows": "without damaged" if each.protocol.without_damaged else "all", **_columns(each.average)}
            for each in (evaluation, other)
        ]
    return Report(
        f"{protocol.name}: MPJPE {evaluation.score_mm:.2f} mm ({protocol.measure}) over {average.poses} poses",
        choices,
        tables,
    )


def _columns(score: Score) -> Record:
    columns = asdict(score)
    shares = columns.pop("pck")
    auc, pcp = columns.pop("auc"), columns.pop("pcp")
    named = {f"pck_{mm:g}mm": share for mm, share in zip(PCK_MM, shares, strict=True)}
    return {**columns, **named, "auc": auc, "pcp": pcp}


def report_of_people(evaluation: PeopleEvaluation) -> Report:
    """Average precision and recall at every threshold."""
    mpjpe = "nobody found" if evaluation.mpjpe_mm is None else f"MPJPE {evaluation.mpjpe_mm:.2f} mm"
    choices = {
        "protocol": {"name": "people", "source": "VoxelPose (Tu et al., ECCV 2020) on CMU Panoptic"},
        "matching": "each predicted person to the nearest true one of its instant, over the joints that both have",
        "order": "confidence of a person: the mean over its joints",
        "found": "MPJPE below the threshold, and the true person not found before",
        "mpjpe": f"over people found at {MATCHED_MM:g} mm",
        "units": "mm; shares 0..1",
        "skeleton": evaluation.skeleton,
        "instants": evaluation.instants,
        "instants_without_people": "left out",
        "people": evaluation.people,
        "predicted_people": evaluation.predicted_people,
        "mpjpe_mm": evaluation.mpjpe_mm,
        "mean_average_precision": evaluation.mean_average_precision,
        f"recall_at_{MATCHED_MM:g}mm": evaluation.recall_at_matched,
    }
    return Report(
        f"people: mean AP {evaluation.mean_average_precision:.2%}, recall at {MATCHED_MM:g} mm "
        f"{evaluation.recall_at_matched:.2%}, {mpjpe}",
        choices,
        {"thresholds": [asdict(at) for at in evaluation.at]},
    )


def report_of_parts(evaluation: PartsEvaluation) -> Report:
    """Correct parts of every person, and of all."""
    ends = "each of its ends errs" if evaluation.strict else "its ends err on average"
    choices = {
        "protocol": {"name": "parts", "source": "PCP of Belagiannis et al., CVPR 2014, on Shelf and Campus"},
        "correct": f"a part where {ends} by at most {evaluation.alpha:g} of its true length",
        "matching": "each true person to the nearest predicted one of its instant; nobody there is all wrong",
        "average": "over the people of the truth",
        "units": "shares 0..1",
        "skeleton": evaluation.skeleton,
        "instants": evaluation.instants,
        "pcp": evaluation.average,
    }
    names = [f"person {p}" for p in range(len(evaluation.by_person))]
    parts = [
        {"part": part, **{name: shares[part] for name, shares in zip(names, evaluation.by_person, strict=True)}}
        | {AVERAGE: share}
        for part, share in evaluation.by_part.items()
    ]
    averages = dict(zip(names, evaluation.person_averages, strict=True))
    parts.append({"part": AVERAGE, **averages, AVERAGE: evaluation.average})
    return Report(f"parts: PCP {evaluation.average:.2%}", choices, {"parts": parts})


def with_comparison(report: Report, evaluation: Evaluation, tables: Mapping[str, ErrorTable], name: str) -> Report:
    """The report, and how far the errors of another metric.json are from ours where both have some."""
    ours = metric_tables(evaluation)
    records = []
    for metric, table in tables.items():
        for subject, row in table.items():
            for action, theirs in row.items():
                mine = ours[metric].get(subject, {}).get(action)
                if mine is not None and theirs is not None:
                    records.append(
                        {"metric": metric, "subject": subject, "action": action, "ours_mm": mine, "theirs_mm": theirs}
                        | {"difference_mm": mine - theirs}
                    )
    if not records:
        raise InputError(f"{name} has no subject and action with frames that this evaluation has too; give another one")
    return replace(report, tables={**report.tables, f"compared with {name}": records})


def metric_tables(evaluation: Evaluation) -> dict[str, ErrorTable]:
    """The tables of a metric.json. Where no subject is known, as on CMU Panoptic, there is only their average."""
    tables: dict[str, ErrorTable] = {name: {} for name in METRICS}
    for (subject, action), score in evaluation.scores.items():
        for name, value in zip(METRICS, (score.absolute_mm, score.relative_mm), strict=True):
            tables[name].setdefault(subject, {})[action] = value
    return tables


def save_report(report: Report, out: Path) -> tuple[Path, Path]:
    """Write `evaluation.json`, with everything, and `evaluation.csv`, with the tables, into the folder `out`."""
    json_path, csv_path = report_paths(out)
    with atomic_write(csv_path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        _write_csv(report, file)
    content = {"format": "trivox evaluation 1", "headline": report.headline, **report.choices, "tables": report.tables}
    with atomic_write(json_path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return json_path, csv_path


def report_paths(out: Path) -> tuple[Path, Path]:
    return out / "evaluation.json", out / "evaluation.csv"


def _write_csv(report: Report, file: Any) -> None:
    """One row per record, with the columns of all tables; what a table lacks is empty."""
    protocol = report.choices["protocol"]["name"]
    columns = dict.fromkeys(key for records in report.tables.values() for record in records for key in record)
    writer = csv.DictWriter(file, ["protocol", "table", *columns], restval="", lineterminator="\n")
    writer.writeheader()
    for title, records in report.tables.items():
        writer.writerows({"protocol": protocol, "table": title, **record} for record in records)


# What the terminal calls columns, and those it has no room for.
_SHORT = {"absolute_mm": "MPJPE", "relative_mm": "relative", "aligned_mm": "PA", "pck_150mm": "PCK150", "auc": "AUC"}
_SHORT |= {"pcp": "PCP", "average_precision": "AP"}
_ON_PAPER_ONLY = {"pck_25mm", "pck_50mm", "pck_100mm"}
_TOLD = ("joints_missing", "rows_left_out", "rows_without_origin", "matching", "correct")


def print_report(report: Report, console: Console | None = None) -> None:
    """For people to read: tables without their empty rows, the protocol, and the headline last."""
    console = console or Console(highlight=False)
    for title, records in report.tables.items():
        if filled := [record for record in records if record.get("poses", 1)]:
            console.print(_table(title, filled))
    protocol = report.choices["protocol"]
    lines = [f"protocol: {protocol['name']} ({protocol['source']}); mm, shares in %"]
    lines += [f"{name.replace('_', ' ')}: {_sentence(value)}" for name in _TOLD if (value := report.choices.get(name))]
    for line in (*lines, report.headline):
        console.print(line, soft_wrap=True, markup=False)


def _sentence(value: Any) -> str:
    """Rows left out, by reason; or the text as it is."""
    return (
        ", ".join(f"{count} {reason}" for reason, count in value.items()) if isinstance(value, Mapping) else str(value)
    )


def _table(title: str, records: Sequence[Record]) -> Table:
    """Without columns of groups that say nothing."""
    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    keys = [key for key in records[0] if key not in _ON_PAPER_ONLY and not _is_idle(key, records)]
    for key in keys:
        table.add_column(Text(_SHORT.get(key, key)), justify="left" if isinstance(records[0][key], str) else "right")
    for record in records:
        table.add_row(*(Text(_cell(key, record[key])) for key in keys))
    return table


def _is_idle(key: str, records: Sequence[Record]) -> bool:
    return key in ("subject", "action") and {record[key] for record in records} == {AVERAGE}


def _cell(key: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return (
            f"{value:.3f}"
            if key == "difference_mm"
            else f"{value:.1f}"
            if key.endswith("_mm") or key == "mm"
            else f"{100 * value:.1f}"
        )
    return str(value)
