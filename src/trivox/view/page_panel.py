"""Texts beside the 3D scene: what the colours mean, and a table of the joints. HTML; names from files are escaped."""

from __future__ import annotations

import html

import numpy as np

from trivox.view.colours import LEFT, MIDDLE, RGB, RIGHT
from trivox.view.page_colours import WORST_ERROR_MM, Mode, gradient_css, ramp
from trivox.view.shown import TRUTH, Content, Shown, at_frame

_TABLE = "width:100%;border-collapse:collapse;font-size:12px;font-variant-numeric:tabular-nums"
_DOT = "display:inline-block;width:7px;height:7px;border-radius:4px"
_NUMBER = "text-align:right;padding:1px 4px"


def legend(content: Content, mode: Mode) -> str:
    """What each colour means."""
    entries: list[tuple[RGB, str]] = []
    scale = ""
    if mode == "sides":
        entries = [(LEFT, "left"), (RIGHT, "right"), (MIDDLE, "middle")]
    elif mode == "result":
        entries = [(shown.tint, shown.name) for shown in content.results]
    elif mode == "confidence":
        scale = _scale("confidence 0", "1")
    else:
        scale = _scale(f"error {WORST_ERROR_MM:.0f} mm or more", "0")
    if content.truth is not None:
        entries.append((TRUTH, "truth"))
    swatches = "".join(
        f'<span style="white-space:nowrap;margin-right:12px"><span style="display:inline-block;width:10px;height:10px;'
        f'border-radius:5px;margin-right:5px;background:rgb{colour}"></span>{html.escape(word)}</span>'
        for colour, word in entries
    )
    return f'<div style="font-size:12px;padding:2px 12px 6px;line-height:1.7">{scale}{swatches}</div>'


def _scale(bad: str, good: str) -> str:
    bar = f'<div style="height:8px;border-radius:4px;background:linear-gradient(90deg,{gradient_css()})"></div>'
    ends = f'<div style="display:flex;justify-content:space-between"><span>{bad}</span><span>{good}</span></div>'
    return bar + ends


def joint_table(shown: Shown, frame: int, person: int) -> str:
    """Confidence of each joint and, beside a truth, its error: in this frame and over all."""
    row = at_frame(shown.poses, frame)
    true = shown.compared
    heads = ["joint", "confidence", *(["error mm", "mean mm"] if true else [])]
    cells = [_head(heads)]
    mean = mean_errors_mm(shown, person) if true else None
    for j, name in enumerate(shown.poses.skeleton.names):
        valid = row is not None and bool(shown.poses.valid[row, person, j])
        confidence = float(shown.poses.confidence[row, person, j]) if row is not None and valid else np.nan
        values = [_cell(confidence, confidence, 2)]
        if true is not None and mean is not None:
            error = true.errors_mm[row, person, j] if row is not None else np.nan
            values += [_cell(error, 1 - error / WORST_ERROR_MM, 1), _cell(mean[j], 1 - mean[j] / WORST_ERROR_MM, 1)]
        cells.append(f"<tr><td>{html.escape(name)}</td>{''.join(values)}</tr>")
    if true is not None:
        now = true.errors_mm[row, person] if row is not None else np.full(1, np.nan)
        cells.append(_foot(now, true.errors_mm[:, person]))
    return f'<div style="padding:0 12px"><table style="{_TABLE}">{"".join(cells)}</table></div>'


def mean_errors_mm(shown: Shown, person: int) -> np.ndarray:
    """Mean error of each joint of one person over all frames; NaN where the truth never tells."""
    assert shown.compared is not None
    errors = shown.compared.errors_mm[:, person]
    known = np.isfinite(errors)
    return np.where(known.any(0), np.where(known, errors, 0).sum(0) / np.maximum(known.sum(0), 1), np.nan)


def _head(words: list[str]) -> str:
    first, *others = (f"<b>{word}</b>" for word in words)
    numbers = "".join(f'<td style="{_NUMBER}">{word}</td>' for word in others)
    return f"<tr><td>{first}</td>{numbers}</tr>"


def _foot(now: np.ndarray, ever: np.ndarray) -> str:
    means = [_number(float(np.mean(part)) if len(part) else np.nan, 1) for part in _known(now, ever)]
    cells = "".join(f'<td style="{_NUMBER}"><b>{word}</b></td>' for word in means)
    return f"<tr><td><b>all joints</b></td><td></td>{cells}</tr>"


def _known(*values: np.ndarray) -> list[np.ndarray]:
    return [each[np.isfinite(each)] for each in values]


def _cell(value: float, goodness: float, digits: int) -> str:
    r, g, b = ramp(np.array(goodness)).tolist()
    dot = f'<span style="{_DOT};background:rgb({r},{g},{b})"></span>'
    return f'<td style="{_NUMBER}">{dot if np.isfinite(value) else ""} {_number(value, digits)}</td>'


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if np.isfinite(value) else "&ndash;"
