"""Charts as SVG text, styled by page.css; lengths in px, text escaped here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np

from pafpose.tools.report.curves import Curve
from pafpose.tools.report.statistics import Effect, Interaction

COLOURS = ("#0b6e99", "#d9730d", "#0f7b6c", "#ad1a72", "#6940a5")  # of the best runs, in order
RAMP = ((247, 250, 252), (158, 202, 225), (49, 130, 189), (8, 48, 107))  # low to high


def number(value: float, *, digits: int = 3) -> str:
    """A metric for people: 0.512, 31.4, 2400, or a dash for NaN."""
    if not math.isfinite(value):
        return "–"
    size = max(0, digits - max(0, len(str(int(abs(value)))) - 1)) if abs(value) >= 1 else digits
    return f"{value:.{size}f}" if value != int(value) or abs(value) < 1 else f"{value:.0f}"


def nice_ticks(low: float, high: float, *, count: int = 5) -> list[float]:
    """Round numbers inside [low, high]."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    power = 10 ** math.floor(math.log10(raw))
    step = min((m * power for m in (1, 2, 2.5, 5, 10)), key=lambda s: abs(s - raw))
    return [
        float(v) for v in np.arange(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1) * step
    ]


def colour(share: float) -> str:
    """The ramp's colour at 0..1."""
    place = min(max(share, 0.0), 1.0) * (len(RAMP) - 1)
    n = min(int(place), len(RAMP) - 2)
    mixed = (round(a + (b - a) * (place - n)) for a, b in zip(RAMP[n], RAMP[n + 1], strict=True))
    return "#" + "".join(f"{v:02x}" for v in mixed)


def ink(share: float) -> str:
    """Black or white, what is readable on ``colour(share)``."""
    return "#fff" if share > 0.55 else "#111"


def padded(values: Sequence[float], share: float = 0.06) -> tuple[float, float]:
    """A range a little wider than the values."""
    low, high = min(values), max(values)
    pad = (high - low) * share or abs(high) * 0.05 or 0.05
    return low - pad, high + pad


def effect_chart(effect: Effect, domain: tuple[float, float], *, width: int = 1100) -> str:
    """One row per value: every run a dot, the mean a line, one standard deviation a band; numbers beside."""
    left, right, row, top = 170, 200, 26, 8
    height = top + row * len(effect.levels) + 24
    span = width - left - right
    best = max(level.mean for level in effect.levels)

    def x(value: float) -> float:
        return left + span * (value - domain[0]) / (domain[1] - domain[0])

    parts = [
        f'<line class="grid" x1="{x(t):.1f}" x2="{x(t):.1f}" y1="{top}" y2="{height - 20}"/>'
        f'<text class="tick" x="{x(t):.1f}" y="{height - 6}" text-anchor="middle">{t:g}</text>'
        for t in nice_ticks(*domain)
    ]
    for n, level in enumerate(effect.levels):
        y = top + row * (n + 0.5)
        parts.append(
            f'<text class="name" x="{left - 12}" y="{y + 4}" text-anchor="end">{_short(level.value)}</text>'
        )
        if math.isfinite(level.spread):
            a, b = (x(min(max(level.mean + s * level.spread, domain[0]), domain[1])) for s in (-1, 1))
            parts.append(
                f'<rect class="band" x="{a:.1f}" width="{b - a:.1f}" y="{y - 8}" height="16" rx="3"/>'
            )
        parts += [f'<circle class="dot" cx="{x(s):.1f}" cy="{y}" r="3"/>' for s in level.scores]
        m = f"{x(level.mean):.1f}"
        parts.append(f'<line class="mean" x1="{m}" x2="{m}" y1="{y - 9}" y2="{y + 9}"/>')
        spread = f" ± {number(level.spread)}" if math.isfinite(level.spread) else ""
        mark = ' class="best"' if level.mean == best else ""
        parts.append(
            f'<text{mark} x="{width - right + 14}" y="{y + 4}">{number(level.mean)}{spread}'
            f'<tspan class="tick" dx="8">n = {len(level.scores)}</tspan></text>'
        )
    return _svg(width, height, parts, f"effect of {effect.key}")


