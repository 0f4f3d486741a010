"""A script like those in scripts/ whose job takes no time: tests of sweeps start it.

AP falls with the distance of paf.width from 8; width 3 is refused, width 5 crashes, width 7 hangs as long as
the file ``hang`` lies in the sweep's folder. Every call is noted in ``calls.log`` there.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import hydra
from omegaconf import DictConfig

from pafpose.config import conf_dir
from pafpose.errors import PafposeError
from pafpose.utils.cli import guarded


@hydra.main(config_path=str(conf_dir()), config_name="train", version_base="1.3")
@guarded
def main(cfg: DictConfig) -> float:
    """Pretend to train."""
    folder = Path(cfg.paths.output_dir)
    with (folder.parent / "calls.log").open("a") as calls:
        calls.write(f"{float(cfg.paf.width):g} ckpt_path={cfg.ckpt_path} pid={os.getpid()}\n")
    if cfg.paf.width == 3:
        raise PafposeError("paf.width=3: not today; choose another")
    if cfg.paf.width == 5:
        raise RuntimeError("out of memory")
    while cfg.paf.width == 7 and (folder.parent / "hang").exists():
        time.sleep(0.1)
    metrics = {"AP": 0.8 - 0.01 * abs(cfg.paf.width - 8), "AR": 0.9}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return metrics[cfg.optimized_metric]


if __name__ == "__main__":
    main()
