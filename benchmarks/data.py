"""How fast one worker makes training samples, against merely decoding the same JPEGs; and the parts."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np

from pafpose.config import load_config
from pafpose.data import dataset as samples
from pafpose.data.dataset import TrainDataset
from pafpose.factory import build_datamodule

BLOCK = 20  # photos decoded, then made into samples, in turns
ROUNDS = 3  # times that all of them are
PARTS = (
    "read the photo",
    "move it",
    "ignored cells",
    "overlays",
    "colour",
)  # the rest: keypoints, boxes, tensors


def data_table(
    overrides: Sequence[str] = (), *, count: int = 400, rounds: int = ROUNDS
) -> list[dict[str, Any]]:
    """Rows of ms a sample in this one process: decoding alone, whole samples, their parts; and the ratio.

    ``overrides`` are those of the training config and choose the data, such as ``data=coco_mini
    data.root=DIR augment=default``. Decoding alone reads each file and decodes it at full size; it and the
    samples are timed in turns, ``BLOCK`` photos at a time, and the ratio is the median over all turns.
    """
    data = build_datamodule(load_config(list(overrides)))
    data.prepare_data()
    data.setup("fit")
    dataset: TrainDataset = data.train_dataset
    chosen = np.random.default_rng(0).permutation(len(dataset))[:count].tolist()
    cv2.setNumThreads(0)
    decoding, making = [], []
    for item in chosen[: 5 * BLOCK]:  # compiles what is compiled, and fills the caches
        dataset[item, item]
    with timed_parts(dataset) as seconds:
        for block in [chosen[i : i + BLOCK] for i in range(0, len(chosen), BLOCK)] * rounds:
            decoding.append(_seconds(lambda item: _decode(dataset, item), block) / len(block))
            making.append(_seconds(lambda item: dataset[item, item], block) / len(block))
    per_sample = {name: 1e3 * value / len(chosen) / rounds for name, value in seconds.items() if value}
    whole = 1e3 * statistics.mean(making)
    rows = [("decode the JPEGs alone", 1e3 * statistics.mean(decoding)), ("make samples", whole)]
    rows += [(f"  {name}", value) for name, value in per_sample.items()]
    rows.append(("  the rest", whole - sum(per_sample.values())))
    table: list[dict[str, Any]] = [{"what": what, "ms": ms, "per second": 1e3 / ms} for what, ms in rows]
    ratios = sorted(a / b for a, b in zip(decoding, making, strict=True))
    middle, low, high = (ratios[int(share * (len(ratios) - 1))] for share in (0.5, 0.1, 0.9))
    text = f"{middle:.3f} ({low:.2f} to {high:.2f})"
    return [*table, {"what": "samples / decoding, median (8 in 10)", "ms": "", "per second": text}]


@contextmanager
def timed_parts(dataset: TrainDataset) -> Iterator[dict[str, float]]:
    """Seconds spent in each of ``PARTS`` while the context lasts."""
    seconds = dict.fromkeys(PARTS, 0.0)
    spots: list[tuple[Any, str, str]] = [
        (samples.pictures, "read_photo", "read the photo"),
        (samples.pictures, "warp", "move it"),
        (samples, "ignored_cells", "ignored cells"),
        (dataset._overlays, "lay", "overlays"),
        (samples, "change_colour", "colour"),
        (dataset, "_photometric", "colour"),
    ]
    clock = _Clock(seconds)
    with ExitStack() as stack:
        for owner, name, part in spots:
            if (function := getattr(owner, name)) is not None:
                stack.enter_context(patch.object(owner, name, clock.timed(function, part)))
        yield seconds


class _Clock:
    """Adds up what functions take, without what timed functions inside of them take."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds = seconds
        self.inner = 0.0  # of the functions that have ended within the one that runs

    def timed(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        """The function, timed."""

        def run(*args: Any, **kwargs: Any) -> Any:
            outer, self.inner = self.inner, 0.0
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                taken = time.perf_counter() - start
                self.seconds[part] += taken - self.inner
                self.inner = outer + taken

        return run


def _decode(dataset: TrainDataset, item: int) -> None:
    path = dataset.index.path(int(dataset.samples[item, 0]))
    cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)


def _seconds(make: Callable[[int], Any], items: Sequence[int]) -> float:
    start = time.perf_counter()
    for item in items:
        make(item)
    return time.perf_counter() - start
