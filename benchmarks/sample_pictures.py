"""Draw the pictures of docs/data.md: ``python -m benchmarks.sample_pictures docs/images/samples``.

Each augmentation preset gives one picture: synthetic people as training sees them, with their keypoints.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from pafpose.config import load_config
from pafpose.data.batch import Sample
from pafpose.factory import build_datamodule

log = logging.getLogger(__name__)

PRESETS = ("none", "default", "openpose2019", "seed", "coco_mini", "quickstart", "strong")
COUNT = 6
SIDE = 138  # px of a panel
DATA = ("data.train_count=24", "data.val_count=1", "data.picture_size=368")


def draw_samples(preset: str) -> np.ndarray:
    """Return ``COUNT`` training samples of a preset side by side, RGB, with crosses on labelled keypoints."""
    by = "image" if preset == "quickstart" else "person"  # what the presets are made for
    data = build_datamodule(load_config([*DATA, f"data.sample_by={by}", f"augment={preset}"]))
    data.prepare_data()
    data.setup("fit")
    step = len(data.train_dataset) // COUNT
    return np.hstack([_panel(data.train_dataset[step * n, n]) for n in range(COUNT)])


def _panel(sample: Sample) -> np.ndarray:
    image = np.ascontiguousarray(sample.image.permute(1, 2, 0).numpy())
    factor = SIDE / image.shape[0]
    panel = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    for x, y, v in sample.keypoints.flatten(0, 1).tolist():
        if v > 0:
            spot = (round(x * factor), round(y * factor))
            cv2.drawMarker(panel, spot, (255, 255, 255), cv2.MARKER_CROSS, 5, 1, cv2.LINE_AA)
    return panel


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the pictures of all presets."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args(arguments).folder
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder.mkdir(parents=True, exist_ok=True)
    for preset in PRESETS:
        path = folder / f"augment.{preset}.jpg"
        cv2.imwrite(str(path), cv2.cvtColor(draw_samples(preset), cv2.COLOR_RGB2BGR))
        log.info("%s   %d kB", path, path.stat().st_size // 1000)


if __name__ == "__main__":
    main()
