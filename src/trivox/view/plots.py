"""The plots of a report as SVG: lines over time, spreads and bars. Plain text, nothing to load, hover tells numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from jaxtyping import Float

Colour = tuple[int, int, int]

# One after the other, for cameras and people; told apart by people who see colours differently (Okabe and Ito).
SERIES: tuple[Colour, ...] = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (213, 94, 0),
    (86, 180, 233),
)
_WIDTH, _HEIGHT = 900, 240
_LEFT, _RIGHT, _TOP, _BOTTOM, _HEAD = 52, 20, 12, 34, 26
_ROW = 26
_NAMES = 150
# More points than pixels are drawn as medians of so many spans.
_POINTS = 300


def css(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def lines(
    times_s: Float[np.ndarray, "F"],
    series: Mapping[str, Float[np.ndarray, "F"]],
    colours: Sequence[Colour],
    unit: str,
    *,
    size: tuple[int, int] = (_HEIGHT, _WIDTH),
    from_zero: bool = True,
) -> str:
    """Values over time, a line each, broken where there is no value. `size` is (height, width).

    Not `from_zero`, the axis shows a third around the values: how they vary, by the same share in every plot.
    """
    spans = np.array_split(np.arange(len(times_s)), min(_POINTS, len(times_s)))
    at_s = np.array([times_s[span].mean() for span in spans])
    shown = {name: np.array([_median(values[span]) for span in spans]) for name, values in series.items()}
    low, top = _range(np.concatenate(list(shown.values())), from_zero)
    first, last = float(times_s[0]), max(float(times_s[-1]), float(times_s[0]) + 1e-9)
    height, width = size
    x = _LEFT + (at_s - first) / (last - first) * (width - _LEFT - _RIGHT)
    parts = [_frame((low, top), unit, (first, last), size)]
    for (name, values), colour in zip(shown.items(), colours, strict=True):
        y = height - _BOTTOM - (values - low) / (top - low) * (height - _HEAD - _BOTTOM)
        parts.append(_path(x, y, colour, f"{name}: median {_said(_median(series[name]))} {unit}"))
    return _svg(height, parts, width)


def _range(values: np.ndarray, from_zero: bool) -> tuple[float, float]:
    there = values[np.isfinite(values)]
    if not len(there) or from_zero:
        return 0.0, nice_top(float(there.max())) if len(there) else 1.0
    middle = float(np.median(there))
    reach = max(0.15 * middle, float(np.abs(there - middle).max()) * 1.05, 1e-9)
    return max(0.0, middle - reach), middle + reach


def _path(x: np.ndarray, y: np.ndarray, colour: Colour, title: str) -> str:
    there = np.isfinite(y)
    words = [
        f"{'L' if i and there[i - 1] else 'M'}{x[i]:.1f} {y[i]:.1f}" + ("h0.01" if _alone(there, i) else "")
        for i in np.flatnonzero(there)
    ]
    return (
        f'<path d="{"".join(words)}" fill="none" stroke="{css(colour)}" stroke-width="1.8" stroke-linejoin="round" '
        f'stroke-linecap="round"><title>{escape(title)}</title></path>'
    )


def _alone(there: np.ndarray, i: np.intp) -> bool:
    return not (i and there[i - 1]) and not (i + 1 < len(there) and there[i + 1])


def _frame(range_: tuple[float, float], unit: str, times_s: tuple[float, float], size: tuple[int, int]) -> str:
    """Axes with few, round numbers."""
    (low, top), (first, last), (height, width) = range_, times_s, size
    parts = [f'<text x="{_LEFT - 8}" y="13" class="end unit">{escape(unit)}</text>']
    for share in (0.0, 0.5, 1.0):
        y = height - _BOTTOM - share * (height - _HEAD - _BOTTOM)
        parts.append(f'<line x1="{_LEFT}" x2="{width - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" class="end">{_said(low + share * (top - low))}</text>')
    step = nice_top((last - first) / (width / 130))
    for value in np.arange(np.ceil(first / step) * step, last + 1e-6 * step, step):
        x = _LEFT + (value - first) / (last - first) * (width - _LEFT - _RIGHT)
        parts.append(f'<text x="{x:.1f}" y="{height - 12}" class="mid">{_said(value)} s</text>')
    return "".join(parts)


def spreads(rows: Mapping[str, Sequence[float] | None], colours: Sequence[Colour], unit: str) -> str:
    """Quantiles 10, 25, 50, 75, 90 % of each row: a thin line, a thick one, a tick in the middle."""
    top = nice_top(max((row[4] for row in rows.values() if row is not None), default=1.0))
    scale = (_WIDTH - _NAMES - 70) / top
    parts = [_ruler(top, scale, len(rows), unit)]
    for i, ((name, row), colour) in enumerate(zip(rows.items(), colours, strict=True)):
        y = _TOP + _ROW * (i + 0.5)
        parts.append(f'<text x="{_NAMES - 10}" y="{y + 4:.1f}" class="end">{escape(name)}</text>')
        if row is None:
            parts.append(f'<text x="{_NAMES + 6}" y="{y + 4:.1f}">sees nothing</text>')
            continue
        at = [_NAMES + value * scale for value in row]
        title = f"{name}: half of the joints are within {row[2]:.1f} {unit}, nine of ten within {row[4]:.1f} {unit}"
        parts.append(
            f'<g stroke="{css(colour)}"><title>{escape(title)}</title>'
            f'<line x1="{at[0]:.1f}" x2="{at[4]:.1f}" y1="{y}" y2="{y}" stroke-width="2"/>'
            f'<line x1="{at[1]:.1f}" x2="{at[3]:.1f}" y1="{y}" y2="{y}" stroke-width="11" stroke-opacity=".55"/>'
            f'<line x1="{at[2]:.1f}" x2="{at[2]:.1f}" y1="{y - 9}" y2="{y + 9}" stroke-width="3"/></g>'
            f'<text x="{at[4] + 8:.1f}" y="{y + 4:.1f}">{row[2]:.1f} {escape(unit)}</text>'
        )
    return _svg(_TOP + _ROW * len(rows) + 26, parts)


def bars(rows: Mapping[str, float | None], colours: Sequence[Colour], unit: str) -> str:
    """A bar for each row."""
    top = nice_top(max((value for value in rows.values() if value is not None), default=1.0))
    scale = (_WIDTH - _NAMES - 70) / top
    parts = [_ruler(top, scale, len(rows), unit)]
    for i, ((name, value), colour) in enumerate(zip(rows.items(), colours, strict=True)):
        y = _TOP + _ROW * i
        parts.append(f'<text x="{_NAMES - 10}" y="{y + 17}" class="end">{escape(name.replace("_", " "))}</text>')
        width = (value or 0.0) * scale
        words = "none" if value is None else f"{value:.1f} {unit}"
        parts.append(
            f'<rect x="{_NAMES}" y="{y + 5}" width="{width:.1f}" height="{_ROW - 10}" rx="3" fill="{css(colour)}"/>'
            f'<text x="{_NAMES + width + 8:.1f}" y="{y + 17}">{escape(words)}</text>'
        )
    return _svg(_TOP + _ROW * len(rows) + 26, parts)


def _ruler(top: float, scale: float, rows: int, unit: str) -> str:
    bottom = _TOP + _ROW * rows
    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = _NAMES + share * top * scale
        words = _said(share * top) + (f" {unit}" if share == 1 else "")
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}" class="grid"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 17}" class="mid">{escape(words)}</text>')
    return "".join(parts)


def legend(names: Sequence[str], colours: Sequence[Colour]) -> str:
    """Names with their colours, over a plot of lines."""
    entries = [
        f'<span class="key"><i style="background:{css(colour)}"></i>{escape(name)}</span>'
        for name, colour in zip(names, colours, strict=True)
    ]
    return f'<p class="legend">{"".join(entries)}</p>'


def heat_table(values: Float[np.ndarray, "R C"], rows: Sequence[str], columns: Sequence[str]) -> str:
    """Shares 0..1 as a table, dark where they are high."""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = []
    for name, row in zip(rows, values, strict=True):
        cells = "".join(_cell(float(value)) for value in row)
        body.append(f"<tr><th>{escape(name.replace('_', ' '))}</th>{cells}</tr>")
    return f'<table class="heat"><thead><tr><th></th>{head}</tr></thead><tbody>{"".join(body)}</tbody></table>'


def _cell(value: float) -> str:
    if not np.isfinite(value):
        return "<td>-</td>"
    ink = "#fff" if value > 0.55 else "#223"
    return f'<td style="background:rgba(24,92,138,{0.06 + 0.9 * value:.2f});color:{ink}">{value:.0%}</td>'


def nice_top(value: float) -> float:
    """The next of 1, 2, 3, 4, 5, 6, 8, 10 times a power of ten: where an axis ends."""
    if not np.isfinite(value) or value <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(step * power for step in (1, 2, 3, 4, 5, 6, 8, 10) if step * power >= value * (1 - 1e-9)))


def _median(values: np.ndarray) -> float:
    there = values[np.isfinite(values)]
    return float(np.median(there)) if len(there) else float("nan")


def _said(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _svg(height: float, parts: Sequence[str], width: int = _WIDTH) -> str:
    return f'<svg viewBox="0 0 {width} {height:.0f}" role="img">{"".join(parts)}</svg>'
