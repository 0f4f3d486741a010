"""Train a network, evaluate its best checkpoint: python scripts/train.py paf.width=8 heatmap.sigma=7"""

from __future__ import annotations

import hydra
from omegaconf import DictConfig

from pafpose.cli.guard import guarded
from pafpose.config import conf_dir


@hydra.main(config_path=str(conf_dir()), config_name="train", version_base="1.3")
@guarded
def main(cfg: DictConfig) -> float:
    """Run the recipe; the metric goes to Hydra's sweepers."""
    from pafpose.training.run import train

    return train(cfg)[cfg.optimized_metric]


if __name__ == "__main__":
    main()
