"""Find people in photos and videos: ``python scripts/predict.py ckpt_path=RUN source=photos``."""

from __future__ import annotations

import sys

from omegaconf import DictConfig

from pafpose.cli.command import command


@command("predict")
def main(cfg: DictConfig) -> None:
    """Write overlays, json and csv; exit with status 1 when something could not be read."""
    from pafpose.tools.predict.predict import predict

    if predict(cfg).left_out:
        sys.exit(1)
