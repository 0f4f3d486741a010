"""How fast one process makes training samples, relative to decoding the same JPEGs, and what takes time."""

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
from pafpose.data.photos import images, occlude
from pafpose.factory import build_datamodule

BLOCK = 20  # photos that are decoded and then made into samples
ROUNDS = 3  # passes over all blocks
PARTS = ("read the photo", "warp it", "ignored cells", "paste and patches", "colour")


def data_table(
    overrides: Sequence[str] = (), *, count: int = 400, rounds: int = ROUNDS
) -> list[dict[str, Any]]:
    """Return rows of milliseconds per sample in this process: decoding alone, whole samples and their parts.

    ``overrides`` of the training config choose the data, such as ``data=coco_mini data.root=DIR
    augment=default``. Decoding alone reads each file and decodes it at full size. The two alternate in blocks
    of ``BLOCK`` photos, and the last row is the median ratio of their rates over all blocks. The rest, after
    the parts, is keypoints, boxes and tensors.
    """
    data = build_datamodule(load_config(list(overrides)))
    data.prepare_data()
    data.setup("fit")
    dataset: TrainDataset = data.train_dataset
    chosen = np.random.default_rng(0).permutation(len(dataset))[:count].tolist()
    cv2.setNumThreads(0)
    decoding, making = [], []
    for item in chosen[: 5 * BLOCK]:  # fills caches
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
    """Yield the seconds spent in each of ``PARTS`` since the context was entered."""
    seconds = dict.fromkeys(PARTS, 0.0)
    spots: list[tuple[Any, str, str]] = [
        (images, "read_photo", "read the photo"),
        (occlude, "read_photo", "read the photo"),
        (images, "warp", "warp it"),
        (samples, "ignored_cells", "ignored cells"),
        (dataset, "_paste", "paste and patches"),
        (dataset, "_patches", "paste and patches"),
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
    """Adds up the time that functions take, less the time of timed functions that they call."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds = seconds
        self.inner = 0.0  # seconds of timed functions that the running one has called

    def timed(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        """Return the function with its time added to ``part``."""

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
