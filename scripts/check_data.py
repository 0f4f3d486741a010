"""Audit a data set before training: python scripts/check_data.py data=coco data.root=DIR"""

from __future__ import annotations

import sys

import hydra
from omegaconf import DictConfig

from pafpose.cli.guard import guarded
from pafpose.config import conf_dir


@hydra.main(config_path=str(conf_dir()), config_name="check_data", version_base="1.3")
@guarded
def main(cfg: DictConfig) -> None:
    """Write the page and the report; exit status 1 when something fatal was found."""
    from pafpose.cli.check_data import check_data

    if check_data(cfg).problems:
        sys.exit(1)


if __name__ == "__main__":
    main()
