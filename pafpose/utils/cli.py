"""What all scripts share: errors that users can act on come without a traceback."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig

from pafpose.errors import PafposeError

log = logging.getLogger(__name__)


def guarded(main: Callable[[DictConfig], Any]) -> Callable[[DictConfig], Any]:
    """Turn a ``PafposeError`` into its message and exit status 1; say where the run folder is."""

    @functools.wraps(main)
    def run(cfg: DictConfig) -> Any:
        try:
            return main(cfg)
        except PafposeError as error:
            log.error("%s", error)
            log.error("run folder   %s", cfg.paths.output_dir)
            sys.exit(1)

    return run
