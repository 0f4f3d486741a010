"""Compute the AP a perfect network could reach: ``python scripts/oracle.py data=coco data.root=DIR``."""

from __future__ import annotations

from omegaconf import DictConfig

from pafpose.cli.command import command


@command("oracle")
def main(cfg: DictConfig) -> float:
    """Write metrics.json; return the metric that a sweep optimises."""
    from pafpose.tools.oracle.oracle import oracle

    return oracle(cfg)[cfg.optimized_metric]
