"""Convert published weights, or the labels of other tools: ``python scripts/convert.py source=FILE.pth``."""

from __future__ import annotations

from omegaconf import DictConfig

from pafpose.cli.command import command


@command("convert")
def main(cfg: DictConfig) -> None:
    """Write checkpoints/best.ckpt into the run folder, or photos and annotations into ``output``."""
    if cfg.labels:
        from pafpose.tools.labs.convert import convert_labels

        convert_labels(cfg)
        return
    from pafpose.tools.convert.checkpoint import convert

    convert(cfg)
