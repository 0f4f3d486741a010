"""A chart of the error report: what happens to each keypoint, and what each kind of error costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pafpose.metrics.errors import KINDS, ErrorReport

COLOURS = {
    "good": "#4c9f70", "jitter": "#f2c14e", "inversion": "#8e6bbf", "swap": "#3b82c4", "missed": "#c8553d",
    "background": "#7a7a7a", "unseen": "#b0b0b0", "ranking": "#5f8a8b",
}  # fmt: skip


def draw_errors(report: ErrorReport, path: Path) -> None:
    """Write the chart to ``path``, as PNG or PDF by its suffix."""
    from matplotlib.figure import Figure

    names = ["all", *(name.replace("_", " ") for name in report.keypoints)]
    counts = np.vstack([report.counts.sum(0), report.counts]).astype(float)
    shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    figure = Figure(figsize=(11, 1.4 + 0.27 * len(names)), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.7, 1))
    rows, start = np.arange(len(names)), np.zeros(len(names))
    for n, kind in enumerate(KINDS):
        left.barh(rows, shares[:, n], left=start, color=COLOURS[kind], label=kind, height=0.8)
        start += shares[:, n]
    left.set_yticks(rows, names)
    left.axhline(0.5, color="black", linewidth=0.8)
    left.set(xlim=(0, 100), xlabel="% of the labelled keypoints of the people that were found")
    left.invert_yaxis()
    figure.legend(
        *left.get_legend_handles_labels(), loc="outside upper left", ncols=len(KINDS), frameon=False
    )
    places = np.arange(len(report.gains))
    gains = list(report.gains.values())
    bars = right.barh(places, gains, color=[COLOURS[name] for name in report.gains])
    right.bar_label(bars, [f"{gain:+.3f}" for gain in gains], padding=3, fontsize=9)
    right.set_yticks(places, list(report.gains))
    right.invert_yaxis()
    right.set(xlim=(min(0.0, *gains) * 1.4, max(0.05, *gains) * 1.3))
    right.set(xlabel="AP gained when this kind alone is corrected")
    right.set_title(
        f"AP {report.ap:.3f}; of {report.people} people {report.unseen} unseen,\n"
        f"{report.background} found in the background",
        fontsize=10,
    )
    for panel in (left, right):
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
