"""Tables of a report: the ranking, runs without a result, AP by keypoint and kind of person; the CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from html import escape

from pafpose.tools.report.charts import colour, ink, number
from pafpose.tools.report.collect import DONE, Run, metric_names, readable
from pafpose.tools.report.statistics import has_score, ranked

USUAL = ("AP", "AP50", "AP75", "APM", "APL", "AR")
MOST_COLUMNS = 12  # choices and metrics together, what fits beside state and command on a common screen


def table_metrics(runs: Sequence[Run], metric: str) -> list[str]:
    """The columns of the ranking: the metric, the usual ones, then others that differ between runs.

    The more choices there are, the fewer metrics, but three; the CSV has all.
    """
    known = metric_names(runs)
    others = [name for name in known if not name.startswith(("AP", "AR", "seconds"))]
    extra = [name for name in others if len({run.metrics[name] for run in runs if name in run.metrics}) > 1]
    chosen = [metric, *(n for n in USUAL if n in known), *extra]
    room = max(3, MOST_COLUMNS - len(runs[0].choices))
    return [name for name in dict.fromkeys(chosen) if name in known][:room]


def ranking(runs: Sequence[Run], metric: str) -> str:
    """All runs, best first, sortable; those without a result at the end."""
    ordered = ranked(runs, metric)
    metrics, keys = table_metrics(runs, metric), list(runs[0].choices)
    scores = [run.metrics[metric] for run in ordered if has_score(run, metric)]
    low, high = (min(scores), max(scores)) if scores else (0.0, 1.0)
    head = '<th class="n" data-first="up" data-order="up">#</th><th>run</th>'
    choices = "".join(f"<th>{_breakable(key)}</th>" for key in keys)
    numbers = [f'<th class="n">{_breakable(name)}</th>' for name in metrics]
    head += "".join([*numbers[:1], choices, *numbers[1:]])
    head += "<th>state</th><th>command</th>"
    rows = "".join(
        _row(run, n, metrics=metrics, low=low, high=high) for n, run in enumerate(ordered, start=1)
    )
    return _table(head, rows, kind="sortable")


def _breakable(name: str) -> str:
    """A heading that may go on in the next line after a dot or an underscore."""
    return escape(name).replace("_", "_<wbr>").replace(".", ".<wbr>")


def _table(head: str, rows: str, *, kind: str) -> str:
    return (
        f'<div class="scroll"><table class="{kind}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _row(run: Run, place: int, *, metrics: Sequence[str], low: float, high: float) -> str:
    cells = [f'<td class="n" data-v="{place}">{place if run.state == DONE else "–"}</td>']
    cells.append(f'<td title="{escape(str(run.folder), quote=True)}">{escape(run.name)}</td>')
    numbers = [_number_cell(run, name, low, high, bar=not n) for n, name in enumerate(metrics)]
    choices = [
        f'<td title="{escape(value, quote=True)}">{escape(readable(value))}</td>'
        for value in run.choices.values()
    ]
    cells += [*numbers[:1], *choices, *numbers[1:]]
    command = escape(run.command, quote=True)
    cells.append(f'<td><span class="state" title="{escape(run.error, quote=True)}">{run.state}</span></td>')
    cells.append(f'<td><button data-copy="{command}" title="{command}">copy</button></td>')
    text = " ".join([run.name, run.state, *(f"{k}={v}" for k, v in run.choices.items())])
    return f'<tr class="{run.state}" data-text="{escape(text, quote=True)}">{"".join(cells)}</tr>'


def _number_cell(run: Run, name: str, low: float, high: float, *, bar: bool) -> str:
    """One metric of a run; with ``bar`` drawn as its share of the way from ``low`` to ``high``, too."""
    value = run.metrics.get(name)
    if value is None:
        return '<td class="n" data-v=""></td>'
    style = ""
    if bar and run.state == DONE:
        share = 100 * (0.1 + 0.9 * (value - low) / (high - low)) if high > low else 100
        style = f' style="--share:{share:.0f}%"'
    return f'<td class="n{" score" if bar else ""}"{style} data-v="{value!r}">{number(value)}</td>'


def troubles(runs: Sequence[Run]) -> str:
    """Failed and unfinished runs with the reason."""
    rows = "".join(
        f'<tr class="{run.state}"><td>{escape(run.name)}</td><td><span class="state">{run.state}</span></td>'
        f'<td>{escape(run.label if run.choices else "")}</td><td class="wrap">{escape(run.error)}</td></tr>'
        for run in runs
        if run.state != DONE
    )
    return _table("<th>run</th><th>state</th><th>choices</th><th>reason</th>", rows, kind="plain")


def keypoint_metrics(runs: Sequence[Run]) -> list[str]:
    """Metrics ``AP_<keypoint>``, in the skeleton's order."""
    names = [str(k) for run in runs[:1] for k in (run.config.get("skeleton") or {}).get("keypoints", [])]
    known = set(metric_names(runs))
    return [f"AP_{name}" for name in names if f"AP_{name}" in known]


def bound_metrics(runs: Sequence[Run]) -> list[str]:
    """Metrics ``AP_<bound>`` of an oracle: what AP would be if nothing else went wrong."""
    known = metric_names(runs)
    bounds = [name for name in known if name.startswith("AP_") and f"loss_{name[3:]}" in known]
    return [*bounds, "AP"] if bounds and "AP" in known else bounds


def kind_metrics(runs: Sequence[Run]) -> list[str]:
    """Metrics by size of person, and the others ``AP_<kind>`` that are no keypoint, crowding for one."""
    others = {*keypoint_metrics(runs), *bound_metrics(runs)}
    known = metric_names(runs)
    sizes = [name for name in ("APM", "APL") if name in known]
    return sizes + [name for name in known if name.startswith("AP_") and name not in others]


def cell_table(runs: Sequence[Run], names: Sequence[str], *, upright: bool, gap: int | None = None) -> str:
    """Runs by metrics, coloured over the whole table from its lowest to its highest value.

    A line is drawn above run number ``gap``.
    """
    values = [run.metrics[name] for run in runs for name in names if name in run.metrics]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    kind = ' class="up"' if upright else ""
    head = "<th>run</th>" + "".join(
        f"<th{kind}><span>{escape(name.removeprefix('AP_').replace('_', ' '))}</span></th>" for name in names
    )
    body = []
    for n, run in enumerate(runs):
        cells = [f'<td class="label">{escape(run.label)}</td>']
        for name in names:
            value = run.metrics.get(name)
            share = 0.0 if value is None or high <= low else (value - low) / (high - low)
            style = "" if value is None else f' style="background:{colour(share)};color:{ink(share)}"'
            cells.append(f'<td class="cell"{style}>{"–" if value is None else f"{value:.2f}"}</td>')
        body.append(f"<tr{' class=gap' if n == gap else ''}>{''.join(cells)}</tr>")
    return _table(head, "".join(body), kind="cells")


def to_csv(runs: Sequence[Run], metric: str) -> str:
    """Every run with its choices, all its metrics and its command."""
    keys, metrics = list(runs[0].choices), metric_names(runs)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["rank", "run", "state", *keys, *metrics, "error", "command"])
    for n, run in enumerate(ranked(runs, metric), start=1):
        rank = n if has_score(run, metric) else ""
        values = [run.metrics.get(name, "") for name in metrics]
        writer.writerow([rank, run.name, run.state, *run.choices.values(), *values, run.error, run.command])
    return out.getvalue()
