"""COCO's numbers as a table on the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from pafpose.metrics import score_text

_TABLE = (
    ("", "all", "OKS 0.50", "OKS 0.75", "medium", "large"),
    ("precision", "AP", "AP50", "AP75", "APM", "APL"),
    ("recall", "AR", "AR50", "AR75", "ARM", "ARL"),
)
_PEOPLE = ("annotated_all", "annotated_all", "annotated_all", "annotated_medium", "annotated_large")


def print_table(metrics: Mapping[str, float], title: str) -> None:
    """Print COCO's ten numbers and how many annotated people each is about; a dash is undefined."""
    head, *rows = _TABLE
    table = Table(title=title, title_justify="left")
    for name in head:
        table.add_column(name, justify="right" if name else "left")
    for label, *keys in rows:
        table.add_row(label, *(score_text(metrics[key]) for key in keys))
    table.add_row("people", *(f"{metrics[key]:.0f}" for key in _PEOPLE))
    Console().print(table)
