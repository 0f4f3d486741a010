"""A Hydra callback that reports an unusable run folder in one sentence instead of a traceback."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig


class RunFolder(Callback):
    """Create the folder of a run or sweep before Hydra does, or exit with the reason and the way out."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Create the folder of a single run."""
        create_folder(Path(config.hydra.run.dir), "hydra.run.dir")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Create the folder of a sweep."""
        create_folder(Path(config.hydra.sweep.dir), "hydra.sweep.dir")


def create_folder(folder: Path, key: str) -> None:
    """Create a writable folder, or exit with status 1 and name the config ``key`` that chose it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return
        reason = "it is not writable"
    except OSError as error:
        reason = error.strerror or str(error)
    sys.exit(f"{folder}: cannot be used as a run folder ({reason}); choose another with {key}=DIR")
