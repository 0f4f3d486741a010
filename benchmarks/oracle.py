"""The tables and curves of docs/oracle.md.

``python -m benchmarks.oracle FOLDER data=coco_mini data.root=DIR oracle.split=both``

Every run is ``scripts/oracle.py`` with the same choices. Results are kept in FOLDER/results.json as they
come, so a stopped benchmark goes on where it was; FOLDER/tables.md and FOLDER/oracle_robustness.png are
made from it. ``--sweep RUNS`` adds the runs of a multirun over ``MATRIX`` as one table.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from omegaconf import OmegaConf

from pafpose.config import load_config
from pafpose.config import settings as read_settings
from pafpose.runtime.files import write_json
from pafpose.runtime.log import quiet_known_warnings
from pafpose.tools.oracle import OracleSettings
from pafpose.tools.report import find_runs
from pafpose.tools.report.collect import Run

log = logging.getLogger(__name__)

Grid = Mapping[str, Sequence[object]]

GRIDS: dict[str, Grid] = {
    "ends and topology": {
        "paf.limbs": ("openpose", "seed", "tree", "dense"),
        "paf.caps": ("bbox", "none", "round"),
    },
    "topology by fewest parts": {
        "paf.limbs": ("openpose", "seed", "dense"),
        "decode.min_keypoints": (3, 1),
        "decode.min_sum_per_keypoint": (0.0,),
    },
    "input size": {"evaluate.input_size": (368, 512, 640), "paf.caps": ("bbox", "none")},
    "width": {"paf.width": (2, 4, 5, 8, 12, 16), "paf.caps": ("bbox", "none")},
    "decoder": {"decode": ("default", "paper", "openpose", "coco"), "paf.caps": ("bbox", "none")},
    "without joining near peaks": {"decode.near": (0,), "paf.caps": ("bbox", "none", "round")},
    "profile": {"paf.profile": ("rigid", "linear", "cosine", "gaussian"), "paf.width": (4, 8, 16)},
    "sigma": {"heatmap.sigma": (4, 5, 7, 9)},
    "overlapping limbs": {"paf.merge": ("mean", "nearest", "max", "sum", "last")},
    "overlapping keypoints": {"heatmap.merge": ("max", "sum"), "decode.split_error": (0.04, 0)},
    "cells": {"head.stride": (8, 4)},
    "input size, published decoder": {"decode": ("paper",), "evaluate.input_size": (368, 512, 640)},
    "sigma, published decoder": {"decode": ("paper",), "heatmap.sigma": (4, 5, 7, 9)},
    "width, published decoder": {"decode": ("paper",), "paf.width": (5, 8, 12)},
    "overlaps, published decoder": {
        "decode": ("paper",),
        "heatmap.merge": ("max", "sum"),
        "paf.merge": ("mean", "last"),
    },
    "limbs, published decoder": {"decode": ("paper",), "paf.limbs": ("openpose", "seed", "dense")},
    "recipes": {
        "experiment": ("cao2017", "part_affinity", "openpose2019", "lightweight2018", "modern"),
    },
}
CHOICES: dict[str, tuple[str, ...]] = {
    "default": (),
    "caps none": ("paf.caps=none",),
    "width 4": ("paf.width=4",),
    "dense": ("paf.limbs=dense",),
    "overlaps not told apart": ("decode.split_error=0",),
}
MATRIX = {
    "rows": ("paf.limbs", "paf.caps", "paf.profile"),
    "columns": ("evaluate.input_size", "paf.width"),
}
PERTURBATIONS: Grid = {
    "oracle.noise": (0, 0.02, 0.05, 0.1, 0.15),
    "oracle.blur": (0, 4, 8, 12, 16),
    "oracle.drop": (0, 0.05, 0.1, 0.2, 0.3),
}
AXES = {
    "oracle.noise": "noise: std in every cell",
    "oracle.blur": "blur: std in px",
    "oracle.drop": "share of keypoints dropped",
}


class Results:
    """AP and its bounds by the overrides of a run; runs what is not known yet."""

    def __init__(self, folder: Path, common: Sequence[str]) -> None:
        self.path, self.common = folder / "results.json", list(common)
        folder.mkdir(parents=True, exist_ok=True)
        self.base = load_config(self.common, name="oracle")
        self.known: dict[str, dict[str, float]] = (
            json.loads(self.path.read_text()) if self.path.is_file() else {}
        )

    def __call__(self, *choices: str) -> dict[str, float]:
        """The metrics under some choices."""
        from pafpose.tools.oracle.oracle import compute

        choices = tuple(choice for choice in choices if not self._is_default(choice))
        key = " ".join(choices)
        if key not in self.known:
            cfg = load_config([*self.common, *choices], name="oracle")
            self.known[key] = compute(cfg, read_settings(OracleSettings, cfg.oracle, "oracle"))
            write_json(self.path, self.known)
            log.info("%.3f  %s", self.known[key]["AP"], key)
        return self.known[key]

    def _is_default(self, choice: str) -> bool:
        key, value = choice.split("=", 1)
        known = OmegaConf.select(self.base, key)
        return value == "default" or str(known) == value


def overrides(grid: Grid) -> Iterator[tuple[str, ...]]:
    """Every combination of a grid; groups first."""
    for values in itertools.product(*grid.values()):
        yield tuple(f"{key}={value}" for key, value in zip(grid, values, strict=True))


def table(name: str, grid: Grid, results: Results) -> str:
    """A grid as Markdown: one row a combination, with what bounds it."""
    head = [*grid, "AP", "APM", "APL", "lost: topology", "quantisation", "peaks", "grouping"]
    lines = [f"### {name}", "", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for choices in overrides(grid):
        metrics = results("oracle.detail=bounds", *choices)
        keys = ("AP", "APM", "APL", "loss_topology", "loss_quantisation", "loss_peaks", "loss_grouping")
        cells = [choice.split("=", 1)[1] for choice in choices] + [f"{metrics[key]:.3f}" for key in keys]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def matrix(runs: Sequence[Run]) -> str:
    """Oracle runs over the keys of ``MATRIX`` as one Markdown table of AP; the best of a row is bold."""
    rows, columns = MATRIX["rows"], MATRIX["columns"]
    table: dict[tuple[str, ...], dict[tuple[str, ...], float]] = {}
    for run in runs:
        row, column = (tuple(run.choices[key] for key in keys) for keys in (rows, columns))
        table.setdefault(row, {})[column] = run.metrics["AP"]
    wanted = list(dict.fromkeys(column for cells in table.values() for column in cells))
    head = [*rows, *(" px, ".join(column) for column in wanted)]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row, cells in table.items():
        best = max(cells.values())
        marks = {column: "**" if ap == best else "" for column, ap in cells.items()}
        shown = [f"{marks[c]}{cells[c]:.3f}{marks[c]}" if c in cells else "" for c in wanted]
        lines.append(f"| {' | '.join([*row, *shown])} |")
    return "\n".join(lines) + "\n"


def robustness(results: Results) -> dict[str, dict[str, list[float]]]:
    """AP by perturbation and choice, along the values of ``PERTURBATIONS``."""
    return {
        key: {
            label: [results("oracle.detail=total", f"{key}={value}", *choices)["AP"] for value in values]
            for label, choices in CHOICES.items()
        }
        for key, values in PERTURBATIONS.items()
    }


def draw(curves: Mapping[str, Mapping[str, Sequence[float]]], path: Path) -> None:
    """One panel a perturbation, one line a choice."""
    from matplotlib.figure import Figure

    picture = Figure(figsize=(11, 3.6), layout="constrained")
    panels = picture.subplots(1, len(curves), sharey=True, squeeze=False)[0]
    for panel, (key, lines) in zip(panels, curves.items(), strict=True):
        for label, values in lines.items():
            panel.plot(PERTURBATIONS[key], values, marker="o", markersize=3, label=label)
        panel.set_xlabel(AXES[key])
        panel.grid(alpha=0.3)
        panel.set_ylim(0, 1)
    panels[0].set_ylabel("oracle AP")
    panels[0].legend(fontsize=8)
    picture.savefig(path, dpi=100)


def curves_table(curves: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """The curves as Markdown."""
    blocks = []
    for key, lines in curves.items():
        values = [str(value) for value in PERTURBATIONS[key]]
        rows = [f"| {key} | {' | '.join(values)} |", f"|{'---|' * (len(values) + 1)}"]
        rows += [f"| {label} | {' | '.join(f'{ap:.3f}' for ap in aps)} |" for label, aps in lines.items()]
        blocks.append("\n".join(rows) + "\n")
    return "\n".join(blocks)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing, then write the tables and the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("overrides", nargs="*", help="data=coco_mini data.root=DIR oracle.split=both")
    parser.add_argument(
        "--sweep", type=Path, help="a multirun over caps, profile, width, limbs and input size"
    )
    given = parser.parse_intermixed_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    quiet_known_warnings()
    results = Results(given.folder, given.overrides)
    blocks = [table(name, grid, results) for name, grid in list(GRIDS.items())[:6]]
    curves = robustness(results)
    blocks += [table(name, grid, results) for name, grid in list(GRIDS.items())[6:]]
    if given.sweep:
        blocks.insert(0, "### all at once\n\n" + matrix(find_runs([given.sweep])))
    draw(curves, given.folder / "oracle_robustness.png")
    (given.folder / "tables.md").write_text("\n".join([*blocks, "### robustness\n", curves_table(curves)]))
    log.info("tables   %s", given.folder / "tables.md")


if __name__ == "__main__":
    main()