def interaction_chart(pair: Interaction) -> str:
    """Means over a pair of choices as coloured cells; hatched where there is no run."""
    left, top, cell, row = 170, 46, max(62, min(110, 560 // len(pair.columns))), 34
    low, high = np.nanmin(pair.means), np.nanmax(pair.means)
    parts = [
        f'<text class="axis" x="{left}" y="14">{escape(pair.column_key)} →</text>',
        f'<text class="axis" x="{left - 12}" y="{top - 10}" text-anchor="end">{escape(pair.row_key)} ↓'
        "</text>",
    ]
    for j, column in enumerate(pair.columns):
        x = left + cell * (j + 0.5)
        parts.append(
            f'<text class="name" x="{x}" y="{top - 10}" text-anchor="middle">'
            f"{_short(column, cell // 7)}</text>"
        )
    for i, name in enumerate(pair.rows):
        y = top + row * i
        parts.append(
            f'<text class="name" x="{left - 12}" y="{y + 21}" text-anchor="end">{_short(name)}</text>'
        )
        for j, column in enumerate(pair.columns):
            mean, count = float(pair.means[i, j]), int(pair.counts[i, j])
            box = f'x="{left + cell * j + 1}" y="{y + 1}" width="{cell - 2}" height="{row - 2}" rx="3"'
            if not count:
                parts.append(f'<rect {box} class="empty"/>')
                continue
            share = (mean - low) / (high - low) if high > low else 0.5
            parts.append(
                f"<g><title>{escape(name)}, {escape(column)}: {number(mean)}, n = {count}</title>"
                f'<rect {box} fill="{colour(share)}"/><text x="{left + cell * (j + 0.5)}" y="{y + 21}" '
                f'text-anchor="middle" fill="{ink(share)}">{number(mean)}</text></g>'
            )
    width, height = left + cell * len(pair.columns) + 4, top + row * len(pair.rows) + 4
    return _svg(width, height, parts, f"{pair.row_key} by {pair.column_key}")


def curve_chart(
    curves: Sequence[tuple[str, Curve]], title: str, *, width: int = 560, height: int = 300
) -> str:
    """Lines over steps; the first ones, which are the best runs, in colour and on top, the rest grey."""
    left, right, top, bottom = 56, 12, 28, 28
    steps = padded([float(s) for _, c in curves for s in c.steps], 0.0)
    values = padded(_without_outliers([float(v) for _, c in curves for v in c.values]))

    def points(curve: Curve) -> str:
        x = left + (width - left - right) * (curve.steps - steps[0]) / (steps[1] - steps[0])
        y = height - bottom - (height - top - bottom) * (curve.values - values[0]) / (values[1] - values[0])
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, np.clip(y, top, height - bottom), strict=True))

    parts = [f'<text class="title" x="{left}" y="16">{escape(title)}</text>']
    for t in nice_ticks(*values):
        y = height - bottom - (height - top - bottom) * (t - values[0]) / (values[1] - values[0])
        parts.append(
            f'<line class="grid" x1="{left}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="tick" x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{t:g}</text>'
        )
    for t in nice_ticks(*steps):
        x = left + (width - left - right) * (t - steps[0]) / (steps[1] - steps[0])
        parts.append(f'<text class="tick" x="{x:.1f}" y="{height - 8}" text-anchor="middle">{t:g}</text>')
    for n, (label, curve) in reversed(list(enumerate(curves))):
        style = f'style="stroke:{COLOURS[n]}" class="curve top"' if n < len(COLOURS) else 'class="curve"'
        name = f"<title>{escape(label)}</title>"
        if len(curve.steps) == 1:
            cx, cy = points(curve).split(",")
            parts.append(f'<circle {style} cx="{cx}" cy="{cy}" r="3">{name}</circle>')
        else:
            parts.append(f'<polyline {style} points="{points(curve)}">{name}</polyline>')
    return _svg(width, height, parts, title)


def _without_outliers(values: Sequence[float]) -> list[float]:
    """The values without the few that would flatten all else: losses of the first steps, divergence."""
    low, high = np.quantile(values, (0.01, 0.97))
    kept = [v for v in values if low - (high - low) <= v <= high + (high - low)]
    return kept or list(values)


def _short(text: str, most: int = 24) -> str:
    return escape(text if len(text) <= most else text[: most - 1] + "…")


def _svg(width: float, height: float, parts: Sequence[str], label: str) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(label, quote=True)}">{"".join(parts)}</svg>'
    )
