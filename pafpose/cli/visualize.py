"""Draw samples with their targets: ``python scripts/visualize.py data=coco data.root=DIR``."""

from __future__ import annotations

from omegaconf import DictConfig

from pafpose.cli.command import command


@command("visualize")
def main(cfg: DictConfig) -> None:
    """Write a sheet for every sample; no checkpoint is needed."""
    from pafpose.tools.visualize import visualize

    visualize(cfg)
