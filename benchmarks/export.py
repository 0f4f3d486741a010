"""One photo with torch and with ONNX Runtime: the same networks, in turns, with the same threads."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pafpose import factory
from pafpose.config import load_config, plain
from pafpose.inference.checkpoint import TrainedNetwork, load_network
from pafpose.inference.predictor import Predictor
from pafpose.runtime.precision import resolve_precision
from pafpose.tools.export.check import draw_photos
from pafpose.tools.export.onnx_file import write_onnx

RECIPES = ("quickstart", "modern", "lightweight2018")
PHOTO = (480, 640)  # height and width


def export_table(
    recipes: Sequence[str] = RECIPES, *, rounds: int = 5, threads: int = 2
) -> list[dict[str, Any]]:
    """Measure the latency of one photo in ms, one row per recipe; weights are random.

    A photo is fitted, predicted and decoded under the recipe's own ``evaluate``. The figure is that of the
    fastest of ``rounds``; torch and ONNX Runtime take turns, so that other work on the machine affects both.
    ``torch auto`` is bf16-mixed where the processor has matrix units for it, else the same as ``torch``.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return [_row(name, rounds) for name in recipes]
    finally:
        torch.set_num_threads(before)


def _row(recipe: str, rounds: int) -> dict[str, Any]:
    trained = _random_network(recipe)
    (photo,) = draw_photos(trained.skeleton, count=1, size=PHOTO[1])
    photo = np.ascontiguousarray(photo[: PHOTO[0]])
    with tempfile.TemporaryDirectory() as folder:
        file = write_onnx(trained, Path(folder, "model.onnx"), fp16=False, photos=[photo])
        predictors = {
            "torch": Predictor(_in_precision(trained, "32-true")),
            "torch auto": Predictor(_in_precision(trained, "auto")),
            "ONNX Runtime": Predictor(load_network(file)),
        }
    best = _fastest(predictors, photo, rounds)
    return {
        "recipe": recipe,
        "input": f"{trained.settings.input_size} px" + (", with flip" if trained.settings.flip else ""),
        "auto is": resolve_precision("auto"),
        **{f"{name}, ms": f"{ms:.0f}" for name, ms in best.items()},
        "torch / ONNX Runtime": f"{best['torch'] / best['ONNX Runtime']:.2f}",
        "auto / ONNX Runtime": f"{best['torch auto'] / best['ONNX Runtime']:.2f}",
    }


def _random_network(recipe: str) -> TrainedNetwork:
    config = plain(load_config([f"experiment={recipe}", "backbone.weights=null"]))
    torch.manual_seed(0)
    return TrainedNetwork(factory.build_network(config).eval(), config)


def _in_precision(trained: TrainedNetwork, precision: str) -> TrainedNetwork:
    return TrainedNetwork(trained.network, trained.config | {"precision": precision})


def _fastest(predictors: Mapping[str, Predictor], photo: np.ndarray, rounds: int) -> dict[str, float]:
    """Return the shortest time of every predictor in ms; the first round warms up."""
    times: dict[str, list[float]] = {name: [] for name in predictors}
    for _ in range(rounds + 1):
        for name, predictor in predictors.items():
            start = time.perf_counter()
            predictor(photo)
            times[name].append((time.perf_counter() - start) * 1e3)
    return {name: min(values[1:]) for name, values in times.items()}
