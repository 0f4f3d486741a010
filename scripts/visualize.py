"""Sheets of samples: python scripts/visualize.py data=coco data.root=DIR visualize.count=8"""

from __future__ import annotations

import hydra
from omegaconf import DictConfig

from pafpose.cli.guard import guarded
from pafpose.config import conf_dir


@hydra.main(config_path=str(conf_dir()), config_name="visualize", version_base="1.3")
@guarded
def main(cfg: DictConfig) -> None:
    """Write a sheet for every sample; no checkpoint needed."""
    from pafpose.cli.visualize import visualize

    visualize(cfg)


if __name__ == "__main__":
    main()
