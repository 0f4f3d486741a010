"""A Hydra callback that makes run folders: one for each run, or one sentence where that is impossible."""

from __future__ import annotations

import os
import sys
from itertools import count
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, read_write


class RunFolder(Callback):
    """Create the folder of a run or sweep before Hydra does, or exit with the reason and the way out.

    Folders are named after the second in which a command started. When two commands share it, the second
    one's folder gets a number. A folder that was chosen on the command line is taken as it is.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Create the folder of a single run."""
        self._create(config, "hydra.run.dir")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Create the folder of a sweep."""
        self._create(config, "hydra.sweep.dir")

    def _create(self, config: DictConfig, key: str) -> None:
        folder = Path(OmegaConf.select(config, key))
        if any(word.lstrip("+").startswith(f"{key}=") for word in config.hydra.overrides.hydra):
            create_folder(folder, key)
            return
        created = create_new_folder(folder, key)
        if created != folder:
            with read_write(config):
                OmegaConf.update(config, key, str(created))


def create_new_folder(folder: Path, key: str) -> Path:
    """Create a folder that was not there, numbered when the name is taken; exit as ``create_folder`` does."""
    create_folder(folder.parent, key)
    for number in count(1):
        new = folder if number == 1 else folder.with_name(f"{folder.name}_{number}")
        try:
            new.mkdir()
        except FileExistsError:
            continue
        return new
    raise AssertionError


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
