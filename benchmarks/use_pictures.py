"""Draw the picture of docs/use.md: ``python -m benchmarks.use_pictures RUN PHOTO docs/images/use.jpg``.

It shows what the keys of ``predict`` change in overlays.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import pafpose
from pafpose.data.photos.images import load_image
from pafpose.inference.predictor import Frame
from pafpose.tools.predict.overlay import OverlaySettings, draw_overlay
from pafpose.viz import Panel, save_picture, tile
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
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("run", "photo", "output"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args(arguments)
    save_picture(overlays(given.run, given.photo), given.output)


if __name__ == "__main__":
    main()
