"""Report on a sweep in one HTML page: ``python scripts/report.py outputs/train/multiruns/DATE``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pafpose.errors import PafposeError


def main() -> None:
    """Write report.html and report.csv, and print where they are."""
    parser = argparse.ArgumentParser(
        description="Write one self-contained HTML page, and a CSV, about the runs of a sweep."
    )
    parser.add_argument(
        "folders", nargs="+", type=Path, help="folders that -m wrote; several make one report"
    )
    parser.add_argument("--metric", default="AP", help="what to rank by, higher is better (default: AP)")
    parser.add_argument(
        "--output", type=Path, help="the html file (default: report.html in the first folder)"
    )
    parser.add_argument("--title", help="heading of the page (default: the folder's name)")
    arguments = parser.parse_args()
    from pafpose.tools.report import ReportSettings, write_report

    try:
        path = write_report(ReportSettings(**vars(arguments)))
    except PafposeError as error:
        sys.exit(str(error))
    print(f"report  {path}\ntable   {path.with_suffix('.csv')}")
