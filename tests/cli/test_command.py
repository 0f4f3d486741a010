"""The state that a command leaves: of single runs, and of jobs of a sweep that is started again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from pafpose.cli.command import guarded, run_job, run_recorded
from pafpose.errors import PafposeError
from pafpose.runtime import run_status as status


class FakeHydra:
    """What ``HydraConfig`` says inside ``hydra.main``."""

    overrides = OmegaConf.create({"task": ["paf.width=8"]})


@pytest.fixture
def cfg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DictConfig:
    monkeypatch.setattr("pafpose.cli.command.HydraConfig.initialized", lambda: True)
    monkeypatch.setattr("pafpose.cli.command.HydraConfig.get", lambda: FakeHydra)
    return OmegaConf.create(
        {"paths": {"output_dir": str(tmp_path)}, "ckpt_path": None, "optimized_metric": "AP"}
    )


def fail(error: Exception) -> Any:
    def body(_: DictConfig) -> None:
        raise error

    return body


def test_a_run_is_running_while_it_runs_and_then_done(cfg: DictConfig, tmp_path: Path) -> None:
    assert run_recorded(lambda _: status.read_status(tmp_path)["state"], cfg) == "running"
    found = status.read_status(tmp_path)
    assert (found["state"], found["value"], found["overrides"]) == ("done", "running", ["paf.width=8"])
    assert found["digest"] == status.digest(cfg)


def test_a_failed_run_says_why(cfg: DictConfig, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        run_recorded(fail(RuntimeError("out of memory")), cfg)
    found = status.read_status(tmp_path)
    assert (found["state"], found["error"]) == ("failed", "RuntimeError: out of memory")


def test_only_the_first_process_keeps_the_state(
    cfg: DictConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert run_recorded(lambda _: 5, cfg) == 5
    assert status.read_status(tmp_path) == {}


def test_a_finished_job_is_not_run_again(cfg: DictConfig, tmp_path: Path) -> None:
    run_job(lambda _: 0.5, cfg)
    (tmp_path / "metrics.json").write_text('{"AP": 0.5}')
    assert run_job(fail(AssertionError("run again")), cfg) == 0.5


def test_a_killed_job_goes_on_from_its_checkpoint(cfg: DictConfig, tmp_path: Path) -> None:
    fingerprint = status.digest(cfg)
    status.write_status(tmp_path, "running", digest=fingerprint)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    assert run_job(lambda given: given.ckpt_path, cfg) == str(tmp_path)
    assert status.read_status(tmp_path)["digest"] == fingerprint  # that of the choices, without ckpt_path


@pytest.mark.parametrize("error", [PafposeError("paf.width=-1"), RuntimeError("out of memory")])
def test_a_failed_job_hands_its_error_to_hydra(
    cfg: DictConfig, tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setattr("pafpose.cli.command.status.in_sweep", lambda: True)
    with pytest.raises(type(error), match=str(error)):
        guarded(fail(error))(cfg)
    assert status.read_status(tmp_path)["state"] == "failed"
    assert str(error) in caplog.text and str(tmp_path) in caplog.text
