"""Evaluate a checkpoint: ``python scripts/evaluate.py ckpt_path=RUN data=coco data.root=DIR``."""

from __future__ import annotations

from omegaconf import DictConfig

from pafpose.cli.command import command


@command("evaluate")
def main(cfg: DictConfig) -> float:
    """Write metrics.json and detections.json; return the metric that a sweep optimises."""
    from pafpose.tools.evaluate import evaluate

    return evaluate(cfg)[cfg.optimized_metric]
