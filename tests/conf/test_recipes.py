"""Every recipe composes, builds its full network and trains two steps, on pictures small enough."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

import pafpose
from pafpose.config import conf_dir, plain
from pafpose.models.summary import summarise
from pafpose.training.run import train

EXPERIMENTS = sorted(path.stem for path in (conf_dir() / "experiment").glob("*.yaml"))
PARAMETERS = {"cao2017": 52.31, "part_affinity": 60.8, "lightweight2018": 4.09}  # millions, as published
QUICK = ["augment.crop=64", "evaluate.input_size=64", "data.num_workers=0", "callbacks=none", "logger=none",
         "trainer.accelerator=cpu", "trainer.max_steps=2", "trainer.val_check_interval=2"]  # fmt: skip


def shrink(experiment: str, coco_root: Path, folder: Path) -> list[str]:
    """Overrides of data and sizes alone; network, loss, optimiser, schedule and decoder stay the recipe's."""
    cfg = pafpose.load_config([f"experiment={experiment}"])
    words = [f"experiment={experiment}", *QUICK, f"paths.output_dir={folder / 'run'}"]
    if cfg.data.name == "synthetic":
        words += [f"paths.data_dir={folder}", "data.train_count=4", "data.val_count=2"]
        words += ["data.picture_size=64", "data.generator_workers=1", "data.batch_size=2"]
    else:
        words += [f"data.root={coco_root}", "data.batch_size=2"]
    if cfg.backbone.weights == "imagenet":  # would be downloaded
        words += ["backbone.weights=null"]
    return words


@pytest.mark.slow
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_two_steps_of_every_recipe(experiment: str, coco_root: Path, tmp_path: Path) -> None:
    cfg = pafpose.load_config(shrink(experiment, coco_root, tmp_path))
    metrics = train(cfg)
    assert metrics["steps"] == 2 and 0 <= metrics["AP"] <= 1
    stored = torch.load(tmp_path / "run" / "checkpoints" / "best.ckpt", weights_only=True)
    assert all(torch.isfinite(value).all() for value in stored["state_dict"].values())
    assert stored["hyper_parameters"]["config"]["decode"] == plain(cfg.decode)
    shutil.rmtree(tmp_path / "run")  # the large ones fill a disk


@pytest.mark.parametrize("experiment", PARAMETERS)
def test_the_published_networks_have_the_published_size(experiment: str) -> None:
    with torch.device("meta"):
        network = pafpose.build_network(
            pafpose.load_config([f"experiment={experiment}", "backbone.weights=null"])
        )
    assert summarise(network)["parameters"] / 1e6 == pytest.approx(PARAMETERS[experiment], abs=0.05)
