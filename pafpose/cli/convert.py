"""Convert published weights to a checkpoint: ``python scripts/convert.py source=body_pose_model.pth``."""

from __future__ import annotations

from omegaconf import DictConfig

from pafpose.cli.command import command


@command("convert")
def main(cfg: DictConfig) -> None:
    """Write checkpoints/best.ckpt into the run folder."""
    from pafpose.tools.convert.checkpoint import convert

    convert(cfg)
