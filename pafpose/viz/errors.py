"""A chart of the error report: what happens to each keypoint, how far off it is, and what errors cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pafpose.metrics.distances import SHARES
from pafpose.metrics.errors import KINDS, ErrorReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {
    "good": "#4c9f70", "jitter": "#f2c14e", "inversion": "#8e6bbf", "swap": "#3b82c4", "missed": "#c8553d",
    "background": "#7a7a7a", "unseen": "#b0b0b0", "ranking": "#5f8a8b",
}  # fmt: skip
_SHARE = SHARES[1]  # of the body's length, for the column of PCK


def draw_errors(report: ErrorReport, path: Path) -> None:
    """Write the chart to ``path``, as PNG or PDF by its suffix."""
    from matplotlib.figure import Figure

    names = ["all", *(name.replace("_", " ") for name in report.keypoints)]
    figure = Figure(figsize=(14, 1.6 + 0.27 * len(names)), layout="constrained")
    left, middle, right = panels = figure.subplots(1, 3, width_ratios=(1.7, 1, 1))
    _draw_kinds(left, report)
    _draw_pixels(middle, report)
    for panel in (left, middle):
        panel.set_yticks(range(len(names)), names if panel is left else [])
        panel.axhline(0.5, color="black", linewidth=0.8)
        panel.set_ylim(len(names) - 0.4, -0.6)
    _draw_gains(right, report)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=len(KINDS), frameon=False)
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def _draw_kinds(panel: Axes, report: ErrorReport) -> None:
    counts = np.vstack([report.counts.sum(0), report.counts]).astype(float)
    shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    rows, start = np.arange(len(counts)), np.zeros(len(counts))
    for n, kind in enumerate(KINDS):
        panel.barh(rows, shares[:, n], left=start, color=COLOURS[kind], label=kind, height=0.8)
        start += shares[:, n]
    panel.set(xlim=(0, 100), xlabel="% of the labelled keypoints of the people that were found")


def _draw_pixels(panel: Axes, report: ErrorReport) -> None:
    """Draw mean and median error as dots, and write the PCK of each keypoint beside its row."""
    distances = report.distances
    mean, median = distances.mean(), distances.median()
    rows = list(range(len(mean)))
    panel.hlines(rows, median, mean, color="#b0b0b0", linewidth=2)
    panel.scatter(median, rows, s=28, color="#1f4e79", label="median", zorder=2)
    panel.scatter(mean, rows, s=28, facecolors="white", edgecolors="#1f4e79", label="mean", zorder=2)
    panel.set(xlim=(0, 1.05 * max(1.0, *np.nan_to_num([*mean, *median]))))
    panel.set(xlabel="error in px of the keypoints that were found")
    panel.legend(fontsize=8, frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    texts = [f"{100 * value:.0f}" if np.isfinite(value) else "-" for value in distances.pck(_SHARE)]
    for row, text in zip(rows, texts, strict=True):
        panel.text(1.02, row, text, transform=panel.get_yaxis_transform(), fontsize=8, va="center")
    panel.text(1.02, -1, f"PCK {100 * _SHARE:.0f} %", transform=panel.get_yaxis_transform(), fontsize=8)


def _draw_gains(panel: Axes, report: ErrorReport) -> None:
    names, gains = list(report.gains), list(report.gains.values())
    panel.barh(names, gains, color=[COLOURS[name] for name in names])
    for row, gain in enumerate(gains):  # losses too to the right of the axis, whose left has the names
        panel.annotate(
            f"{gain:+.3f}", (max(gain, 0.0), row), (3, 0), textcoords="offset points", va="center", fontsize=9
        )
    panel.invert_yaxis()
    panel.set(xlim=(min(0.0, *gains) * 1.4, max(0.05, *gains) * 1.3))
    panel.set(xlabel="AP gained when this kind alone is corrected")
    panel.set_title(
        f"AP {report.ap:.3f}; of {report.people} people {report.unseen} unseen,\n"
        f"{report.background} found in the background",
        fontsize=10,
    )
