"""Audit a data set before training: ``python scripts/check_data.py data=coco data.root=DIR``."""

from __future__ import annotations

import sys

from omegaconf import DictConfig

from pafpose.cli.command import command


@command("check_data")
def main(cfg: DictConfig) -> None:
    """Write audit.html and audit.json; exit with status 1 when something fatal was found."""
    from pafpose.tools.audit.check_data import check_data

    if check_data(cfg).problems:
        sys.exit(1)
