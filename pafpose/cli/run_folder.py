"""A word before Hydra makes the run folder, whose own would be a traceback."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig


class RunFolder(Callback):
    """Ends with one sentence where the run folder, or the sweep's, cannot be made or written to."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Before a single run."""
        make(Path(config.hydra.run.dir), "hydra.run.dir")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Before a sweep."""
        make(Path(config.hydra.sweep.dir), "hydra.sweep.dir")


def make(folder: Path, key: str) -> None:
    """Make a folder and see that files can be put into it; else leave with status 1."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return
        reason = "it may not be written to"
    except OSError as error:
        reason = error.strerror or str(error)
    sys.exit(f"{folder}: runs cannot be kept there ({reason}); name another folder with {key}=DIR")
