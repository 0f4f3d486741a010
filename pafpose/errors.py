"""The one error that users meet: what was wrong, where, and the way out."""

from __future__ import annotations


class PafposeError(ValueError):
    """Bad input or configuration: the message names the file or key, the rule and the way out.

    A loader process hands its errors over as the text of a traceback; of one of ours the message is kept.
    """

    def __init__(self, message: object = "") -> None:
        name = f"{type(self).__module__}.{type(self).__name__}: "
        text = str(message)
        foreign = text.startswith("Caught ") and "Traceback (most recent call last)" in text
        super().__init__(text.rpartition(name)[2].rstrip() if foreign else text)
