"""The format version of checkpoints: written into each one, checked before anything else is read."""

from __future__ import annotations

import logging

from pafpose.errors import PafposeError

log = logging.getLogger(__name__)

FORMAT_VERSION = 1  # raise it when older checkpoints need a migration; docs/versions.md says what it promises


def check_format(version: object, source: object) -> None:
    """Raise ``PafposeError`` unless this program reads checkpoints of a format version.

    ``version`` is the value beside the config in the file ``source``. None is that of files written before
    there was a format version; they are read as version 1, which the log says.
    """
    if version is None:
        log.info("%s: has no format_version, so it is older than pafpose 0.2.0; reading it as 1", source)
    elif isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise PafposeError(
            f"{source}: its format_version={str(version)[:50]!r} is none that pafpose wrote; the file is "
            "damaged or was made by another program, so train or convert again"
        )
    elif version > FORMAT_VERSION:
        raise PafposeError(
            f"{source}: was written by a newer pafpose (format_version {version}; this one reads up to "
            f"{FORMAT_VERSION}); upgrade with python -m pip install --upgrade pafpose"
        )
