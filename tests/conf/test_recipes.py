"""The data choose a recipe and experiment= another; targets stay the paper's unless a recipe says so."""

from __future__ import annotations

import logging

import pytest
from omegaconf import DictConfig, OmegaConf

import pafpose
from pafpose.config import conf_dir
from pafpose.data.sampling import SampleGroup
from pafpose.training.plan import count_processes, fit_schedule, planned_steps
from pafpose.training.run import warn_about_other_data
from tests.conf.test_compose import EXPERIMENTS, GROUPS, options

PHOTOS = ("coco", "crowdpose", "ap10k", "coco_foot", "yolo", "mix")
SKELETONS = {"crowdpose": "crowdpose14", "ap10k": "animal17", "coco_foot": "body25"}
SCALED = ("modern", "coco_mini")  # whose targets scale with the person


def original(group: str) -> object:
    """The values of a group's default file; the limbs are those of the skeleton."""
    node = OmegaConf.load(conf_dir() / group / "default.yaml")
    return {key: value for key, value in OmegaConf.to_container(node).items() if key != "limbs"}


def chosen(cfg: DictConfig, group: str) -> object:
    return {
        key: value
        for key, value in OmegaConf.to_container(cfg[group], resolve=False).items()
        if key != "limbs"
    }


@pytest.mark.parametrize("data", options("data"))
def test_without_a_recipe_targets_are_the_papers_in_pixels(data: str) -> None:
    cfg = pafpose.load_config([f"data={data}", "paf.width=8", "heatmap.sigma=7"])
    for group in ("heatmap", "paf", "mask"):
        assert chosen(cfg, group) == original(group)
    targets = pafpose.build_targets(cfg)
    assert (targets.heatmap.scale_by, targets.paf.scale_by) == ("none", "none")
    assert cfg.skeleton.name == SKELETONS.get(data, "coco18")


@pytest.mark.parametrize("data", PHOTOS)
def test_photos_get_the_recipe_for_photos(data: str) -> None:
    cfg, modern = pafpose.load_config([f"data={data}"]), pafpose.load_config(["experiment=modern"])
    for group in ("backbone", "head", "optimizer", "scheduler", "augment", "decode", "evaluate", "callbacks"):
        assert chosen(cfg, group) == chosen(modern, group), group
    assert cfg.data.schedule.max_steps is None  # fitted to the number of photos


def test_synthetic_and_coco_mini_have_recipes_of_their_own() -> None:
    plain_default, named = pafpose.load_config(), pafpose.load_config(["data=synthetic"])
    assert all(chosen(plain_default, group) == chosen(named, group) for group in GROUPS)
    mini, recipe = pafpose.load_config(["data=coco_mini"]), pafpose.load_config(["experiment=coco_mini"])
    for group in ("augment", "backbone", "data", "evaluate", "optimizer"):
        assert chosen(mini, group) == chosen(recipe, group), group
    assert (mini.heatmap.scale_by, recipe.heatmap.scale_by) == ("none", "person")


@pytest.mark.slow
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiment_wins_over_the_recipe_of_the_data(experiment: str) -> None:
    alone = pafpose.load_config([f"experiment={experiment}"])
    for data in options("data"):
        cfg = pafpose.load_config([f"data={data}", f"experiment={experiment}"])
        assert cfg.data.name == pafpose.load_config([f"data={data}"]).data.name
        if experiment == "quickstart":
            continue  # it is the recipe of synthetic data and nothing else
        for group in ("backbone", "head", "optimizer", "scheduler", "augment", "heatmap", "mask"):
            assert chosen(cfg, group) == chosen(alone, group), f"{data} {experiment} {group}"
        assert (cfg.heatmap.scale_by == "person") == (experiment in SCALED)


def test_a_recipe_for_other_data_warns_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        warn_about_other_data(pafpose.load_config(["experiment=cao2017"]))
        warn_about_other_data(pafpose.load_config(["data=coco"]))
        assert not caplog.records
        warn_about_other_data(pafpose.load_config(["experiment=coco_mini", "data=coco"]))
    (record,) = caplog.records
    assert "coco_mini" in record.getMessage() and "data.name=coco" in record.getMessage()


class Data:
    """A data module with so many samples, each of which comes once in a pass."""

    def __init__(self, samples: int) -> None:
        self.train_dataset = Samples(range(samples))


class Samples(list[int]):
    @property
    def groups(self) -> list[SampleGroup]:
        return [SampleGroup(0, len(self), len(self))]


@pytest.mark.parametrize(
    ("overrides", "samples", "steps", "interval"),
    [
        ([], 150_000, 300_000, 10_000),
        ([], 300, 5_000, 166),
        (["trainer.devices=4"], 150_000, 75_000, 2_500),
        (["trainer.accumulate_grad_batches=2"], 150_000, 150_000, 10_000),
        (["data.schedule.max_steps=70"], 300, 70, 2),
        (["trainer.max_steps=70", "trainer.val_check_interval=35"], 300, 70, 35),
        (["trainer.max_epochs=3"], 309, 90, 3),  # the last 9 samples do not fill a batch
        (["trainer.max_epochs=3", "trainer.max_steps=50"], 300, 50, 1),
        (["trainer.max_epochs=3", "trainer.accumulate_grad_batches=4"], 300, 24, 4),
        (["trainer.max_epochs=3", "trainer.devices=2"], 300, 45, 1),
        (["trainer.max_epochs=3", "+trainer.limit_train_batches=0.5"], 300, 45, 1),
        (["trainer.max_epochs=3", "+trainer.limit_train_batches=5"], 300, 15, 1),
    ],
)
def test_steps_and_validations_fit_the_number_of_samples(overrides, samples, steps, interval) -> None:
    cfg = pafpose.load_config(["data=coco", *overrides])
    fit_schedule(cfg, Data(samples))
    assert (cfg.trainer.max_steps, cfg.trainer.val_check_interval) == (steps, interval)


def test_what_a_plan_refuses_and_counts() -> None:
    with pytest.raises(pafpose.PafposeError, match="passes=0"):
        planned_steps(10, samples_per_step=1, passes=0, min_steps=1)
    for devices, nodes, count in ((1, 1, 1), (2, 3, 6), ([0, 3], 1, 2), ("0,1", 1, 2)):
        trainer = OmegaConf.create({"devices": devices, "num_nodes": nodes})
        assert count_processes(trainer) == count
