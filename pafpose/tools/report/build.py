"""Write report.html and report.csv about the runs below some folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pafpose.errors import PafposeError
from pafpose.tools.report import tables
from pafpose.tools.report.collect import find_runs, metric_names
from pafpose.tools.report.curves import read_curves
from pafpose.tools.report.page import page


@dataclass(frozen=True)
class ReportSettings:
    """The arguments of ``scripts/report.py``; checked when made."""

    folders: Sequence[Path]
    metric: str = "AP"  # to rank by; higher is better
    output: Path | None = None  # the html file; None: report.html in the first folder
    title: str | None = None

    def __post_init__(self) -> None:
        for folder in self.folders:
            if not Path(folder).is_dir():
                raise PafposeError(
                    f"{folder}: no such folder; give the folder of a sweep (outputs/train/multiruns/DATE)"
                )


def write_report(settings: ReportSettings) -> Path:
    """Write the page and, beside it, the CSV; return the path of the page.

    Raises ``PafposeError`` when there are no runs, or when there are metrics but not the one to rank by.
    """
    folders = [Path(folder).resolve() for folder in settings.folders]
    runs = find_runs(folders)
    known = metric_names(runs)
    if known and settings.metric not in known:
        raise PafposeError(f"metric {settings.metric}: no run has it; choose one of {' '.join(known)}")
    curves = {run.folder: read_curves(run.folder) for run in runs}
    output = settings.output or folders[0] / "report.html"
    title = settings.title or " + ".join(heading(folder) for folder in folders)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(page(runs, curves, title=title, metric=settings.metric), encoding="utf-8")
    output.with_suffix(".csv").write_text(tables.to_csv(runs, settings.metric), encoding="utf-8")
    return output


def heading(folder: Path) -> str:
    """Return the last three names of an absolute folder."""
    return "/".join(folder.parts[1:][-3:])
