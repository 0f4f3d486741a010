"""Find people in photos: ``python scripts/predict.py ckpt_path=outputs/train/runs/RUN source=photos``."""

from __future__ import annotations

from omegaconf import DictConfig

from pafpose.cli.command import command


@command("predict")
def main(cfg: DictConfig) -> None:
    """Write overlays and predictions.json."""
    from pafpose.tools.predict import predict

    predict(cfg)
