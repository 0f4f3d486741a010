"""Report about all runs of a sweep: one self-contained HTML page and a CSV."""

from pafpose.tools.report.build import ReportSettings, write_report
from pafpose.tools.report.collect import Run, find_runs

__all__ = ["ReportSettings", "Run", "find_runs", "write_report"]
