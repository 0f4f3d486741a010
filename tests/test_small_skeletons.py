"""Skeletons of one limb, of three to five keypoints, without sides and of 120 keypoints work at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

import pafpose
from pafpose import factory
from pafpose.config import plain
from pafpose.inference.checkpoint import load_network
from pafpose.inference.evaluate import evaluate_trained
from tests.data.coco_files import write_split

SIZE = 256  # px, of the square photos
CORNERS = ((20, 30), (140, 120))  # of the two people in each


@dataclass(frozen=True)
class Body:
    """A skeleton, and where its keypoints are on everybody, relative to a corner."""

    xy: np.ndarray
    limbs: list[tuple[int, int]]
    pairs: list[tuple[int, int]]

    @property
    def names(self) -> list[str]:
        return [f"point_{k}" for k in range(len(self.xy))]

    def config(self) -> dict:
        names = self.names
        return {
            "name": "body",
            "keypoints": names,
            "sigmas": [0.05] * len(names),
            "pairs": [[names[a], names[b]] for a, b in self.pairs],
            "limb_sets": {"tree": [[names[a], names[b]] for a, b in self.limbs]},
            "default_limbs": "tree",
        }


def chain(*points: tuple[float, float], pairs: tuple[tuple[int, int], ...] = ()) -> Body:
    return Body(np.array(points, float), [(k, k + 1) for k in range(len(points) - 1)], list(pairs))


BODIES = {
    "one limb": chain((0, 0), (40, 60)),
    "one limb, two sides": chain((0, 0), (60, 0), pairs=((0, 1),)),
    "three in a row": chain((0, 0), (20, 40), (0, 80)),
    "four, without sides": chain((0, 0), (40, 0), (40, 60), (0, 60)),
    "five": Body(
        np.array([(40, 0), (10, 40), (70, 40), (10, 90), (70, 90)], float),
        [(0, 1), (0, 2), (1, 3), (2, 4)],
        [(1, 2), (3, 4)],
    ),
    "120": chain(*(((k % 12) * 8, (k // 12) * 9) for k in range(120))),
}


@pytest.fixture(params=BODIES)
def body(request: pytest.FixtureRequest) -> Body:
    return BODIES[request.param]


@pytest.fixture
def cfg(body: Body, tmp_path: Path) -> dict:
    """The config of a short training on two people in each photo; all other choices are the defaults."""
    write_people(body, tmp_path)
    cfg = pafpose.load_config(
        ["data=coco", f"data.root={tmp_path}", "data.allow_overlap=true", "data.num_workers=0",
         "data.batch_size=2", "backbone=tiny", "head=single", "augment.crop=128", "evaluate.input_size=256",
         "trainer=cpu", "trainer.max_steps=2", "trainer.val_check_interval=2", "precision=32-true",
         "paf.limbs=tree", "logger=none", "callbacks.panels.num_photos=0",
         f"paths.output_dir={tmp_path / 'run'}"]
    )  # fmt: skip
    return plain(cfg) | {"skeleton": body.config()}


def write_people(body: Body, root: Path) -> None:
    rng = np.random.default_rng(0)
    photos = []
    for _ in range(2):
        people = [annotation(body.xy + corner) for corner in CORNERS]
        photos.append((rng.integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8), people))
    categories = [{"id": 1, "name": "body", "keypoints": body.names}]
    for split in ("train", "val"):
        write_split(root, photos, split=split, categories=categories)


def annotation(xy: np.ndarray) -> dict:
    left, top = xy.min(0) - 10
    right, bottom = xy.max(0) + 10
    return {
        "keypoints": np.c_[xy, np.full(len(xy), 2)].ravel().tolist(),
        "num_keypoints": len(xy),
        "bbox": [left, top, right - left, bottom - top],
        "area": (right - left) * (bottom - top),
        "iscrowd": 0,
        "category_id": 1,
    }


@pytest.mark.slow
def test_trains_and_evaluates(cfg: dict, body: Body, tmp_path: Path) -> None:
    metrics = pafpose.train(cfg)
    assert 0 <= metrics["AP"] <= 1
    trained = load_network(tmp_path / "run", device=torch.device("cpu"))
    result = evaluate_trained(trained, factory.build_datamodule(trained.config))
    assert result.metrics["AP"] == pytest.approx(metrics["AP"])


def test_perfect_fields_decode_to_the_people(cfg: dict, body: Body) -> None:
    decoder, targets = factory.build_decoder(cfg), factory.build_targets(cfg)
    keypoints = np.stack([np.c_[body.xy + corner, np.full(len(body.xy), 2)] for corner in CORNERS])
    drawn = targets(torch.from_numpy(keypoints).float()[None], size=(SIZE, SIZE))
    people = decoder(drawn.heatmaps[0], drawn.pafs[0]).keypoints.numpy()
    assert people.shape == keypoints.shape
    ordered = people[np.argsort(people[:, 0, 0])]
    np.testing.assert_allclose(ordered[..., :2], keypoints[..., :2], atol=1)
