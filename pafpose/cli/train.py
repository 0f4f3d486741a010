"""Train a network, evaluate its best checkpoint: ``python scripts/train.py paf.width=8 heatmap.sigma=7``."""

from __future__ import annotations

from omegaconf import DictConfig

from pafpose.cli.command import command


@command("train")
def main(cfg: DictConfig) -> float:
    """Train; return the metric that a sweep optimises."""
    from pafpose.training.run import train

    return train(cfg)[cfg.optimized_metric]
