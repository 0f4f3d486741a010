"""Signals that ask a process to end: raised as one exception, at once or when it is convenient."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], Any]
# Ctrl-C, the end of a job, and what SLURM and submitit send before the time is up
ENDING = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)
]


class Interrupted(BaseException):
    """A signal asked this process to end. Like ``KeyboardInterrupt``, no ``except Exception`` catches it."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(signum).name}")
        self.signum = signum

    @property
    def exit_status(self) -> int:
        """The exit status that shells know: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.signum


def raise_interrupted(signum: int, frame: FrameType | None = None) -> None:
    """Handle a signal by raising :class:`Interrupted`."""
    raise Interrupted(signum)


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn signals into :class:`Interrupted`, except those that somebody else handles or ignores."""
    before = install(raise_interrupted, [signum for signum in ENDING if is_free(signum)])
    try:
        yield
    finally:
        restore(before)


def is_free(signum: int) -> bool:
    """Return whether a signal has Python's or our handling, not that of a launcher such as submitit."""
    return signal.getsignal(signum) in (signal.SIG_DFL, signal.default_int_handler, raise_interrupted)


def install(handler: Handler | int, signals: list[int]) -> dict[int, Any]:
    """Handle signals by ``handler``, and return who did before; do nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {signum: signal.signal(signum, handler) for signum in signals}


def restore(before: dict[int, Any]) -> None:
    """Give signals back to those whom :func:`install` returned."""
    for signum, handler in before.items():
        signal.signal(signum, handler)


def leave_signals_to_parent() -> None:
    """Make a child process outlive the signals that its parent gets too, until the parent ends it.

    Ctrl-C and the end of a SLURM job reach all processes. Were the children to die first, the parent would
    fail instead of saving. After SIGTERM, which the parent also ends them by, they have ten seconds.
    """
    install(signal.SIG_IGN, [signum for signum in ENDING if signum != signal.SIGTERM])
    if hasattr(signal, "alarm"):
        install(lambda *_: signal.alarm(10), [signal.SIGTERM])


def begin_loader_process(_: int = 0) -> None:
    """Leave signals to the parent process; end if it has died before torch began to watch it."""
    leave_signals_to_parent()
    if os.getppid() != _starter():
        os._exit(1)


def end_with_parent() -> None:
    """Leave signals to the parent process, and end within a second of its death, however it died."""
    leave_signals_to_parent()
    install(signal.SIG_DFL, [signal.SIGTERM])
    threading.Thread(target=_watch, args=(_starter(),), daemon=True).start()


def _starter() -> int:
    """Return the id of the process that started this one, also if it has died since."""
    parent = multiprocessing.parent_process()
    if parent is None or parent.pid is None or multiprocessing.get_start_method() == "forkserver":
        return os.getppid()  # a server's children have another parent
    return parent.pid


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
