"""Evaluate a checkpoint: python scripts/evaluate.py ckpt_path=RUN data=coco data.root=DIR"""

from __future__ import annotations

import hydra
from omegaconf import DictConfig

from pafpose.config import conf_dir
from pafpose.utils.cli import guarded


@hydra.main(config_path=str(conf_dir()), config_name="evaluate", version_base="1.3")
@guarded
def main(cfg: DictConfig) -> float:
    """Write metrics.json and detections.json; AP goes to Hydra's sweepers."""
    from pafpose.tasks.evaluate import evaluate

    return evaluate(cfg)[cfg.optimized_metric]


if __name__ == "__main__":
    main()
