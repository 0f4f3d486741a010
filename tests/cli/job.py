"""A script like those in scripts/ whose job takes no time: tests of sweeps start it.

AP falls with the distance of paf.width from 8; width 3 is refused, width 5 crashes, width 7 hangs as long as
the file ``hang`` lies in the sweep's folder. Every call is noted in ``calls.log`` there. Where the file
``together`` lies, a job waits until another process has begun one too.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from omegaconf import DictConfig

from pafpose.cli.command import command
from pafpose.errors import PafposeError

STARTED = time.monotonic()
PATIENCE = 240  # s; then the test finds one process alone in the log, and says so


def others_began(calls: Path) -> bool:
    """Whether a job runs in another process, or will not any more."""
    pids = {line.split("pid=")[1] for line in calls.read_text().splitlines()}
    return len(pids) >= 2 or time.monotonic() - STARTED > PATIENCE


@command("train")
def main(cfg: DictConfig) -> float:
    """Pretend to train."""
    folder = Path(cfg.paths.output_dir)
    with (folder.parent / "calls.log").open("a") as calls:
        calls.write(f"{float(cfg.paf.width):g} ckpt_path={cfg.ckpt_path} pid={os.getpid()}\n")
    while (folder.parent / "together").exists() and not others_began(folder.parent / "calls.log"):
        time.sleep(0.1)
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
