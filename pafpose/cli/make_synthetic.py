"""Write drawn people in COCO's layout: ``python scripts/make_synthetic.py data.people=[2,4] output=DIR``."""

from __future__ import annotations

from omegaconf import DictConfig

from pafpose.cli.command import command


@command("make_synthetic")
def main(cfg: DictConfig) -> None:
    """Draw the pictures, print where they are and how fast they came, and save sample sheets."""
    from pafpose.tools.make_synthetic import make_synthetic

    make_synthetic(cfg)
