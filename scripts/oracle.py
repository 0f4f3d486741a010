"""The AP a perfect network could reach: python scripts/oracle.py data=coco data.root=DIR"""

from __future__ import annotations

import hydra
from omegaconf import DictConfig

from pafpose.cli.guard import guarded
from pafpose.config import conf_dir


@hydra.main(config_path=str(conf_dir()), config_name="oracle", version_base="1.3")
@guarded
def main(cfg: DictConfig) -> float:
    """Write metrics.json; AP goes to Hydra's sweepers."""
    from pafpose.cli.oracle import oracle

    return oracle(cfg)[cfg.optimized_metric]


if __name__ == "__main__":
    main()
