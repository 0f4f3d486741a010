"""Fabricated run folders as a sweep leaves them: grids of choices with known effects."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

SIDED = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "eye", "ear")
KEYPOINTS = ["nose", "neck", *(f"{side}_{part}" for part in SIDED for side in ("left", "right"))]


def make_run(
    folder: Path,
    overrides: Sequence[str],
    *,
    metrics: Mapping[str, float] | None = None,
    status: Mapping[str, Any] | None = None,
    script: str = "train",
) -> Path:
    """One run folder; no metrics.json when ``metrics`` is None."""
    (folder / ".hydra").mkdir(parents=True)
    config = {"skeleton": {"keypoints": KEYPOINTS}, "paf": {"width": 8.0, "caps": "bbox"}, "seed": 0}
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(list(overrides)))
    (folder / ".hydra" / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / ".hydra" / "hydra.yaml").write_text(yaml.safe_dump({"hydra": {"job": {"name": script}}}))
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    if metrics is not None:
        (folder / "metrics.json").write_text(json.dumps(metrics))
    if status is not None:
        (folder / "status.json").write_text(json.dumps(status))
    return folder


def make_sweep(folder: Path, choices: Mapping[str, Sequence[Any]], *, seed: int = 0) -> Path:
    """A full grid with curves, pictures and all metrics; every 23rd run failed, every 31st unfinished."""
    rng = np.random.default_rng(seed)
    pulls = {key: rng.normal(0, 0.06, len(values)) for key, values in choices.items()}
    for n, picked in enumerate(itertools.product(*(range(len(v)) for v in choices.values()))):
        overrides = [f"{key}={choices[key][i]}" for key, i in zip(choices, picked, strict=True)]
        ap = 0.5 + sum(pulls[key][i] for key, i in zip(choices, picked, strict=True)) + rng.normal(0, 0.01)
        ap += 0.08 * (picked[0] == 0 and picked[-1] == 0)  # an interaction
        run = folder / str(n)
        if n % 23 == 20:
            error = "PafposeError: paf.width=0: give a half width above 0 px"
            make_run(run, overrides, status={"state": "failed", "error": error})
        elif n % 31 == 30:
            make_run(run, overrides, status={"state": "running"})
            write_curves(run, 0.6 * ap, rng, steps=400)
        else:
            make_run(run, overrides, metrics=full_metrics(ap, rng), status={"state": "done", "value": ap})
            write_curves(run, ap, rng)
            write_pictures(run, ap)
    return folder


def full_metrics(ap: float, rng: np.random.Generator) -> dict[str, float]:
    """All that a metrics.json may have."""
    names = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
    shifts = (0, 0.25, 0.03, -0.08, 0.09, 0.05, 0.2, 0.06, -0.04, 0.1)
    metrics = {name: float(np.clip(ap + shift, 0, 1)) for name, shift in zip(names, shifts, strict=True)}
    metrics |= {f"AP_{level}": ap - 0.12 * n for n, level in enumerate(("alone", "some", "crowded"))}
    hard = {"wrist": 0.14, "ankle": 0.12, "ear": 0.1, "elbow": 0.05}
    for name in KEYPOINTS:
        metrics[f"AP_{name}"] = float(ap - hard.get(name.split("_")[-1], 0) + rng.normal(0, 0.01))
    return metrics | {"photos": 400.0, "people": 911.0, "steps": 2400.0, "minutes": 7.25}


def write_curves(run: Path, ap: float, rng: np.random.Generator, *, steps: int = 2400) -> None:
    """TensorBoard events: train/loss and val/AP."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(run / "tensorboard")) as writer:
        for step in range(0, steps + 1, 40):
            writer.add_scalar("train/loss", 0.05 + 0.4 * np.exp(-step / 400) + rng.normal(0, 0.006), step)
            writer.add_scalar("lr-AdamW", 1e-3, step)
        for step in range(200, steps + 1, 200):
            writer.add_scalar("val/AP", ap * (1 - np.exp(-step / 600)) + rng.normal(0, 0.004), step)


def write_pictures(run: Path, ap: float) -> None:
    """Three validation pictures at two steps each."""
    folder = run / "images" / "val"
    folder.mkdir(parents=True)
    for photo, step in itertools.product((17, 21, 35), (200, 2400)):
        picture = np.full((280, 400, 3), 30, np.uint8)
        cv2.circle(picture, (200, 140), int(150 * max(ap, 0.05)), (200, 120, photo * 5), -1)
        cv2.putText(
            picture, f"{photo} at {step}", (12, 28), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (255, 255, 255), 2
        )
        cv2.imwrite(str(folder / f"step{step:06d}_{photo}.png"), picture)
