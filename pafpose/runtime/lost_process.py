"""Tell in one sentence that another process of a run has died."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from pafpose.errors import PafposeError

# what torch, gloo and NCCL write; they raise RuntimeError for anything
_WORKER = re.compile(r"DataLoader worker \(pid\(?s?\)? ?[\d, ]+\)")
_RANK = re.compile(r"gloo|nccl|connection (closed|reset) by peer", re.IGNORECASE)


@contextmanager
def explain_lost_process(folder: object) -> Iterator[None]:
    """Raise ``PafposeError`` in place of the error that the death of another process causes in this one."""
    try:
        yield
    except Exception as error:
        lost = None if isinstance(error, PafposeError) else lost_process(error)
        if lost is None:
            raise
        raise PafposeError(
            f"{lost} ({str(error).splitlines()[0][:200]}). Where nobody ended it, memory is the usual cause: "
            f"try less with data.num_workers or data.batch_size. A training goes on with ckpt_path={folder}"
        ) from error


def lost_process(error: Exception) -> str | None:
    """Return which kind of process has died according to an error; None for all other errors."""
    if isinstance(error, BrokenProcessPool):
        return "a process that drew pictures has died"
    if isinstance(error, ConnectionResetError):  # while a batch was handed over
        return "a process that loaded photos has died"
    if not isinstance(error, RuntimeError):
        return None
    from torch.distributed import DistError  # torch is slow to import, and --help is to be quick

    if _WORKER.search(str(error)):
        return "a process that loaded photos has died"
    if isinstance(error, DistError) or _RANK.search(str(error)):
        return "another process of this training has died"
    return None
