"""How fast one worker makes training samples, against merely decoding the same JPEGs; and the parts."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np

from pafpose.api import build_datamodule
from pafpose.config import load_config
from pafpose.data import dataset as samples
from pafpose.data.dataset import TrainDataset

BLOCK = 20  # photos decoded, then made into samples, in turns
PARTS = ("read the photo", "move it", "ignored cells")  # the rest is keypoints, boxes, tensors


def data_table(overrides: Sequence[str] = (), *, count: int = 400) -> list[dict[str, Any]]:
    """Rows of ms a sample in this one process: decoding alone, whole samples, their parts; and the ratio.

    ``overrides`` are those of the training config and choose the data, such as ``data=coco_mini
    data.root=DIR augment=default``. Decoding alone reads each file and decodes it at full size.
    """
    data = build_datamodule(load_config(list(overrides)))
    data.prepare_data()
    data.setup("fit")
    dataset: TrainDataset = data.train_dataset
    chosen = np.random.default_rng(0).permutation(len(dataset))[:count].tolist()
    cv2.setNumThreads(0)
    decoding, making, ratios = [], [], []
    with timed_parts() as seconds:
        dataset[chosen[0], 0]  # compiles what is compiled
        seconds.update(dict.fromkeys(seconds, 0.0))
        for block in (chosen[i : i + BLOCK] for i in range(0, len(chosen), BLOCK)):
            alone = _seconds(lambda item: _decode(dataset, item), block)
            whole = _seconds(lambda item: dataset[item, item], block)
            decoding.append(alone)
            making.append(whole)
            ratios.append(alone / whole)
    per_sample = {name: 1e3 * value / len(chosen) for name, value in seconds.items()}
    whole_ms = 1e3 * sum(making) / len(chosen)
    rows = [("decode the JPEGs alone", 1e3 * sum(decoding) / len(chosen)), ("make samples", whole_ms)]
    rows += [(f"  {name}", value) for name, value in per_sample.items()]
    rows.append(("  the rest", whole_ms - sum(per_sample.values())))
    table: list[dict[str, Any]] = [{"what": what, "ms": ms, "per second": 1e3 / ms} for what, ms in rows]
    ratio = statistics.median(ratios)
    return [*table, {"what": "samples / decoding, median", "ms": "", "per second": f"{ratio:.3f}"}]


@contextmanager
def timed_parts() -> Iterator[dict[str, float]]:
    """Seconds spent in each of ``PARTS`` while the context lasts."""
    seconds = dict.fromkeys(PARTS, 0.0)
    pictures = samples.pictures
    with (
        patch.object(pictures, "read_photo", _timed(pictures.read_photo, seconds, "read the photo")),
        patch.object(pictures, "warp", _timed(pictures.warp, seconds, "move it")),
        patch.object(samples, "ignored_cells", _timed(samples.ignored_cells, seconds, "ignored cells")),
    ):
        yield seconds


def _timed(function: Callable[..., Any], seconds: dict[str, float], name: str) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            seconds[name] += time.perf_counter() - start

    return run


def _decode(dataset: TrainDataset, item: int) -> None:
    path = dataset.index.path(int(dataset.samples[item, 0]))
    cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)


def _seconds(make: Callable[[int], Any], items: Sequence[int]) -> float:
    start = time.perf_counter()
    for item in items:
        make(item)
    return time.perf_counter() - start
