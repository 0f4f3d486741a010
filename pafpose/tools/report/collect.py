"""Read the runs of a sweep from their folders; runs that are broken or incomplete are listed as such."""

from __future__ import annotations

import dataclasses
import math
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pafpose.errors import PafposeError
from pafpose.runtime.files import read_json
from pafpose.runtime.run_status import read_status

DONE, FAILED, UNFINISHED = "done", "failed", "unfinished"
LONG_NUMBER = re.compile(r"-?\d+\.\d{5,}(e-?\d+)?")


@dataclass(frozen=True)
class Run:
    """One run: its choices and its results."""

    folder: Path
    name: str  # its folder relative to the sweep's
    state: str  # done | failed | unfinished
    error: str = ""  # why it failed, one line
    script: str = "train"
    overrides: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(
        default_factory=dict
    )  # resolved; empty when the run stopped before writing it
    metrics: Mapping[str, float] = field(default_factory=dict)
    choices: Mapping[str, str] = field(
        default_factory=dict
    )  # the keys that differ between runs, and their values

    @property
    def command(self) -> str:
        """Return the shell command that repeats the run."""
        return shlex.join(["python", f"scripts/{self.script}.py", *self.overrides])

    @property
    def label(self) -> str:
        """Return the choices in short, or the name when there are none."""
        shown = (f"{key.split('.')[-1]}={readable(value)}" for key, value in self.choices.items())
        return " ".join(shown) or self.name


def readable(value: str) -> str:
    """Shorten a number with many digits, such as a search produces, to four; return other text as it is."""
    return f"{float(value):.4g}" if LONG_NUMBER.fullmatch(value) else value


def find_runs(folders: Sequence[Path]) -> list[Run]:
    """Return all runs below the folders, in the order of their names, with the choices that differ."""
    runs = []
    for folder in folders:
        found = sorted({path.parent for path in _hydra_folders(folder)}, key=_natural)
        if not found:
            raise PafposeError(
                f"{folder}: no runs in it (no folder with .hydra/); give the folder of a sweep, "
                "outputs/train/multiruns/DATE"
            )
        prefix = f"{folder.name}/" if len(folders) > 1 else ""
        runs += [read_run(path, prefix + _name(path, folder)) for path in found]
    return with_choices(runs)


def read_run(folder: Path, name: str) -> Run:
    """Read one run folder."""
    status = read_status(folder)
    hydra = _yaml(folder / ".hydra" / "hydra.yaml")
    job = (hydra.get("hydra") or {}).get("job") or {}
    overrides = status.get("overrides") or _yaml(folder / ".hydra" / "overrides.yaml") or []
    state, error, metrics = _outcome(folder, status)
    return Run(
        folder=folder,
        name=name,
        state=state,
        error=error,
        script=str(job.get("name") or "train"),
        overrides=tuple(map(str, overrides)),
        config=_yaml(folder / "config.yaml") or _yaml(folder / ".hydra" / "config.yaml"),
        metrics=metrics,
    )


def with_choices(runs: Sequence[Run]) -> list[Run]:
    """Return the runs with their ``choices``: the overridden keys that have two or more values.

    A run that does not override such a key has the value of its config, or ``default``.
    """
    given = [dict(_split(override) for override in run.overrides) for run in runs]
    keys = list(dict.fromkeys(key for one in given for key in one if key != "sweep"))  # sweep= is no choice
    table = [
        {key: one[key] if key in one else _default(run, key) for key in keys}
        for run, one in zip(runs, given, strict=True)
    ]
    varied = [key for key in keys if len({row[key] for row in table}) > 1]
    return [
        dataclasses.replace(run, choices={key: row[key] for key in varied})
        for run, row in zip(runs, table, strict=True)
    ]


def metric_names(runs: Iterable[Run]) -> list[str]:
    """Return every metric that some run has, in the order of first appearance."""
    return list(dict.fromkeys(name for run in runs for name in run.metrics))


def _outcome(folder: Path, status: Mapping[str, Any]) -> tuple[str, str, dict[str, float]]:
    content = read_json(folder / "metrics.json")
    metrics = {k: float(v) for k, v in (content or {}).items() if _is_number(v)}
    if status.get("state") == FAILED:
        return FAILED, " ".join(str(status.get("error", "")).split()), metrics
    if content is not None:
        return DONE, "", metrics
    if (folder / "metrics.json").exists():
        return FAILED, "metrics.json is incomplete", {}
    reason = "" if status.get("state") != DONE else "finished, but metrics.json is missing"
    return UNFINISHED, reason, {}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _hydra_folders(folder: Path) -> Iterable[Path]:
    for pattern in (".hydra", "*/.hydra", "*/*/.hydra"):
        yield from folder.glob(pattern)


def _name(path: Path, folder: Path) -> str:
    return path.name if path == folder else str(path.relative_to(folder))


def _natural(path: Path) -> list[Any]:
    """Return a sort key that puts 10 after 9."""
    return [(0, int(s), "") if s.isdigit() else (1, 0, s) for s in re.split(r"(\d+)", str(path))]


def _yaml(path: Path) -> Any:
    """Return the content of a YAML file; an empty mapping when it is missing or broken."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError):
        return {}


def _split(override: str) -> tuple[str, str]:
    key, _, value = override.partition("=")
    return key.lstrip("+"), value


def _default(run: Run, key: str) -> str:
    node: Any = run.config
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return "default" if node is None or isinstance(node, Mapping) else str(node)
