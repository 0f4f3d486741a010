"""Grids of titled pictures: as one picture (TensorBoard, PNG) or as a figure (PNG, PDF)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from matplotlib.figure import Figure

from pafpose.runtime.files import whole_file
from pafpose.viz.draw import write


class Panel(NamedTuple):
    """A picture, RGB uint8 (H, W, 3), and the title above it."""

    title: str
    image: np.ndarray


def tile(panels: Sequence[Panel], *, columns: int | None = None, gap: int = 6) -> np.ndarray:
    """Draw panels in rows, by default in one, as one RGB picture; smaller ones are padded."""
    columns = columns or len(panels)
    bar = max(18, round(0.06 * max(panel.image.shape[0] for panel in panels)))
    height = max(panel.image.shape[0] for panel in panels) + bar + gap
    width = max(panel.image.shape[1] for panel in panels) + gap
    out = np.full((math.ceil(len(panels) / columns) * height + gap, columns * width + gap, 3), 24, np.uint8)
    for n, panel in enumerate(panels):
        y, x = gap + n // columns * height, gap + n % columns * width
        out[y + bar : y + bar + panel.image.shape[0], x : x + panel.image.shape[1]] = panel.image
        write(out, panel.title, (x + 2, y + 0.7 * bar), size=0.62 * bar)
    return out


def figure(panels: Sequence[Panel], *, columns: int, heading: str = "", inches: float = 4.0) -> Figure:
    """Draw panels as a matplotlib figure, each ``inches`` wide, and return it.

    Titles stay legible at a third of the size.
    """
    points = 3.5 * inches  # size of the titles
    line = 1.9 * points / 72  # height of a title in inches
    rows = [panels[first : first + columns] for first in range(0, len(panels), columns)]
    tallest = [max(p.image.shape[0] / p.image.shape[1] for p in row) for row in rows]
    above = [line if any(p.title for p in row) else 0.04 * inches for row in rows]
    top = height = inches * sum(tallest) + sum(above) + 0.02 * inches + 1.1 * line * bool(heading)
    sheet = Figure(figsize=(inches * columns, height), facecolor="white")
    if heading:
        sheet.suptitle(heading, fontsize=1.1 * points, y=1 - 0.25 * line / height, va="top")
        top -= 1.1 * line
    for row, part, gap in zip(rows, tallest, above, strict=True):
        top -= gap + inches * part
        for column, panel in enumerate(row):
            left, width = (column + 0.01) / columns, 0.98 / columns
            axes = sheet.add_axes((left, top / height, width, inches * part / height))
            axes.imshow(panel.image, aspect="equal")
            axes.set_anchor("N")
            axes.set_axis_off()
            axes.set_title(panel.title, fontsize=points, pad=0.3 * points)
    return sheet


def save_figure(sheet: Figure, path: Path, *, dpi: int = 130) -> Path:
    """Write a figure to ``path``, whose suffix is the format (.png, .pdf, .svg); return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.savefig(path, dpi=dpi)
    return path


def save_picture(image: np.ndarray, path: Path) -> Path:
    """Write RGB uint8 (H, W, 3) to ``path``, a PNG or JPEG, whole or not at all; return the path."""
    _, data = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    with whole_file(path) as part:
        part.write_bytes(data.tobytes())
    return path
