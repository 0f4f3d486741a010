"""Charts as SVG elements for the report page, styled by ``report.css``; lengths in px."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Sequence

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.colors import to_hex
from matplotlib.ticker import MaxNLocator

from pafpose.tools.report.curves import Curve
from pafpose.tools.report.statistics import Effect, Interaction

COLOURS = ("#0b6e99", "#d9730d", "#0f7b6c", "#ad1a72", "#6940a5")  # of the best runs, in order
Range = tuple[float, float]


def number(value: float) -> str:
    """Return a metric as a person would write it: 0.512, 31.44, 2400, or a dash for NaN."""
    if not math.isfinite(value):
        return "–"
    if abs(value) >= 1 and value == int(value):
        return f"{value:.0f}"
    return f"{value:.{max(0, 4 - len(str(int(abs(value)))))}f}"


def heat_colour(share: float) -> str:
    """Return the colour of a share from 0 (pale) to 1 (dark)."""
    return to_hex(matplotlib.colormaps["Blues"](0.05 + 0.95 * share))


def text_colour(share: float) -> str:
    """Return black or white, whichever is readable on ``heat_colour(share)``."""
    return "#fff" if share > 0.55 else "#111"


def share_in(value: float, limits: Range) -> float:
    """Return where a value lies between two limits, from 0 to 1; 0.5 when the limits are equal."""
    low, high = limits
    return (value - low) / (high - low) if high > low else 0.5


def padded(values: Sequence[float], share: float = 0.06) -> Range:
    """Return the range of the values, widened on both sides by a share of its length."""
    low, high = min(values), max(values)
    pad = (high - low) * share or abs(high) * 0.05 or 0.05
    return low - pad, high + pad


def ticks(limits: Range) -> list[float]:
    """Return about five round numbers within the limits."""
    values = MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]).tick_values(*limits)
    return [float(value) for value in values if limits[0] <= value <= limits[1]]


def effect_chart(effect: Effect, limits: Range, *, width: int = 1100) -> Markup:
    """Draw a row for each value: runs as dots, the mean as a line, one standard deviation as a band."""
    left, right, row, top = 170, 200, 26, 8
    height = top + row * len(effect.levels) + 24
    svg = _svg(width, height, f"effect of {effect.key}")
    best = max(level.mean for level in effect.levels)

    def x(value: float) -> float:
        return left + (width - left - right) * min(max(share_in(value, limits), 0), 1)

    for tick in ticks(limits):
        _add(svg, "line", kind="grid", x1=x(tick), x2=x(tick), y1=top, y2=height - 20)
        _add(svg, "text", f"{tick:g}", kind="tick", x=x(tick), y=height - 6, text_anchor="middle")
    for n, level in enumerate(effect.levels):
        y = top + row * (n + 0.5)
        _add(svg, "text", _short(level.value), kind="name", x=left - 12, y=y + 4, text_anchor="end")
        known = math.isfinite(level.spread)
        if known:
            start, end = x(level.mean - level.spread), x(level.mean + level.spread)
            _add(svg, "rect", kind="band", x=start, width=end - start, y=y - 8, height=16, rx=3)
        for score in level.scores:
            _add(svg, "circle", kind="dot", cx=x(score), cy=y, r=3)
        _add(svg, "line", kind="mean", x1=x(level.mean), x2=x(level.mean), y1=y - 9, y2=y + 9)
        text = number(level.mean) + (f" ± {number(level.spread)}" if known else "")
        kind = "best" if level.mean == best else "other"
        label = _add(svg, "text", text, kind=kind, x=width - right + 14, y=y + 4)
        _add(label, "tspan", f"n = {len(level.scores)}", kind="tick", dx=8)
    return _markup(svg)


def interaction_chart(pair: Interaction) -> Markup:
    """Draw the means over a pair of choices as coloured cells; cells without a run are empty."""
    left, top, row, cell = 170, 46, 34, max(62, min(110, 560 // len(pair.columns)))
    width, height = left + cell * len(pair.columns) + 4, top + row * len(pair.rows) + 4
    svg = _svg(width, height, f"{pair.row_key} by {pair.column_key}")
    limits = (float(np.nanmin(pair.means)), float(np.nanmax(pair.means)))
    _add(svg, "text", f"{pair.column_key} →", kind="axis", x=left, y=14)
    _add(svg, "text", f"{pair.row_key} ↓", kind="axis", x=left - 12, y=top - 10, text_anchor="end")
    for j, column in enumerate(pair.columns):
        text = _short(column, cell // 7)
        _add(svg, "text", text, kind="name", x=left + cell * (j + 0.5), y=top - 10, text_anchor="middle")
    for i, name in enumerate(pair.rows):
        y = top + row * i
        _add(svg, "text", _short(name), kind="name", x=left - 12, y=y + 21, text_anchor="end")
        for j, column in enumerate(pair.columns):
            mean, count = float(pair.means[i, j]), int(pair.counts[i, j])
            group = _add(svg, "g")
            box = _add(group, "rect", x=left + cell * j + 1, y=y + 1, width=cell - 2, height=row - 2, rx=3)
            if not count:
                box.set("class", "empty")
                continue
            share = share_in(mean, limits)
            box.set("fill", heat_colour(share))
            _add(group, "title", f"{name}, {column}: {number(mean)}, n = {count}")
            middle = left + cell * (j + 0.5)
            fill = text_colour(share)
            _add(group, "text", number(mean), x=middle, y=y + 21, text_anchor="middle", fill=fill)
    return _markup(svg)


def curve_chart(
    curves: Sequence[tuple[str, Curve]], title: str, *, width: int = 560, height: int = 300
) -> Markup:
    """Draw labelled curves over steps; the first five, the best runs, in colour and on top, the rest grey."""
    left, right, top, bottom = 56, 12, 28, 28
    steps = padded([float(s) for _, curve in curves for s in curve.steps], 0.0)
    values = padded(_without_outliers([float(v) for _, curve in curves for v in curve.values]))
    svg = _svg(width, height, title)

    def x(step: float) -> float:
        return left + (width - left - right) * share_in(step, steps)

    def y(value: float) -> float:
        return height - bottom - (height - top - bottom) * min(max(share_in(value, values), 0), 1)

    _add(svg, "text", title, kind="title", x=left, y=16)
    for tick in ticks(values):
        _add(svg, "line", kind="grid", x1=left, x2=width - right, y1=y(tick), y2=y(tick))
        _add(svg, "text", f"{tick:g}", kind="tick", x=left - 6, y=y(tick) + 4, text_anchor="end")
    for tick in ticks(steps):
        _add(svg, "text", f"{tick:g}", kind="tick", x=x(tick), y=height - 8, text_anchor="middle")
    for n, (label, curve) in reversed(list(enumerate(curves))):
        points = [(x(step), y(value)) for step, value in zip(curve.steps, curve.values, strict=True)]
        if len(points) == 1:
            line = _add(svg, "circle", kind="curve", cx=points[0][0], cy=points[0][1], r=3)
        else:
            line = _add(svg, "polyline", kind="curve", points=" ".join(f"{a:.1f},{b:.1f}" for a, b in points))
        if n < len(COLOURS):
            line.set("class", "curve top")
            line.set("style", f"stroke:{COLOURS[n]}")
        _add(line, "title", label)
    return _markup(svg)


def _without_outliers(values: Sequence[float]) -> list[float]:
    """Drop the few values that would flatten the rest: losses of the first steps, divergence."""
    low, high = np.quantile(values, (0.01, 0.97))
    kept = [v for v in values if low - (high - low) <= v <= high + (high - low)]
    return kept or list(values)


def _short(text: str, most: int = 24) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _svg(width: float, height: float, label: str) -> ET.Element:
    size = {"viewBox": f"0 0 {width} {height}", "width": f"{width}", "height": f"{height}"}
    return ET.Element("svg", size | {"role": "img", "aria-label": label})


def _add(parent: ET.Element, tag: str, text: str = "", **attributes: str | float) -> ET.Element:
    """Append an element; ``kind`` is its class, and ``_`` in the name of an attribute stands for ``-``."""
    named = {("class" if name == "kind" else name.replace("_", "-")): v for name, v in attributes.items()}
    plain = {name: v if isinstance(v, str) else f"{round(v, 1):g}" for name, v in named.items()}
    element = ET.SubElement(parent, tag, plain)
    element.text = text
    return element


def _markup(svg: ET.Element) -> Markup:
    return Markup(ET.tostring(svg, encoding="unicode"))
