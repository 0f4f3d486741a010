"""Titled pictures in a grid: as one picture (TensorBoard, PNG) or as a figure (PNG, PDF)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pafpose.viz.draw import write


class Panel(NamedTuple):
    """A picture, RGB uint8 (H, W, 3), and what stands above it."""

    title: str
    image: np.ndarray


def tile(panels: Sequence[Panel], *, columns: int | None = None, gap: int = 6) -> np.ndarray:
    """Panels side by side in rows as one RGB picture; smaller ones are padded, titles stand on top."""
    columns = columns or len(panels)
    bar = max(18, round(0.06 * max(panel.image.shape[0] for panel in panels)))
    height = max(panel.image.shape[0] for panel in panels) + bar + gap
    width = max(panel.image.shape[1] for panel in panels) + gap
    out = np.full((math.ceil(len(panels) / columns) * height + gap, columns * width + gap, 3), 24, np.uint8)
    for n, panel in enumerate(panels):
        y, x = gap + n // columns * height, gap + n % columns * width
        out[y + bar : y + bar + panel.image.shape[0], x : x + panel.image.shape[1]] = panel.image
        write(out, panel.title, (x + 2, y + 0.75 * bar), size=0.62 * bar)
    return out


def figure(panels: Sequence[Panel], *, columns: int, heading: str = "", inches: float = 4.0) -> Figure:
    """Panels as a matplotlib figure, ``inches`` wide each; titles stay legible at a third of the size."""
    points = 3.5 * inches  # of the titles
    line = 1.9 * points / 72  # inches
    rows = [panels[first : first + columns] for first in range(0, len(panels), columns)]
    tallest = [max(p.image.shape[0] / p.image.shape[1] for p in row) for row in rows]
    above = [line if any(p.title for p in row) else 0.04 * inches for row in rows]
    top = height = inches * sum(tallest) + sum(above) + 0.02 * inches + 1.1 * line * bool(heading)
    sheet = Figure(figsize=(inches * columns, height), facecolor="white")
    FigureCanvasAgg(sheet)
    if heading:
        sheet.suptitle(heading, fontsize=1.1 * points, y=1 - 0.25 * line / height, va="top")
        top -= 1.1 * line
    for row, part, gap in zip(rows, tallest, above, strict=True):
        top -= gap + inches * part
        for column, panel in enumerate(row):
            place = (
                column / columns + 0.01 / columns,
                top / height,
                0.98 / columns,
                inches * part / height,
            )
            axes = sheet.add_axes(place)
            axes.imshow(panel.image, aspect="equal")
            axes.set_anchor("N")
            axes.set_axis_off()
            axes.set_title(panel.title, fontsize=points, pad=0.3 * points)
    return sheet


def save_figure(sheet: Figure, path: Path, *, dpi: int = 130) -> Path:
    """Write a figure as its suffix says: .png, .pdf, .svg."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.savefig(path, dpi=dpi)
    return path


def save_picture(image: np.ndarray, path: Path) -> Path:
    """Write RGB uint8 (H, W, 3) as PNG or JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _, data = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    data.tofile(path)
    return path
