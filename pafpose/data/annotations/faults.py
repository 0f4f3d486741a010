"""What reading an annotation file comes across: values that cannot be used, and what is worth a warning."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pafpose.errors import PafposeError, shown

MAX_PX = 1e6  # the largest coordinate, so that no sum or square of some overflows


class Fault(NamedTuple):
    """A value that cannot be used; ``kind`` is one of those of the audit."""

    kind: str
    text: str
    image_id: int
    annotation_id: Any


class Note(NamedTuple):
    """Something about a whole file that is worth a warning; ``kind`` is one of those of the audit."""

    kind: str
    text: str


class Faults:
    """Decides what becomes of values that cannot be used, and remembers them.

    With ``on_error="raise"`` the first one raises. With "skip" they count as not given.
    """

    def __init__(self, source: Path, on_error: str = "raise") -> None:
        self.source, self.on_error = source, on_error
        self.found: list[Fault] = []

    def report(self, kind: str, person: Mapping[str, Any], what: str) -> None:
        """Raise ``PafposeError`` for a value of an annotation, or remember it."""
        rule = f"; coordinates must be finite and below {MAX_PX:g}" if kind == "not_finite" else ""
        where = f"annotation {shown(person.get('id'))} of image {person['image_id']}"
        if self.on_error == "raise":
            raise PafposeError(
                f"{self.source}: {where}: {what}{rule}. scripts/check_data.py lists all such values; "
                "data.on_error=skip treats them as not given"
            )
        self.found.append(Fault(kind, what, person["image_id"], person.get("id")))

    def notes(self) -> list[Note]:
        """Return one line for each kind of value: the first that cannot be used, and their number."""
        groups: dict[tuple[str, str], list[Fault]] = {}
        for fault in self.found:
            groups.setdefault((fault.kind, fault.text.split()[0]), []).append(fault)
        notes = []
        for (kind, _), same in groups.items():
            where = f"annotation {shown(same[0].annotation_id)} of image {same[0].image_id}"
            rest = f"{len(same)} such values count as not given (data.on_error=skip)"
            notes.append(Note(kind, f"{where}: {same[0].text}; {rest}"))
        return notes
