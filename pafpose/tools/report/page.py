"""The HTML page: sections that have something to say, style and script inside, nothing from outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from html import escape
from pathlib import Path

import numpy as np

from pafpose.tools.report import charts, tables
from pafpose.tools.report.collect import DONE, FAILED, UNFINISHED, Run
from pafpose.tools.report.curves import Curve, choose_tags
from pafpose.tools.report.pictures import data_uri, newest_pictures
from pafpose.tools.report.statistics import Effect, effects, has_score, interactions, ranked

MOST_EFFECTS = 12
FEW = 12  # runs that a table of cells shows in full; of more, the best and the worst six


def page(runs: Sequence[Run], curves: Mapping[Path, Mapping[str, Curve]], *, title: str, metric: str) -> str:
    """The whole page. ``curves``: by run folder and tag."""
    makers: dict[str, Callable[[], str]] = {
        "Ranking": lambda: ranking_section(runs, metric),
        "Effect of each choice": lambda: effect_section(effects(runs, metric), metric),
        "Two choices together": lambda: interaction_section(runs, metric),
        "Learning curves": lambda: curve_section(ranked(runs, metric), curves, metric=metric),
        "Where AP comes from": lambda: breakdown_section(runs, metric),
        "Pictures": lambda: picture_section(runs, metric),
        "Failed and unfinished": lambda: trouble_section(runs),
        "Commands": lambda: command_section(ranked(runs, metric)),
    }
    sections = {name: content for name, make in makers.items() if (content := make())}
    links = "".join(f'<a href="#{_id(name)}">{name}</a>' for name in sections)
    body = "".join(
        f'<section id="{_id(name)}"><h2>{name}</h2>{content}</section>' for name, content in sections.items()
    )
    here = Path(__file__)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{here.with_name('page.css').read_text()}</style></head><body>"
        f"<header><h1>{escape(title)}</h1>{cards(runs, metric)}</header><nav><div>{links}</div></nav>"
        f"<main>{body}<footer>pafpose, {datetime.now():%Y-%m-%d %H:%M}</footer></main>"
        f"<script>{here.with_name('page.js').read_text()}</script></body></html>"
    )


def cards(runs: Sequence[Run], metric: str) -> str:
    """The first glance: how many runs, how good."""
    scores = [run.metrics[metric] for run in runs if has_score(run, metric)]
    content = [("runs finished", f"{sum(run.state == DONE for run in runs)} of {len(runs)}", "")]
    for state in (FAILED, UNFINISHED):
        if count := sum(run.state == state for run in runs):
            content.append((state, str(count), ""))
    if scores:
        best = ranked(runs, metric)[0]
        content.append((f"best {metric}", charts.number(max(scores)), ""))
        content.append((f"median {metric}", charts.number(float(np.median(scores))), ""))
        if best.choices:
            content.append(("best run", best.label, "words"))
    return (
        '<div class="cards">'
        + "".join(
            f'<div class="card"><span class="soft">{escape(name)}</span>'
            f'<b class="{kind}">{escape(value)}</b></div>'
            for name, value, kind in content
        )
        + "</div>"
    )


def ranking_section(runs: Sequence[Run], metric: str) -> str:
    """The table, with a filter when there are many runs."""
    search = (
        '<div class="bar"><input id="filter" size="36" placeholder="filter, for example width=8 caps=bbox">'
        '<span id="shown" class="soft"></span></div>'
    )
    return (
        f"<p class=soft>Best {escape(metric)} first. Click a heading to sort.</p>"
        + (search if len(runs) > FEW else "")
        + tables.ranking(runs, metric)
    )


def effect_section(found: Sequence[Effect], metric: str) -> str:
    """A chart for each choice, all on the same scale."""
    if not found:
        return ""
    domain = charts.padded([score for effect in found for level in effect.levels for score in level.scores])
    text = (
        f"<p class=soft>Each dot is a run. The line is the mean of {escape(metric)} over all other choices, "
        "the band one standard deviation. Choices that explain most of the variance come first; in sweeps "
        "that are not full grids the other choices differ between the rows, so take small differences with "
        "care.</p>"
    )
    parts = [
        f"<h3>{escape(effect.key)} <span class=soft>{_strength(effect)}</span></h3>"
        f"{charts.effect_chart(effect, domain)}"
        for effect in found[:MOST_EFFECTS]
    ]
    return text + "".join(parts)


def interaction_section(runs: Sequence[Run], metric: str) -> str:
    """A heat map for each pair of choices, one shown at a time."""
    pairs = interactions(runs, metric)
    if not pairs:
        return ""
    options = "".join(
        f'<option value="{n}">{escape(p.row_key)} × {escape(p.column_key)} '
        f"({100 * p.strength:.0f} %)</option>"
        for n, p in enumerate(pairs)
    )
    maps = "".join(
        f'<div data-pair="{n}"{" hidden" if n else ""}>{charts.interaction_chart(pair)}</div>'
        for n, pair in enumerate(pairs)
    )
    return (
        f"<p class=soft>Mean {escape(metric)} over the remaining choices. In brackets how much of the "
        "differences between the cells is <i>not</i> the sum of two separate effects: 0 % means that either "
        "can be chosen without looking at the other.</p>"
        f'<div class="bar"><select id="pair">{options}</select></div>{maps}'
    )


def curve_section(runs: Sequence[Run], curves: Mapping[Path, Mapping[str, Curve]], *, metric: str) -> str:
    """A chart for each of the main tags; the best runs in colour."""
    tags = choose_tags(curves.values())
    if not tags:
        return ""
    drawn = [run for run in runs if curves.get(run.folder)]
    named = [
        f'<span><i style="background:{tint}"></i>{escape(run.label)}'
        + (f" ({charts.number(run.metrics[metric])})" if has_score(run, metric) else f" ({run.state})")
        + "</span>"
        for tint, run in zip(charts.COLOURS, drawn, strict=False)
    ]
    rest = '<span class="soft">grey: the other runs</span>' if len(drawn) > len(named) else ""
    figures = []
    for tag in tags:
        lines = [(run.label, curves[run.folder][tag]) for run in drawn if tag in curves[run.folder]]
        figures.append(charts.curve_chart(lines, f"{tag} over optimiser steps"))
    return f'<div class="legend">{"".join(named)}{rest}</div><div class="charts">{"".join(figures)}</div>'


def breakdown_section(runs: Sequence[Run], metric: str) -> str:
    """AP by kind of person and by keypoint, where metrics.json has them."""
    good = [run for run in ranked(runs, metric) if has_score(run, metric)]
    if not good:
        return ""
    shown = good if len(good) <= FEW else [*good[: FEW // 2], *good[-FEW // 2 :]]
    gap = FEW // 2 if len(good) > FEW else None
    note = f"<p class=soft>The best {gap} runs above the line, the worst {gap} below it.</p>" if gap else ""
    parts = []
    for title, names, upright in (
        ("By size of person and kind of photo", tables.kind_metrics(good), False),
        ("By keypoint", tables.keypoint_metrics(good), True),
        ("With only so much going wrong, left to right", tables.bound_metrics(good), False),
    ):
        if names:
            parts.append(f"<h3>{title}</h3>{tables.cell_table(shown, names, upright=upright, gap=gap)}")
    return note + "".join(parts) if parts else ""


def picture_section(runs: Sequence[Run], metric: str) -> str:
    """The same photos by the best and by the worst run that left pictures."""
    pictured = [run for run in ranked(runs, metric) if has_score(run, metric) and newest_pictures(run.folder)]
    if not pictured:
        return ""
    chosen = {"best": pictured[0]} | ({"worst": pictured[-1]} if len(pictured) > 1 else {})
    heads = "".join(
        f"<h3>{name}: {escape(run.label)} <span class=soft>{charts.number(run.metrics[metric])}</span></h3>"
        for name, run in chosen.items()
    )
    files = [newest_pictures(run.folder) for run in chosen.values()]
    names = list(dict.fromkeys(name for one in files for name in one))
    figures = "".join(_figure(one.get(name)) for name in names for one in files)
    return f'<div class="pair">{heads}{figures}</div>'


def trouble_section(runs: Sequence[Run]) -> str:
    """Runs without a result."""
    if all(run.state == DONE for run in runs):
        return ""
    text = (
        "<p class=soft>Not part of any mean above. The command of the sweep with hydra.sweep.dir set to its "
        "folder runs these again and leaves finished ones alone. A run that is still going counts as "
        "unfinished.</p>"
    )
    return text + tables.troubles(runs)


def command_section(runs: Sequence[Run]) -> str:
    """One line each, in the order of the ranking."""
    lines = "\n".join(escape(run.command) for run in runs)
    return f"<p class=soft>In the order of the ranking; every line runs alone.</p><pre>{lines}</pre>"


def _strength(effect: Effect) -> str:
    gain = f"best − worst mean {charts.number(effect.gain)}"
    if all(len(level.scores) == 1 for level in effect.levels):
        return f"{gain}, one run each: no spread known"
    return f"explains {100 * effect.share:.0f} % of the variance, {gain}"


def _figure(path: Path | None) -> str:
    uri = data_uri(path) if path else None
    if path is None or uri is None:
        return "<figure></figure>"
    name = escape(path.name, quote=True)
    return f'<figure><img src="{uri}" alt="{name}"><figcaption>{name}</figcaption></figure>'


def _id(name: str) -> str:
    return name.lower().replace(" ", "-")
