"""The decorator of every compiled function: ``numba.njit``, cached on disk until a source file changes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numba
from numba import config
from numba.core import event

from pafpose.runtime.jit_cache import cache_folder

log = logging.getLogger(__name__)
_config: Any = config  # numba has no type annotations for its settings


def njit(function: Callable[..., Any] | None = None, *, inline: bool = False) -> Any:
    """Compile a function on its first call, without Python's lock, and keep it on disk.

    numba compiles a cached function again when its own file changes, but not when it calls a function of
    another file that changed. So each version of the sources has a cache folder of its own. A division by
    zero gives infinity or NaN, as in numpy. ``inline`` copies the machine code into every caller.
    """
    if function is None:
        return partial(njit, inline=inline)
    default = _config.CACHE_DIR
    _config.CACHE_DIR = str(cache_folder(Path(function.__code__.co_filename).parent, default))
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy", forceinline=inline)(function)
    finally:
        _config.CACHE_DIR = default


class _Announcement(event.Listener):
    """Logs one line per process when a function of this package is compiled rather than read from disk."""

    def __init__(self) -> None:
        self.made = False

    def on_start(self, event: event.Event) -> None:
        """Log the line at the first such function."""
        if not self.made and event.data["dispatcher"].py_func.__module__.startswith("pafpose."):
            self.made = True
            log.info("compiling for this machine, once: less than a minute")

    def on_end(self, event: event.Event) -> None:
        """Log nothing."""


event.register("numba:compile", _Announcement())
