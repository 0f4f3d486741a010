"""Find people in photos: python scripts/predict.py ckpt_path=outputs/train/runs/RUN source=photos"""

from __future__ import annotations

import hydra
from omegaconf import DictConfig

from pafpose.cli.guard import guarded
from pafpose.config import conf_dir


@hydra.main(config_path=str(conf_dir()), config_name="predict", version_base="1.3")
@guarded
def main(cfg: DictConfig) -> None:
    """Write overlays and predictions.json."""
    from pafpose.cli.predict import predict

    predict(cfg)


if __name__ == "__main__":
    main()
