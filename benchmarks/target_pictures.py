"""The pictures of docs/targets.md: ``python -m benchmarks.target_pictures docs/images/targets``.

Each is a sheet of ``scripts/visualize.py visualize.compare=KEY`` for a synthetic picture, scaled down.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from pafpose.config import load_config

log = logging.getLogger(__name__)

WIDTH = 830  # px at most
SHARE = 0.43  # of the size of the sheets, which makes panels of 224 px
COLOURS = 256
PICTURES = (
    "data.train_count=1",
    "data.val_count=40",
    "data.people=[2,3]",
    "data.height=[0.6,1.0]",
    "data.overlap=0.5",
    "visualize.split=val",
)


class Sheet(NamedTuple):
    """One picture: the key that is compared, the id of the photo, and other overrides."""

    key: str
    photo: int
    overrides: tuple[str, ...] = ()


SHEETS = (
    Sheet("heatmap.sigma", 1000002, ("visualize.values=[4,7,10]",)),
    Sheet("heatmap.scale_by", 1000002),
    Sheet("heatmap.merge", 1000009),
    Sheet("heatmap.truncate", 1000002, ("visualize.values=[0,0.01,0.3]",)),
    Sheet("heatmap.background", 1000002),
    Sheet("paf.width", 1000002, ("visualize.values=[4,8,12,16]",)),
    Sheet("paf.scale_by", 1000014, ("paf.width=5",)),
    Sheet("paf.limbs", 1000002, ("visualize.values=[seed,tree,openpose,dense]",)),
    Sheet("paf.caps", 1000002),
    Sheet("paf.profile", 1000002),
    Sheet("paf.merge", 1000026, ("visualize.limbs=[left_hip-left_knee]",)),
    Sheet("mask.crowd", 1000034),
    Sheet("mask.unlabelled_people", 1000023),
    Sheet("mask.small_people", 1000020),
    Sheet("mask.region", 1000023),
    Sheet("mask.protect_labelled", 1000001, ("mask.region=box",)),
    Sheet("mask.unlabelled_keypoints", 1000001),
    Sheet("mask.occluded_keypoints", 1000033),
)


def command(sheet: Sheet) -> list[str]:
    """Return the overrides with which ``scripts/visualize.py`` draws a sheet."""
    return [
        *PICTURES,
        f"visualize.compare={sheet.key}",
        f"visualize.photos=[{sheet.photo}]",
        *sheet.overrides,
    ]


def make(sheet: Sheet, folder: Path) -> Path:
    """Draw a sheet and write it as a small ``<key>.png`` into the folder."""
    from pafpose.tools.visualize import visualize

    with tempfile.TemporaryDirectory() as scratch:
        cfg = load_config([*command(sheet), f"paths.output_dir={scratch}"], name="visualize")
        return shrink(visualize(cfg)[0], folder / f"{sheet.key}.png")


def shrink(source: Path, path: Path) -> Path:
    """Write a picture as a PNG of at most ``WIDTH`` px and ``COLOURS`` colours; returns its path."""
    picture = Image.open(source).convert("RGB")
    factor = min(SHARE, WIDTH / picture.width)
    small = picture.resize(
        (round(picture.width * factor), round(picture.height * factor)), Image.Resampling.LANCZOS
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    few = small.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE)  # the palette keeps rare hues
    few = small.quantize(palette=few, dither=Image.Dither.FLOYDSTEINBERG)
    few.save(path, optimize=True)
    return path


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the sheets of all keys or of some."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("keys", nargs="*", help="keys to draw, such as paf.caps (default: all)")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for sheet in SHEETS:
        if not given.keys or sheet.key in given.keys:
            path = make(sheet, given.folder)
            log.info("%s   %d kB", path, path.stat().st_size // 1000)


if __name__ == "__main__":
    main()
