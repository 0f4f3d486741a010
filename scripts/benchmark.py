"""Speed as ratios against references of the same run: python scripts/benchmark.py targets|decode."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import pafpose


def show(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows of one form as a table."""
    table = Table(title=title)
    for key in rows[0]:
        table.add_column(key)
    for row in rows:
        table.add_row(*(f"{v:.3g}" if isinstance(v, float) else str(v) for v in row.values()))
    Console().print(table)


def main() -> None:
    """Measure one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["targets", "decode"])
    parser.add_argument("--coco", type=Path, help="a COCO folder, for the row of real photos")
    arguments = parser.parse_args()
    skeleton = pafpose.build_skeleton(pafpose.load_config())
    if arguments.what == "targets":
        from pafpose.benchmarks.targets import targets_table

        show("targets, ms per photo, one thread", targets_table(skeleton, arguments.coco))
    else:
        from pafpose.benchmarks.decode import decode_table, growth_table

        show("decoding, ms per photo, one thread", decode_table(skeleton, arguments.coco))
        show("its steps, ms per photo, one thread", growth_table(skeleton))


if __name__ == "__main__":
    main()
