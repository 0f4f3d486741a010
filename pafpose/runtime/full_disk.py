"""Tell a full disk as what it is, whatever the library that met it makes of it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from pafpose.errors import PafposeError

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def explain_full_disk(folder: object) -> Iterator[None]:
    """Raise ``PafposeError`` in place of an error that a full disk caused in the run folder ``folder``."""
    try:
        yield
    except Exception as error:
        cause = _full_disk_behind(error)
        if cause is None or isinstance(error, PafposeError):
            raise
        raise PafposeError(
            f"{cause.filename or folder}: cannot be written, because the disk is full or the quota is used "
            "up. What was written before is whole. Free some space; a training goes on with "
            f"ckpt_path={folder}, a prediction with hydra.run.dir={folder}"
        ) from error


def _full_disk_behind(error: BaseException | None) -> OSError | None:
    """Return the first error in a chain of causes that says so: torch and Lightning raise others on top."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return error
        error = error.__cause__ or error.__context__
    return None
