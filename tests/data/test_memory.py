"""The memory of a loader process does not grow during an epoch."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import pafpose
from pafpose.data.batch import collate
from pafpose.data.sampling import SampleGroup

CROP = ["head.stride=8", "data.num_workers=1", "data.batch_size=4"]


class Weighed:
    """Collates, and returns the private memory of its process in MB and the size of the batch."""

    def __call__(self, samples: list) -> tuple[float, int]:
        batch = collate(samples)
        status = Path("/proc/self/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+)", status)[1]) / 1024, len(batch.image)  # type: ignore[index]


def memory_over_an_epoch(overrides: list[str], *, samples: int) -> np.ndarray:
    """Return the memory of one loader process in MB after each batch."""
    data = pafpose.build_datamodule(pafpose.load_config([*CROP, *overrides]))
    data.prepare_data()
    data.setup("fit")
    length = len(data.train_dataset)
    data.train_dataset.groups = [SampleGroup(0, length, samples)]
    loader = data.train_dataloader()
    loader.collate_fn = Weighed()
    weights = [weight for weight, _ in loader]
    assert len(weights) == samples // 4
    return np.array(weights)


def assert_flat(weights: np.ndarray) -> None:
    third = len(weights) // 3
    start, end = np.median(weights[third : 2 * third]), np.median(weights[2 * third :])
    print(f"{weights[0]:.0f} MB at first, {start:.0f} in the middle third, {end:.0f} in the last")
    assert end - start < 8, "memory grows"
    assert weights.max() < weights[0] + 120, "the first samples need far less than others"


@pytest.mark.parametrize("preset", ["default", "strong"])
def test_memory_stays_flat(tmp_path: Path, preset: str) -> None:
    drawn = [f"data.root={tmp_path}", "data.train_count=30", "data.val_count=1", "data.generator_workers=1"]
    assert_flat(memory_over_an_epoch([*drawn, f"augment={preset}", "augment.crop=128"], samples=720))


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["default", "strong"])
def test_memory_stays_flat_over_an_epoch_of_photos(coco_mini: Path, preset: str) -> None:
    real = ["data=coco_mini", f"data.root={coco_mini}", f"augment={preset}"]
    assert_flat(memory_over_an_epoch(real, samples=2400))
