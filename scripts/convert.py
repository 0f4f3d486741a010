"""Public weights to a checkpoint of ours: python scripts/convert.py source=body_pose_model.pth"""

from __future__ import annotations

import hydra
from omegaconf import DictConfig

from pafpose.cli.guard import guarded
from pafpose.config import conf_dir


@hydra.main(config_path=str(conf_dir()), config_name="convert", version_base="1.3")
@guarded
def main(cfg: DictConfig) -> None:
    """Write checkpoints/best.ckpt into the run folder."""
    from pafpose.cli.convert import convert

    convert(cfg)


if __name__ == "__main__":
    main()
