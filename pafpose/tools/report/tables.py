"""Tables of a report: the ranking, AP by kind of photo and by keypoint, and the CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pafpose.tools.report.charts import heat_colour, share_in, text_colour
from pafpose.tools.report.collect import DONE, Run, metric_names
from pafpose.tools.report.statistics import has_score, ranked

USUAL = ("AP", "AP50", "AP75", "APM", "APL", "AR")
MAX_COLUMNS = 12  # choices and metrics together: what fits beside state and command on a common screen
FEW = 12  # runs that a heat table shows in full; of more, the best six and the worst six


@dataclass(frozen=True)
class RankedRun:
    """A row of the ranking."""

    run: Run
    rank: int | None  # None without a result
    bar: float  # length of the bar behind the metric, 0 to 1

    @property
    def search_text(self) -> str:
        """What the page's filter looks at."""
        choices = (f"{key}={value}" for key, value in self.run.choices.items())
        return " ".join([self.run.name, self.run.state, *choices])


@dataclass(frozen=True)
class HeatCell:
    """A value with its colours; a dash without colours when the run has no such metric."""

    text: str = "–"
    background: str = ""
    colour: str = ""


@dataclass(frozen=True)
class HeatTable:
    """Runs by metrics, coloured from the lowest value of the table to the highest."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[HeatCell, ...]], ...]  # label of the run, and its cells
    upright: bool = False  # whether the heads stand upright
    gap: int | None = None  # the row above which a line separates the best runs from the worst


def ranking_metrics(runs: Sequence[Run], metric: str) -> list[str]:
    """Return the metrics of the ranking: the one to rank by, the usual ones, others that differ.

    The more choices there are, the fewer metrics there is room for, but at least three; the CSV has all.
    """
    known = metric_names(runs)
    others = [name for name in known if not name.startswith(("AP", "AR", "seconds"))]
    varied = [name for name in others if len({run.metrics[name] for run in runs if name in run.metrics}) > 1]
    room = max(3, MAX_COLUMNS - len(runs[0].choices))
    return [name for name in dict.fromkeys((metric, *USUAL, *varied)) if name in known][:room]


def ranking(runs: Sequence[Run], metric: str) -> list[RankedRun]:
    """Return all runs, best first; those without a result at the end."""
    ordered = ranked(runs, metric)
    scores = [run.metrics[metric] for run in ordered if has_score(run, metric)] or [0.0]
    limits = (min(scores), max(scores))
    rows = []
    for n, run in enumerate(ordered, start=1):
        bar = 0.1 + 0.9 * share_in(run.metrics[metric], limits) if has_score(run, metric) else 0.0
        rows.append(RankedRun(run, n if run.state == DONE else None, bar))
    return rows


def heat_tables(runs: Sequence[Run], metric: str) -> list[HeatTable]:
    """Return the tables of AP by kind of photo, by keypoint and by what bounds it, where there are such."""
    good = [run for run in ranked(runs, metric) if has_score(run, metric)]
    if not good:
        return []
    many = len(good) > FEW
    shown = [*good[: FEW // 2], *good[-FEW // 2 :]] if many else good
    gap = FEW // 2 if many else None
    groups = (
        ("By size of person and kind of photo", kind_metrics(good), False),
        ("By keypoint", keypoint_metrics(good), True),
        ("With one more source of error in each column", bound_metrics(good), False),
    )
    return [
        _heat_table(title, shown, names, upright=upright, gap=gap)
        for title, names, upright in groups
        if names
    ]


def keypoint_metrics(runs: Sequence[Run]) -> list[str]:
    """Return the metrics ``AP_<keypoint>``, in the skeleton's order."""
    names = [str(k) for run in runs[:1] for k in (run.config.get("skeleton") or {}).get("keypoints", [])]
    known = set(metric_names(runs))
    return [f"AP_{name}" for name in names if f"AP_{name}" in known]


def bound_metrics(runs: Sequence[Run]) -> list[str]:
    """Return the metrics ``AP_<bound>`` of an oracle: the AP if nothing else went wrong."""
    known = metric_names(runs)
    bounds = [name for name in known if name.startswith("AP_") and f"loss_{name[3:]}" in known]
    return [*bounds, "AP"] if bounds and "AP" in known else bounds


def kind_metrics(runs: Sequence[Run]) -> list[str]:
    """Return the metrics by size of person, and other ``AP_<kind>``, such as those by crowding."""
    others = {*keypoint_metrics(runs), *bound_metrics(runs)}
    known = metric_names(runs)
    sizes = [name for name in ("APM", "APL") if name in known]
    return sizes + [name for name in known if name.startswith("AP_") and name not in others]


def to_csv(runs: Sequence[Run], metric: str) -> str:
    """Return every run with its choices, all its metrics and its command as CSV."""
    keys, metrics = list(runs[0].choices), metric_names(runs)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["rank", "run", "state", *keys, *metrics, "error", "command"])
    for n, run in enumerate(ranked(runs, metric), start=1):
        rank = n if has_score(run, metric) else ""
        values = [run.metrics.get(name, "") for name in metrics]
        writer.writerow([rank, run.name, run.state, *run.choices.values(), *values, run.error, run.command])
    return out.getvalue()


def _heat_table(
    title: str, runs: Sequence[Run], names: Sequence[str], *, upright: bool, gap: int | None
) -> HeatTable:
    values = [run.metrics[name] for run in runs for name in names if name in run.metrics] or [0.0]
    limits = (min(values), max(values))

    def cells(run: Run) -> Iterator[HeatCell]:
        for name in names:
            if name in run.metrics:
                share = share_in(run.metrics[name], limits)
                yield HeatCell(f"{run.metrics[name]:.2f}", heat_colour(share), text_colour(share))
            else:
                yield HeatCell()

    heads = tuple(name.removeprefix("AP_").replace("_", " ") for name in names)
    return HeatTable(title, heads, tuple((run.label, tuple(cells(run))) for run in runs), upright, gap)
