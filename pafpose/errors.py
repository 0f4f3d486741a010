"""The one error that users meet: what was wrong, where, and the way out."""

from __future__ import annotations


class PafposeError(ValueError):
    """Bad input or configuration: the message names the file or key, the rule and the way out."""
