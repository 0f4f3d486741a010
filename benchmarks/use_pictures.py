"""Draw the picture of docs/use.md: ``python -m benchmarks.use_pictures RUN PHOTO docs/images/use.jpg``.

It shows what the keys of ``predict`` change in overlays.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

import pafpose
from benchmarks.picture_command import draw_from_command_line
from pafpose.data.photos.images import load_image
from pafpose.inference.predictor import Frame
from pafpose.tools.predict.overlay import OverlaySettings, draw_overlay
from pafpose.viz import Panel, tile
from pafpose.viz.draw import enlarge

SHOWN = {
    "draw=skeleton": OverlaySettings(),
    "draw=both": OverlaySettings(draw="both"),
    "colours=person background=black": OverlaySettings(colours="person", background="black"),
}
WIDTH = 440  # px of a panel


def overlays(run: Path, photo: Path) -> np.ndarray:
    """Return the panels side by side, RGB."""
    image = load_image(photo)
    big, _ = enlarge(image, WIDTH / image.shape[1])
    predictor = pafpose.load(run)
    found = next(predictor.find([Frame(big)], keep_fields=True))
    return tile(
        [Panel(title, draw_overlay(found, predictor.skeleton, look)) for title, look in SHOWN.items()]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the picture."""
    draw_from_command_line(overlays, __doc__, arguments)


if __name__ == "__main__":
    main()
