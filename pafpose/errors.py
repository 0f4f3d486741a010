"""The error for mistakes that a user can correct."""

from __future__ import annotations


class PafposeError(ValueError):
    """Bad input or configuration. The message names the file or key, the rule, and the way out.

    A loader process passes its error on as the text of a traceback; only our message is kept of it.
    """

    def __init__(self, message: object = "") -> None:
        name = f"{type(self).__module__}.{type(self).__name__}: "
        text = str(message)
        foreign = text.startswith("Caught ") and "Traceback (most recent call last)" in text
        super().__init__(text.rpartition(name)[2].rstrip() if foreign else text)
