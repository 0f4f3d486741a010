"""Speed, mostly as ratios: python scripts/benchmark.py targets|decode|data|overhead|networks|export."""

from __future__ import annotations

import argparse
import sys
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
        table.add_column(key, overflow="fold")
    for row in rows:
        table.add_row(*(f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()))
    Console(width=None if sys.stdout.isatty() else 120).print(table)  # whole in a file or a pipe


def main() -> None:
    """Measure one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["targets", "decode", "data", "overhead", "networks", "export"])
    parser.add_argument("--coco", type=Path, help="a COCO folder, for the row of real photos")
    parser.add_argument("--device", default="cpu", help="overhead: cpu or cuda")
    parser.add_argument(
        "overrides", nargs="*", help="overhead, data: of the training config, data.batch_size=16"
    )
    arguments = parser.parse_intermixed_args()  # options may stand between overrides
    if arguments.what == "overhead":
        from benchmarks.overhead import overhead_table

        table = overhead_table(arguments.overrides, device=arguments.device)
        show("a training step, ms: plain loop and Lightning in turns", table)
        return
    if arguments.what == "data":
        from benchmarks.data import data_table

        show("training samples, one process", data_table(arguments.overrides))
        return
    if arguments.what == "networks":
        from benchmarks.networks import networks_table

        show("networks of the recipes; CPU ms of one photo on one thread", networks_table())
        return
    if arguments.what == "export":
        from benchmarks.export import export_table

        show("one photo of 640 x 480 px on two threads", export_table())
        return
    skeleton = pafpose.build_skeleton(pafpose.load_config())
    if arguments.what == "targets":
        from benchmarks.targets import sizes_table, targets_table

        show("targets, ms per photo, one thread", targets_table(skeleton, arguments.coco))
        show("the same 10 people in larger photos, ms per photo, stride 4", sizes_table(skeleton))
    else:
        from benchmarks.decode import decode_table, growth_table

        show("decoding, ms per photo, one thread", decode_table(skeleton, arguments.coco))
        show("its steps, ms per photo, one thread", growth_table(skeleton))


if __name__ == "__main__":
    main()
