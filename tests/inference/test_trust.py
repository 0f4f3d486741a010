"""A config out of a file may hold values and name classes of ours; whatever runs code is refused by name."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

import pafpose
from pafpose.config import conf_dir, plain
from pafpose.errors import PafposeError
from pafpose.inference.checkpoint import load_network
from pafpose.inference.trust import forget_paths, refuse_code
from pafpose.tools.evaluate import evaluate

EXPERIMENTS = sorted(path.stem for path in (conf_dir() / "experiment").glob("*.yaml"))


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    return plain(pafpose.load_config(["experiment=modern"]))


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_recipe_of_ours_is_allowed(experiment: str) -> None:
    refuse_code(plain(pafpose.load_config([f"experiment={experiment}"])), "run.ckpt")


def test_mixed_data_are_allowed() -> None:
    refuse_code(plain(pafpose.load_config(["data=mix"])), "run.ckpt")


CALL = {"_target_": "torch.hub.load", "repo_or_dir": "evil", "source": "local"}
HOSTILE = {
    "backbone._target_": "builtins.open",
    "head._target_": "pafpose.config.build",
    "head._target_ ": "pafpose.runtime.files.write_json",
    "backbone.widths": CALL,
    "backbone.depths": [1, CALL],
    "backbone._args_": ["evil"],
    "backbone._partial_": True,
    "backbone.name": "hf-hub:evil/network",
    "backbone.name ": "local-dir:evil",
    "decode.samples": CALL,
    "evaluate.scales": CALL,
    "skeleton.keypoints": [CALL],
    "paf.limbs": "${oc.env:SECRET}",
    "logger.tensorboard.save_dir": "${oc.env:SECRET}",
    "data._target_": "pathlib.Path.write_text",
    "data.root": CALL,
    "data.format": "evil.py:read",
    "data.format ": "os.system",
    "heatmap._target_": "pafpose.data.folder.FolderDataModule",
}


def test_data_of_a_stranger_write_and_read_nothing_beyond_their_root() -> None:
    config = plain(pafpose.load_config(["data=mix"]))
    config["data"]["sets"]["first"] |= {"index_cache": "/etc", "subset": "/etc/passwd", "allow_outside": True}
    config["data"]["subset"] = "/etc/passwd"
    forget_paths(config)
    first = config["data"]["sets"]["first"]
    assert (first["index_cache"], first["subset"], first["allow_outside"]) == ("auto", None, False)
    assert config["data"]["subset"] is None and "index_cache" not in config["data"]


def test_what_leads_beyond_the_root_is_forgotten_when_a_checkpoint_is_loaded(checkpoint, tmp_path) -> None:
    content = torch.load(checkpoint / "checkpoints" / "best.ckpt", weights_only=True)
    content["hyper_parameters"]["config"]["data"] |= {"index_cache": str(tmp_path), "allow_outside": True}
    torch.save(content, tmp_path / "odd.ckpt")
    data = load_network(tmp_path / "odd.ckpt").config["data"]
    assert data["index_cache"] == "auto" and not data["allow_outside"]
    assert load_network(tmp_path / "odd.ckpt", trust=True).config["data"]["index_cache"] == str(tmp_path)


@pytest.mark.parametrize("key", HOSTILE)
def test_whatever_runs_code_is_refused_by_name(config: dict[str, Any], key: str) -> None:
    hostile = copy.deepcopy(config)
    *groups, last = key.strip().split(".")
    node = hostile
    for group in groups:
        node = node[group]
    node[last] = HOSTILE[key]
    with pytest.raises(PafposeError, match=rf"evil\.ckpt: its {key.strip()}.*trust=True"):
        refuse_code(hostile, "evil.ckpt")


def test_saved_fields_are_checked_too(config: dict[str, Any], tmp_path: Path) -> None:
    hostile = copy.deepcopy(config)
    hostile["decode"]["samples"] = "${oc.env:SECRET}"
    (tmp_path / "config.json").write_text(json.dumps(hostile))
    (tmp_path / "ground_truth.json").write_text(json.dumps({"images": [], "annotations": []}))
    cfg = pafpose.load_config([f"evaluate.fields={tmp_path}"], name="evaluate")
    OmegaConf.update(cfg, "paths.output_dir", str(tmp_path / "out"))
    with pytest.raises(PafposeError, match=r"decode\.samples.*interpolation"):
        evaluate(cfg, [])
