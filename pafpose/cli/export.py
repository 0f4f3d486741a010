"""Export a network to ONNX or a folder: ``python scripts/export.py ckpt_path=outputs/train/runs/RUN``."""

from __future__ import annotations

from omegaconf import DictConfig

from pafpose.cli.command import command


@command("export")
def main(cfg: DictConfig) -> None:
    """Write the file or folder into the run folder."""
    from pafpose.tools.export.export import export

    export(cfg)
