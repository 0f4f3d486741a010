"""One self-contained HTML page, and a CSV, about all runs of a sweep."""

from pafpose.tools.report.build import ReportSettings, write_report
from pafpose.tools.report.collect import Run, find_runs

__all__ = ["ReportSettings", "Run", "find_runs", "write_report"]
