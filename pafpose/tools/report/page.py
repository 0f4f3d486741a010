"""The report as one HTML page: what goes into the sections of ``templates/report.html``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from pafpose.tools.html import Card, render
from pafpose.tools.report import charts
from pafpose.tools.report.collect import DONE, FAILED, UNFINISHED, Run, readable
from pafpose.tools.report.curves import Curve, choose_tags
from pafpose.tools.report.pictures import newest_pictures, picture_uri
from pafpose.tools.report.statistics import Effect, effects, has_score, interactions, ranked
from pafpose.tools.report.tables import FEW, heat_tables, ranking, ranking_metrics

MAX_EFFECTS = 12


def page(runs: Sequence[Run], curves: Mapping[Path, Mapping[str, Curve]], *, title: str, metric: str) -> str:
    """Return the whole page; ``curves`` are given by run folder and tag."""
    ordered = ranked(runs, metric)
    return render(
        "report.html",
        title=title,
        cards=cards(runs, metric),
        metric=metric,
        keys=list(runs[0].choices),
        metrics=ranking_metrics(runs, metric),
        ranking=ranking(runs, metric),
        searchable=len(runs) > FEW,
        effects=effect_charts(effects(runs, metric)),
        interactions=[(pair, charts.interaction_chart(pair)) for pair in interactions(runs, metric)],
        curves=curve_charts(ordered, curves),
        legend=legend(ordered, curves, metric=metric),
        heat_tables=heat_tables(runs, metric),
        pictures=pictures(runs, metric),
        without_result=[run for run in runs if run.state != DONE],
        commands=[run.command for run in ordered],
        number=charts.number,
        readable=readable,
        breakable=breakable,
    )


def cards(runs: Sequence[Run], metric: str) -> list[Card]:
    """Return the numbers at the head: how many runs, how good."""
    scores = [run.metrics[metric] for run in runs if has_score(run, metric)]
    found = [Card("runs finished", f"{sum(run.state == DONE for run in runs)} of {len(runs)}")]
    for state in (FAILED, UNFINISHED):
        if count := sum(run.state == state for run in runs):
            found.append(Card(state, str(count)))
    if scores:
        best = ranked(runs, metric)[0]
        found.append(Card(f"best {metric}", charts.number(max(scores))))
        found.append(Card(f"median {metric}", charts.number(float(np.median(scores)))))
        if best.choices:
            found.append(Card("best run", best.label, "words"))
    return found


def effect_charts(found: Sequence[Effect]) -> list[dict[str, Any]]:
    """Return a chart for each of the strongest choices, all on the same scale."""
    if not found:
        return []
    limits = charts.padded([score for effect in found for level in effect.levels for score in level.scores])
    return [
        {"key": effect.key, "strength": _strength(effect), "chart": charts.effect_chart(effect, limits)}
        for effect in found[:MAX_EFFECTS]
    ]


def curve_charts(runs: Sequence[Run], curves: Mapping[Path, Mapping[str, Curve]]) -> list[Markup]:
    """Return a chart for each of the main tags; the best of the runs, which come first, in colour."""
    found = []
    for tag in choose_tags(curves.values()):
        own = ((run.label, curves.get(run.folder, {}).get(tag)) for run in runs)
        lines = [(label, curve) for label, curve in own if curve is not None]
        found.append(charts.curve_chart(lines, f"{tag} over optimiser steps"))
    return found


def legend(runs: Sequence[Run], curves: Mapping[Path, Mapping[str, Curve]], *, metric: str) -> dict[str, Any]:
    """Return colour, label and score of the runs whose curves are coloured, and whether there are others."""
    drawn = [run for run in runs if curves.get(run.folder)]
    entries = []
    for colour, run in zip(charts.COLOURS, drawn, strict=False):
        score = charts.number(run.metrics[metric]) if has_score(run, metric) else run.state
        entries.append({"colour": colour, "label": run.label, "score": score})
    return {"entries": entries, "others": len(drawn) > len(entries)}


def pictures(runs: Sequence[Run], metric: str) -> dict[str, Any] | None:
    """Return the same photos by the best and by the worst run that left pictures; None without any."""
    drawn = [run for run in ranked(runs, metric) if has_score(run, metric) and newest_pictures(run.folder)]
    if not drawn:
        return None
    chosen = {"best": drawn[0]} | ({"worst": drawn[-1]} if len(drawn) > 1 else {})
    files = [newest_pictures(run.folder) for run in chosen.values()]
    names = dict.fromkeys(name for one in files for name in one)
    shown = [one.get(name) for name in names for one in files]
    return {
        "runs": [(name, run.label, run.metrics[metric]) for name, run in chosen.items()],
        "figures": [(path.name, picture_uri(path)) if path else ("", None) for path in shown],
    }


def breakable(name: str) -> Markup:
    """Return a heading that may wrap after a dot or an underscore."""
    return Markup(str(escape(name)).replace("_", "_<wbr>").replace(".", ".<wbr>"))


def _strength(effect: Effect) -> str:
    gain = f"best − worst mean {charts.number(effect.gain)}"
    if all(len(level.scores) == 1 for level in effect.levels):
        return f"{gain}, one run each: no spread known"
    return f"explains {100 * effect.share:.0f} % of the variance, {gain}"
