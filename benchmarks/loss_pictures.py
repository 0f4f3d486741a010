"""Loss curves for docs/models.md: ``python -m benchmarks.loss_pictures OUT.png "TITLE=FOLDER" ...``.

There is a panel for every FOLDER and in it a line for every run folder below FOLDER, named after it.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pafpose.errors import PafposeError
from pafpose.tools.report.curves import Curve, read_curves, thin

log = logging.getLogger(__name__)

TAG = "train/loss"
START = 2  # the mean of so many logged values is the loss at the start
POINTS = 30  # per line; each is a mean of neighbours, since a logged loss is that of a single batch


def read_losses(folder: Path) -> dict[str, Curve]:
    """Read the training loss of every run in ``folder``, by name, as a share of the loss at the start.

    The loss is the sum over stages and fields. Its unit differs between recipes; the share is comparable.
    """
    losses = {}
    for run in sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []:
        curve = read_curves(run / "tensorboard").get(TAG)
        if curve is not None and len(curve.values) > START:
            losses[run.name] = thin(Curve(curve.steps, curve.values / curve.values[:START].mean()), POINTS)
    if not losses:
        raise PafposeError(
            f"{folder}: no run folder with a curve of {TAG}; give the folder that contains the run folders"
        )
    return losses


def draw_losses(panels: Mapping[str, Mapping[str, Curve]], path: Path) -> Path:
    """Draw the panels side by side on logarithmic axes, save the picture and return its path."""
    from matplotlib.figure import Figure

    picture = Figure(figsize=(5.5 * len(panels), 4.2), layout="constrained")
    for axes, (title, losses) in zip(np.ravel(picture.subplots(1, len(panels))), panels.items(), strict=True):
        for name, curve in losses.items():
            axes.semilogy(curve.steps, curve.values, linewidth=1.6, label=name)
        axes.set_title(title, fontsize=11)
        axes.set_xlabel("optimiser steps")
        axes.set_ylabel("training loss, share of the start")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
        axes.grid(alpha=0.3, which="both")
        axes.legend(fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(path, dpi=75)
    return path


def main() -> None:
    """Draw the picture that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("panels", nargs="+", metavar="TITLE=FOLDER")
    given = parser.parse_args()
    named = (panel.rpartition("=") for panel in given.panels)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    path = draw_losses({title: read_losses(Path(folder)) for title, _, folder in named}, given.output)
    log.info("picture %s", path)


if __name__ == "__main__":
    main()
