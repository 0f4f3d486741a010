"""Every option of every group composes; recipes only choose; the command line wins; wrong keys say so."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hydra.errors import HydraException
from omegaconf import OmegaConf

import pafpose
from pafpose.config import conf_dir, plain
from tests.conftest import ROOT

GROUPS = ["data", "augment", "skeleton", "heatmap", "paf", "mask", "backbone", "head", "loss", "optimizer",
          "scheduler", "decode", "evaluate", "trainer", "callbacks", "logger"]  # fmt: skip


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))


EXPERIMENTS = options("experiment")


@pytest.mark.slow
@pytest.mark.parametrize("group", [*GROUPS, "experiment", "debug", "paths"])
def test_every_option_composes_and_resolves(group: str) -> None:
    assert options(group)
    for option in options(group):
        cfg = pafpose.load_config([f"{group}={option}"])
        plain(cfg)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_a_recipe_only_chooses(experiment: str) -> None:
    """So that a group named on the command line has that group's own values."""
    recipe = yaml.safe_load((conf_dir() / "experiment" / f"{experiment}.yaml").read_text())
    assert set(recipe) <= {
        "defaults",
        "task_name",
        "tags",
        "precision",
        "channels_last",
        "seed",
        "max_minutes",
        "made_for",
    }


@functools.cache
def alone(group: str, option: str) -> object:
    """A group's own values: composed without any recipe."""
    return OmegaConf.to_container(
        pafpose.load_config(["recipe=plain", f"{group}={option}"])[group], resolve=False
    )


@pytest.mark.slow
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_groups_on_the_command_line_beat_the_recipe(experiment: str) -> None:
    """All groups named at once, the first and the last option of each."""
    for pick in (0, -1):
        chosen = {group: options(group)[pick] for group in GROUPS}
        cfg = pafpose.load_config([f"experiment={experiment}", *(f"{g}={o}" for g, o in chosen.items())])
        for group, option in chosen.items():
            values = OmegaConf.to_container(cfg[group], resolve=False)
            assert values == alone(group, option), f"{group}={option} under experiment={experiment}"


def test_the_default_recipe_has_the_papers_targets_and_completes_people() -> None:
    cfg = pafpose.load_config()
    assert (cfg.heatmap.sigma, cfg.heatmap.merge, cfg.heatmap.background) == (7, "max", "max")
    assert (cfg.paf.width, cfg.paf.caps, cfg.paf.profile, cfg.paf.merge) == (8, "bbox", "rigid", "mean")
    assert cfg.paf.limbs == "openpose" and cfg.skeleton.name == "coco18"
    assert cfg.decode == pafpose.load_config(["decode=default"]).decode
    assert cfg.decode.complete > 0


@pytest.mark.slow
def test_keys_that_always_exist() -> None:
    for option in options("trainer"):
        trainer = pafpose.load_config([f"trainer={option}"]).trainer
        assert {"max_steps", "max_epochs", "devices", "strategy", "precision"} <= set(trainer)
    for option in options("backbone"):
        assert "weights" in pafpose.load_config([f"backbone={option}"]).backbone


def test_values_reach_the_objects() -> None:
    cfg = pafpose.load_config(["paf.width=5", "heatmap.sigma=9", "paf.limbs=[[nose,neck],[neck,left_hip]]"])
    with pytest.warns(UserWarning, match="no limb reaches"):
        targets = pafpose.build_targets(cfg)
    assert targets.paf.width == 5 and targets.heatmap.sigma == 9
    assert targets.num_pafs == 4


def test_a_misspelt_key_is_refused_with_hydras_suggestion() -> None:
    with pytest.raises(HydraException, match="widht"):
        pafpose.load_config(["paf.widht=8"])


def test_every_yaml_key_of_a_settings_group_is_explained() -> None:
    """Users look in the YAML: each key of a default file has a comment on its line or above it."""
    for group in ("heatmap", "paf", "mask", "decode", "augment", "evaluate", "trainer"):
        lines = (conf_dir() / group / "default.yaml").read_text().splitlines()
        keys = [line for line in lines if line[:1].isalpha() and not line.startswith("defaults")]
        bare = [line for line in keys if "#" not in line]
        assert len(bare) <= len(keys) // 2, f"{group}: {bare}"


def test_configs_name_no_absolute_paths() -> None:
    for path in Path(conf_dir()).rglob("*.yaml"):
        assert not any(f"/{home}/" in path.read_text() for home in ("home", "root")), path


def test_the_config_is_shown_resolved_without_a_run(tmp_path: Path) -> None:
    """Hydra sets the run folder of a job only when it runs."""
    words = [sys.executable, ROOT / "scripts" / "train.py", "--cfg", "job", "--resolve", "paf.width=5"]
    shown = subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    cfg = yaml.safe_load(shown)
    assert cfg["paf"]["width"] == 5
    assert Path(cfg["paths"]["output_dir"]).parent == tmp_path / "outputs" / "train" / "runs"
    assert list(tmp_path.iterdir()) == []
