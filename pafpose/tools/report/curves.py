"""Read learning curves from TensorBoard's event files."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

POINTS = 80  # per curve: enough for a chart, small enough for 200 runs in one page
PREFERRED = ("val/AP", "val/loss", "train/loss")
BORING = re.compile(r"^(hp_metric|epoch|lr-|lr/|time/|timing/|speed/)")


@dataclass(frozen=True)
class Curve:
    """Values over optimiser steps."""

    steps: np.ndarray
    values: np.ndarray


def read_curves(folder: Path) -> dict[str, Curve]:
    """Return every scalar below ``folder`` by tag, thinned out."""
    files = sorted(folder.rglob("events.out.tfevents.*"))
    curves: dict[str, Curve] = {}
    for parent in sorted({file.parent for file in files}):
        for tag, curve in _read_events(parent).items():
            curves.setdefault(tag, curve)
    return curves


def choose_tags(curves: Iterable[Mapping[str, Curve]], *, most: int = 3) -> list[str]:
    """Choose tags worth a chart: the preferred ones, then others by name, all with two points or more."""
    counts: dict[str, int] = {}
    for one in curves:
        for tag, curve in one.items():
            counts[tag] = max(counts.get(tag, 0), len(curve.steps))
    drawn = [tag for tag, count in counts.items() if count > 1 and not BORING.match(tag)]
    first = [tag for tag in PREFERRED if tag in drawn]
    return [*first, *sorted(set(drawn) - set(first))][:most]


def thin(curve: Curve, points: int = POINTS) -> Curve:
    """Reduce a curve to at most ``points`` points by averaging neighbours, which also reduces noise."""
    if len(curve.steps) <= points:
        return curve
    parts = np.array_split(np.arange(len(curve.steps)), points)
    return Curve(
        *(np.array([values[part].mean() for part in parts]) for values in (curve.steps, curve.values))
    )


def _read_events(folder: Path) -> dict[str, Curve]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # restarts of a run are expected
    nothing = {"images": 1, "histograms": 1, "tensors": 0, "audio": 1, "compressedHistograms": 1}
    events = EventAccumulator(str(folder), size_guidance={**nothing, "scalars": 0})
    events.Reload()
    return {tag: thin(_curve(events.Scalars(tag))) for tag in events.Tags()["scalars"]}


def _curve(scalars: Sequence[Any]) -> Curve:
    pairs = np.array([(s.step, s.value) for s in scalars], float).reshape(-1, 2)
    pairs = pairs[np.isfinite(pairs[:, 1])]
    return Curve(pairs[:, 0], pairs[:, 1])
