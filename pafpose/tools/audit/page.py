"""The audit as one HTML page: what goes into the sections of ``templates/audit.html``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pafpose.tools.audit.findings import KINDS, Finding
from pafpose.tools.audit.pictures import draw_finding
from pafpose.tools.audit.run import Audit, statistics
from pafpose.tools.html import Card, jpeg_uri, render


def page(audit: Audit, *, pictures: int, listed: int) -> str:
    """Return the whole page, with at most ``pictures`` and ``listed`` findings of each kind."""
    kinds = sorted(audit.counts, key=lambda kind: kind not in audit.fatal)
    figures = {name: statistics(split) for name, split in audit.splits.items()}
    shares = {name: values.pop("labelled_share") for name, values in figures.items()}
    return render(
        "audit.html",
        title=f"Audit of {audit.name}",
        cards=_cards(audit, figures),
        audit=audit,
        kinds=KINDS,
        sections={kind: _section(audit, kind, pictures=pictures, listed=listed) for kind in kinds},
        figures=figures,
        shares=shares,
        readable=_readable,
    )


def _cards(audit: Audit, figures: dict[str, dict[str, Any]]) -> list[Card]:
    verdict = Card("status", audit.verdict, "words bad" if audit.problems else "words good")
    found = [verdict, Card("skeleton", audit.skeleton.name, "words")]
    for name, values in figures.items():
        found.append(Card(f"{name}: photos", str(values["photos"])))
        found.append(Card(f"{name}: people with keypoints", str(values["people_with_keypoints"])))
    return found


def _section(audit: Audit, kind: str, *, pictures: int, listed: int) -> dict[str, Any]:
    """Return the worst findings of a kind as pictures, and the list of all, as far as it is shown."""
    found = audit.of(kind)
    shown: list[dict[str, Any]] = []
    for finding in found[: 3 * pictures]:  # some show nothing
        drawn = draw_finding(audit, finding) if len(shown) < pictures else []
        if drawn:
            shown.append({"caption": _caption(finding), "images": [jpeg_uri(image) for image in drawn]})
    return {"pictures": shown, "findings": found[:listed], "count": len(found)}


def _caption(finding: Finding) -> str:
    number = "" if finding.annotation_id is None else f" (annotation {finding.annotation_id})"
    return f"{finding.file}: {finding.text}{number}"


def _readable(value: float | Sequence[float]) -> str:
    if isinstance(value, Sequence):
        return " / ".join(f"{v:g}" for v in value) or "–"
    return f"{value:g}"
