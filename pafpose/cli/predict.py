"""Find people in photos: ``python scripts/predict.py ckpt_path=outputs/train/runs/RUN source=photos``."""

from __future__ import annotations

import sys

from omegaconf import DictConfig

from pafpose.cli.command import command


@command("predict")
def main(cfg: DictConfig) -> None:
    """Write overlays and predictions.json; exit with status 1 when a photo could not be read."""
    from pafpose.tools.predict import predict

    if predict(cfg)["left_out"]:
        sys.exit(1)
