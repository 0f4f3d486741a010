"""The state of a run on disk: what counts as finished, as the same choices, as worth going on from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from pafpose.config import load_config
from pafpose.errors import PafposeError
from pafpose.runtime.run_status import (
    digest,
    finished_value,
    is_first_process,
    read_status,
    unfinished_checkpoint,
    write_status,
)


@pytest.fixture
def cfg():
    return OmegaConf.create({"paf": {"width": 8}, "optimized_metric": "AP", "ckpt_path": None})


def finish(folder: Path, cfg, **metrics: float) -> None:
    write_status(folder, "running", digest=digest(cfg), overrides=["paf.width=8"])
    write_status(folder, "done", value=metrics.get("AP"))
    (folder / "metrics.json").write_text(json.dumps(metrics))


def test_the_digest_sees_choices_and_not_folders() -> None:
    base = digest(load_config(["paf.width=8"]))
    assert digest(load_config(["paf.width=8", "optimized_metric=AR"])) == base  # and another output folder
    assert digest(load_config(["paf.width=9"])) != base
    assert digest(load_config(["paf.width=8", "backbone=tiny"])) != base


def test_states_follow_each_other(tmp_path: Path) -> None:
    assert read_status(tmp_path) == {}
    write_status(tmp_path, "running", digest="x")
    write_status(tmp_path, "failed", error="no")
    failed = read_status(tmp_path)
    assert (failed["state"], failed["digest"], failed["error"]) == ("failed", "x", "no")
    write_status(tmp_path, "running", digest="y")
    assert set(read_status(tmp_path)) == {"state", "started", "digest"}
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]


def test_a_finished_run_gives_the_metric_that_is_asked_for_now(tmp_path: Path, cfg) -> None:
    finish(tmp_path, cfg, AP=0.5, AR=0.6)
    assert finished_value(cfg, tmp_path) == (True, 0.5)
    cfg.optimized_metric = "AR"
    assert finished_value(cfg, tmp_path) == (True, 0.6)


@pytest.mark.parametrize("state", ["running", "failed"])
def test_other_states_are_not_finished(tmp_path: Path, cfg, state: str) -> None:
    assert finished_value(cfg, tmp_path) == (False, None)
    write_status(tmp_path, state, digest=digest(cfg))
    assert finished_value(cfg, tmp_path) == (False, None)


def test_metrics_that_are_gone_or_broken_are_computed_again(tmp_path: Path, cfg) -> None:
    finish(tmp_path, cfg, AP=0.5)
    (tmp_path / "metrics.json").write_text('{"AP": 0')
    assert finished_value(cfg, tmp_path)[0] is False


def test_a_finished_run_with_other_choices_is_never_overwritten(tmp_path: Path, cfg) -> None:
    finish(tmp_path, cfg, AP=0.5)
    cfg.paf.width = 4
    with pytest.raises(PafposeError, match="finished run with other choices"):
        finished_value(cfg, tmp_path)


def test_going_on_needs_an_unfinished_run_of_the_same_choices_and_its_checkpoint(tmp_path: Path, cfg) -> None:
    write_status(tmp_path, "running", digest=digest(cfg))
    assert not unfinished_checkpoint(cfg, tmp_path)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    assert unfinished_checkpoint(cfg, tmp_path)
    chosen = OmegaConf.merge(cfg, {"ckpt_path": "mine.ckpt"})
    assert not unfinished_checkpoint(chosen, tmp_path)
    write_status(tmp_path, "failed", error="nan", digest=digest(cfg))
    assert unfinished_checkpoint(cfg, tmp_path)
    write_status(tmp_path, "done", digest=digest(cfg))
    assert not unfinished_checkpoint(cfg, tmp_path)
    cfg.paf.width = 4
    write_status(tmp_path, "running", digest="other")
    assert not unfinished_checkpoint(cfg, tmp_path)


def test_only_the_first_process_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_first_process()
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert not is_first_process()
