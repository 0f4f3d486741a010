"""One HTML page about a sweep: python scripts/report.py outputs/train/multiruns/DATE"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pafpose.errors import PafposeError
from pafpose.tools.report import ReportSettings, write_report


def main() -> None:
    """Write report.html and report.csv; say where."""
    parser = argparse.ArgumentParser(
        description="One self-contained HTML page, and a CSV, about the runs of a sweep."
    )
    parser.add_argument(
        "folders", nargs="+", type=Path, help="folders that -m wrote; several make one report"
    )
    parser.add_argument("--metric", default="AP", help="what to rank by, higher is better (default: AP)")
    parser.add_argument(
        "--output", type=Path, help="the html file (default: report.html in the first folder)"
    )
    parser.add_argument("--title", help="heading of the page (default: the folder's name)")
    try:
        path = write_report(ReportSettings(**vars(parser.parse_args())))
    except PafposeError as error:
        sys.exit(str(error))
    print(f"report  {path}\ntable   {path.with_suffix('.csv')}")


if __name__ == "__main__":
    main()
