"""The error for mistakes that a user can correct, and values as its message shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SHOWN = 120  # characters of a value in a message


class PafposeError(ValueError):
    """Bad input or configuration. The message names the file or key, the rule, and the way out.

    A loader process passes its error on as the text of a traceback; only our message is kept of it.
    """

    def __init__(self, message: object = "") -> None:
        name = f"{type(self).__module__}.{type(self).__name__}: "
        text = str(message)
        foreign = text.startswith("Caught ") and "Traceback (most recent call last)" in text
        super().__init__(text.rpartition(name)[2].rstrip() if foreign else text)


def shown(value: Any) -> str:
    """Return a value as text for a message, however long or deeply nested it is.

    >>> shown([1, "a"]), len(shown("a" * 10**6))
    ("[1, 'a']", 120)
    """
    text = repr(value) if isinstance(value, str | int | float | None) else _shown_container(value, 3)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 4] + " ..."


def _shown_container(value: Any, depth: int) -> str:
    if isinstance(value, list | tuple) and depth:
        rows = [_shown_container(row, depth - 1) for row in value[:8]]
        return f"[{', '.join(rows)}{', ...' if len(value) > 8 else ''}]"
    if isinstance(value, Mapping) and depth:
        rows = [f"{str(k)[:20]!r}: {_shown_container(v, depth - 1)}" for k, v in list(value.items())[:4]]
        return f"{{{', '.join(rows)}{', ...' if len(value) > 4 else ''}}}"
    return repr(value)[:40] if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"
