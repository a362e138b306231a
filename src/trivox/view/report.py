"""One page that says whether a result agrees with itself: a verdict, then plots, each under a sentence about it.

The page is one HTML file that loads nothing: it can be sent to a colleague and opens anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from trivox.base.atomic import atomic_write
from trivox.errors import InputError
from trivox.evaluate import evaluate
from trivox.evaluation_report import Report
from trivox.files.poses import load_poses
from trivox.files.results import Result, load_result, refuse_nobody
from trivox.geometry.poses import Poses
from trivox.summary import Loss, Summary, read_summary
from trivox.view.colours import LEFT, RIGHT, joint_colours
from trivox.view.measures import QUANTILES, Reprojection, bone_lengths_mm, reprojection
from trivox.view.plots import SERIES, Colour, bars, heat_table, legend, lines, spreads
from trivox.view.shown import compared
from trivox.view.verdict import Verdict, verdict

_STYLE = """
body{font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;color:#1c2430;background:#f4f6f8;margin:0}
main{max-width:980px;margin:0 auto;padding:28px 20px 60px}h1{font-size:26px;margin:0 0 2px}
h2{font-size:19px;margin:0 0 6px}
section{background:#fff;border-radius:12px;padding:20px 24px;margin:18px 0;box-shadow:0 1px 3px rgba(20,30,50,.12)}
p{margin:4px 0 10px}.facts{color:#5a6675}.verdict{border-left:10px solid #2e9e5b}.doubtful.verdict{border-color:#e0a100}
.poor.verdict{border-color:#d0392b}.verdict h2{font-size:24px}table{border-collapse:collapse;width:100%;font-size:15px}
td,th{text-align:left;padding:6px 10px;border-bottom:1px solid #e6eaee;font-weight:400}
thead th{color:#5a6675;font-size:13px}
.badge{display:inline-block;border-radius:9px;padding:1px 10px;color:#fff;background:#2e9e5b;font-size:13px}
.badge.doubtful{background:#c98f00}.badge.poor{background:#d0392b}svg{width:100%;height:auto;display:block}
svg text{font:13px system-ui,sans-serif;fill:#46505e}.end{text-anchor:end}.mid{text-anchor:middle}.grid{stroke:#e3e8ee}
svg .unit{fill:#8a94a2}.legend{margin:2px 0 6px}.key{margin-right:18px;font-size:14px;white-space:nowrap}
.key i{display:inline-block;width:20px;height:4px;border-radius:2px;margin-right:7px;vertical-align:middle}
table.heat td{text-align:center;border:2px solid #fff;border-radius:6px;padding:4px 8px}
table.heat th{padding:3px 8px;border:0}
table.heat thead th{text-align:center}.number{text-align:right}.scroll{overflow-x:auto}.pair{display:grid;
grid-template-columns:1fr 1fr;gap:8px 22px}.pair h3{font-size:14px;font-weight:600;margin:8px 0 0}
ol{margin:6px 0 0;padding-left:22px}li{margin:3px 0}
@media(max-width:700px){.pair{grid-template-columns:1fr}}
"""


def write_report(result: Path | str, out: Path | str, *, truth: Path | str | None = None) -> Verdict:
    """Write the report of a result folder to `out` (.html), with errors where there is `truth`: a file of poses.

    Returns the verdict on its first screen. Raises `InputError` for anything that cannot be read, or a file in the way.
    """
    folder, out = Path(result), Path(out)
    if out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"the report is a page; name it {out.name or 'report'}.html")
    if out.exists():
        raise InputError(f"{out} exists and is not overwritten; remove it, or choose another name")
    found = load_result(folder)
    refuse_nobody(found.poses, folder, "report on")
    summary = read_summary(found.summary, folder / "summary.json")
    known = None if truth is None else load_poses(truth)
    scored = None if truth is None else evaluate(folder, truth=truth, missing="skip")
    seen = reprojection(found)
    mpjpe_mm = None if scored is None else scored.choices.get("score_mm", scored.choices.get("mpjpe_mm"))
    judged = verdict(summary, found.poses, seen, mpjpe_mm)
    page = _page(folder, found, summary, judged, seen, known, scored)
    with atomic_write(out) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return judged


def _page(
    folder: Path,
    result: Result,
    summary: Summary,
    judged: Verdict,
    seen: Reprojection | None,
    truth: Poses | None,
    scored: Report | None,
) -> str:
    name = folder.resolve().name
    sections = [_first_screen(judged)]
    times_s = result.poses.frames.numpy() / result.poses.fps
    if truth is not None and scored is not None:
        sections += _of_truth(result.poses, truth, scored, times_s)
    if seen is not None:
        sections += _of_reprojection(result, summary, seen, times_s)
    sections += [_of_bones(result.poses, times_s), _of_people(result.poses, summary, times_s)]
    people = "1 person" if summary.people == 1 else f"{summary.people} people"
    facts = (
        f"{summary.frames} frames at {summary.fps:g} frames/s, {people}, {len(summary.cameras)} cameras, joints of "
        f"{result.poses.skeleton.name}"
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width">'
        f"<title>{escape(name)}: trivox report</title><style>{_STYLE}</style></head><body><main><h1>{escape(name)}</h1>"
        f'<p class="facts">{escape(facts)}</p>{"".join(sections)}</main></body></html>\n'
    )


def _section(title: str, sentence: str, *parts: str) -> str:
    return f"<section><h2>{escape(title)}</h2><p>{escape(sentence)}</p>{''.join(parts)}</section>"


def _first_screen(judged: Verdict) -> str:
    rows = "".join(
        f"<tr><td>{escape(check.what)}</td><td><b>{escape(check.value)}</b></td><td>{escape(check.limit)}</td>"
        f'<td><span class="badge {check.grade}">{check.grade}</span></td></tr>'
        for check in judged.checks
    )
    steps = "".join(f"<li>{escape(step)}</li>" for step in judged.next_steps)
    return (
        f'<section class="verdict {judged.grade}"><h2>{escape(judged.sentence)}</h2>'
        f"<p>{escape(judged.caveat)}</p><table><thead><tr>"
        f"<th>check</th><th>here</th><th>consistent if</th><th></th></tr></thead><tbody>{rows}</tbody></table>"
        f"<p style='margin-top:14px'><b>What to do next</b></p><ol>{steps}</ol></section>"
    )


def _of_reprojection(result: Result, summary: Summary, seen: Reprojection, times_s: np.ndarray) -> list[str]:
    names, skeleton = result.rig.names, result.poses.skeleton
    colours = [SERIES[v % len(SERIES)] for v in range(len(names))]
    quantiles = {name: seen.quantiles_px(v) for v, name in enumerate(names)}
    over_time = {name: _nanmedian(seen.missed_px[:, :, v], (1, 2)) for v, name in enumerate(names)}
    by_joint = _nanmedian(seen.missed_px, (0, 1, 2))
    records = [_camera_record(summary, name, quantiles[name]) for name in names]
    return [
        _section(
            "Reprojection of each camera",
            "How far 2D joints are from the 3D joints seen by the same camera: the tick is the median, the thick bar "
            "half of the joints, the thin line four fifths. Bars should be short and near zero; one camera far behind "
            "the others is wrongly calibrated, late, or sees badly.",
            spreads(quantiles, colours, "px"),
            _table(records),
        ),
        _section(
            "Reprojection over time",
            "The median of all joints at each time, a line for each camera. It should be flat and low; a camera that "
            "rises and stays there was moved, and peaks in all cameras are moments to look at.",
            legend(names, colours),
            lines(times_s, over_time, colours, "px"),
        ),
        _section(
            "Reprojection of each joint",
            "The median over all cameras, left and right in their colours. Wrists and ankles are usually worst; a side "
            "that is far worse than the other is hidden, or mistaken for it.",
            bars(_named(by_joint, skeleton.names), joint_colours(skeleton), "px"),
        ),
        _section(
            "Joints seen by each camera",
            "The share of the time in which a camera sees a joint well enough to use it. Every joint "
            "needs two dark cameras, and a light column is a camera that looks elsewhere or is blocked.",
            f'<div class="scroll">{heat_table(seen.seen_by_joint().T, skeleton.names, names)}</div>',
        ),
    ]


def _camera_record(summary: Summary, name: str, quantiles: Sequence[float] | None) -> dict[str, Any]:
    used = next((camera.joints_used for camera in summary.cameras if camera.name == name), None)
    columns = {
        f"{100 * share:.0f} % within": None if quantiles is None else f"{quantiles[i]:.1f} px" for i, share in _SHARES
    }
    return {"camera": name, "joints it helped to place": None if used is None else f"{100 * used:.1f} %", **columns}


_SHARES = [(i, share) for i, share in enumerate(QUANTILES) if share >= 0.5]


def _of_bones(poses: Poses, times_s: np.ndarray) -> str:
    lengths = bone_lengths_mm(poses)
    sentence = (
        "A bone has one length: lines should be flat, left and right alike. Slow waves speak for a wrong calibration, "
        "sudden jumps for a joint that was mistaken."
    )
    if not lengths:
        return _section("Bone lengths over time", "These joints have no limbs whose lengths could be followed.")
    plots, records = [], []
    for name in [name for name in lengths if name.startswith("left_")]:
        other = name.replace("left_", "right_")
        sides = {side: lengths[side] for side in (name, other) if side in lengths}
        for person in range(poses.valid.shape[1]):
            said = name.replace("left_", "").replace("-", " to ")
            who = f", person {person}" if poses.valid.shape[1] > 1 else ""
            values = {side: length[:, person] for side, length in sides.items()}
            plot = lines(times_s, values, (LEFT, RIGHT)[: len(values)], "mm", size=(200, 440), from_zero=False)
            plots.append(f"<div><h3>{escape(said + who)}</h3>{plot}</div>")
            records += [_bone_record(side, who, length) for side, length in values.items()]
    keys = legend(("left", "right"), (LEFT, RIGHT))
    return _section(
        "Bone lengths over time", sentence, keys, f'<div class="pair">{"".join(plots)}</div>', _table(records)
    )


def _bone_record(name: str, who: str, length: np.ndarray) -> dict[str, Any]:
    there = length[np.isfinite(length)]
    return {
        "bone": name.replace("_", " ").replace("-", " to ") + who,
        "mean": f"{there.mean():.0f} mm" if len(there) else None,
        "varies by (standard deviation)": f"{there.std():.1f} mm" if len(there) else None,
        "known for": f"{100 * len(there) / len(length):.1f} % of the time",
    }


def _of_people(poses: Poses, summary: Summary, times_s: np.ndarray) -> str:
    names, colours = _people(poses)
    shares = 100.0 * poses.valid.numpy().mean(2)
    return _section(
        "People over time",
        "The share of each person's joints that were found. At 0 % the person is lost, or not there.",
        legend(names, colours),
        lines(times_s, dict(zip(names, shares.T, strict=True)), colours, "%", size=(190, 900)),
        _table([_loss_record(loss, summary.fps) for loss in summary.losses]) if summary.losses else "",
    )


def _loss_record(loss: Loss, fps: float) -> dict[str, Any]:
    return {
        "person": loss.person,
        "without joints in frames": f"{loss.first} to {loss.last}",
        "for": f"{(loss.last - loss.first + 1) / fps:.2f} s",
        "": "lost and found again" if loss.inside else "before the first or after the last joint",
    }


def _people(poses: Poses) -> tuple[list[str], list[Colour]]:
    """Their names and colours, the same in every plot."""
    people = range(poses.valid.shape[1])
    return [f"person {p}" for p in people], [SERIES[p % len(SERIES)] for p in people]


def _of_truth(poses: Poses, truth: Poses, scored: Report, times_s: np.ndarray) -> list[str]:
    sections = [
        _section(
            "Against the truth", f"{scored.headline}. Errors should be small, shares high.", *_truth_tables(scored)
        )
    ]
    errors_mm = compared(poses, truth).errors_mm
    if not np.isfinite(errors_mm).any():
        return sections
    several, skeleton = poses.valid.shape[1] > 1, poses.skeleton
    names, colours = _people(poses)
    who = ", a line for each person, beside the nearest true one" if several else " at each time"
    return [
        *sections,
        _section(
            "Error over time",
            f"The mean over the joints{who}. Peaks are moments to draw and look at.",
            legend(names, colours) if several else "",
            lines(times_s, dict(zip(names, _nanmean(errors_mm, 2).T, strict=True)), colours, "mm"),
        ),
        _section(
            "Error of each joint",
            f"The mean over time{' and people' if several else ''}. Errors of 20 to 30 mm are usual for joints that "
            "people mark differently.",
            bars(
                _named(_nanmean(errors_mm.reshape(-1, len(skeleton)), 0), skeleton.names), joint_colours(skeleton), "mm"
            ),
        ),
    ]


def _truth_tables(scored: Report) -> list[str]:
    return [
        f'<p><b>{escape(title)}</b></p><div class="scroll">{_table([_rounded(record) for record in records])}</div>'
        for title, records in scored.tables.items()
        if title != "joints" and records
    ]


def _rounded(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key.replace("_", " "): _said(value) for key, value in record.items()}


def _said(value: Any) -> Any:
    """Shares with three digits, millimetres with one."""
    if not isinstance(value, float):
        return value
    return f"{value:.3f}" if value <= 1 else f"{value:.1f}"


def _table(records: Sequence[Mapping[str, Any]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in records[0])
    rows = "".join(
        "<tr>"
        + "".join(f"<td>{'-' if value is None else escape(str(value))}</td>" for value in record.values())
        + "</tr>"
        for record in records
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _named(values: np.ndarray, names: Sequence[str]) -> dict[str, float | None]:
    return {name: float(value) if np.isfinite(value) else None for name, value in zip(names, values, strict=True)}


def _nanmedian(values: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """The median over axes of what there is, NaN where there is nothing; without NumPy's warning."""
    kept = [axis for axis in range(values.ndim) if axis not in axes]
    flat = np.moveaxis(values, kept, range(len(kept))).reshape(*(values.shape[axis] for axis in kept), -1)
    some = np.asarray(np.isfinite(flat).any(-1))
    filled = np.where(some[..., None], flat, 0.0)
    return np.where(some, np.nanmedian(filled, axis=-1), np.nan)


def _nanmean(values: np.ndarray, axis: int) -> np.ndarray:
    """The mean over an axis of what there is, NaN where there is nothing; without NumPy's warning."""
    some = np.isfinite(values).sum(axis)
    return np.where(some > 0, np.nansum(values, axis) / np.maximum(some, 1), np.nan)
