"""Results of a run are never overwritten by another, and an unfinished run goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from pafpose.cli.claim import claim, place
from pafpose.errors import PafposeError
from pafpose.runtime import run_status as status


class FakeHydra:
    """What ``HydraConfig`` says inside ``hydra.main``."""

    job = OmegaConf.create({"config_name": "train"})


@pytest.fixture
def cfg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DictConfig:
    monkeypatch.setattr("pafpose.cli.claim.HydraConfig.get", lambda: FakeHydra)
    return OmegaConf.create(
        {"paths": {"output_dir": str(tmp_path)}, "ckpt_path": None, "overwrite": False, "seed": 0}
    )


def leave(folder: Path, state: str, cfg: DictConfig, **more: Any) -> None:
    """What a run of this config left behind."""
    status.write_status(folder, "running", digest=status.digest(cfg), overrides=["seed=0"], **more)
    status.write_status(folder, state) if state != "running" else None
    (folder / "checkpoints").mkdir(exist_ok=True)
    (folder / "checkpoints" / "last.ckpt").write_text("weights")
    (folder / "metrics.json").write_text("{}")


def test_a_new_or_empty_folder_is_free(cfg: DictConfig, tmp_path: Path) -> None:
    claim(cfg, tmp_path / "new")
    status.write_status(tmp_path, "failed")  # before it saved anything
    claim(cfg, tmp_path)
    assert cfg.ckpt_path is None


@pytest.mark.parametrize("state", ["running", "interrupted", "failed"])
def test_the_same_command_goes_on_with_an_unfinished_run(cfg: DictConfig, tmp_path: Path, state: str) -> None:
    """Also when the run itself was resumed from another one."""
    cfg.ckpt_path = "/another/run"
    leave(tmp_path, state, cfg)
    cfg.optimized_metric = "AR"
    claim(cfg, tmp_path)
    assert cfg.ckpt_path == str(tmp_path)


def test_finished_runs_and_those_of_other_choices_are_kept(cfg: DictConfig, tmp_path: Path) -> None:
    leave(tmp_path, "done", cfg)
    with pytest.raises(PafposeError, match=r"results of another run \(seed=0\).*overwrite=true"):
        claim(cfg, tmp_path)
    leave(tmp_path, "interrupted", cfg)
    other = OmegaConf.merge(cfg, {"seed": 1})
    assert isinstance(other, DictConfig)
    with pytest.raises(PafposeError, match="results of another run"):
        claim(other, tmp_path)
    assert (tmp_path / "checkpoints" / "last.ckpt").read_text() == "weights"


def test_a_training_may_go_on_in_its_own_folder(
    cfg: DictConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(tmp_path, "done", cfg)
    for resumed in (tmp_path, tmp_path / "checkpoints" / "last.ckpt"):
        cfg.ckpt_path = str(resumed)
        claim(cfg, tmp_path)
    cfg.ckpt_path = str(tmp_path.parent)
    with pytest.raises(PafposeError, match="results of another run"):
        claim(cfg, tmp_path)
    cfg.ckpt_path = str(tmp_path)
    monkeypatch.setattr(FakeHydra, "job", OmegaConf.create({"config_name": "evaluate"}))
    with pytest.raises(PafposeError, match="results of another run"):
        claim(cfg, tmp_path)


def test_a_prediction_goes_on_in_its_own_folder(
    cfg: DictConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it is done: the photos may have become more."""
    monkeypatch.setattr(FakeHydra, "job", OmegaConf.create({"config_name": "predict"}))
    status.write_status(tmp_path, "done")
    with pytest.raises(PafposeError, match="results of another run"):
        claim(cfg, tmp_path)
    (tmp_path / "predictions.jsonl").write_text("{}")
    claim(cfg, tmp_path)
    cfg.overwrite = True
    claim(cfg, tmp_path)
    assert not list(tmp_path.iterdir())


def test_overwriting_deletes_results_and_nothing_else(cfg: DictConfig, tmp_path: Path) -> None:
    leave(tmp_path, "done", cfg)
    (tmp_path / "notes.txt").write_text("mine")
    cfg.overwrite = True
    claim(cfg, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_folder_in_which_a_process_writes_is_refused(cfg: DictConfig, tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    there = place() | {"pid": other.pid}
    leave(tmp_path, "running", cfg, **there)
    cfg.overwrite = True
    with pytest.raises(PafposeError, match=f"process {other.pid} is writing"):
        claim(cfg, tmp_path)
    other.communicate(b"\n")
    cfg.overwrite = False
    claim(cfg, tmp_path)
    assert cfg.ckpt_path == str(tmp_path) and place()["pid"] == os.getpid()
