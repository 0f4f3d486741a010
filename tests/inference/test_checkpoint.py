"""Checkpoints as they are found, read and refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

import pafpose
from pafpose import api
from pafpose.errors import PafposeError
from pafpose.inference.checkpoint import choose_device, find_checkpoint, load_network


def test_a_run_folder_gives_its_best_checkpoint_or_what_is_preferred(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    torch.save({}, folder / "last.ckpt")
    assert find_checkpoint(tmp_path) == folder / "last.ckpt"
    torch.save({}, folder / "best.ckpt")
    assert find_checkpoint(tmp_path) == folder / "best.ckpt"
    assert find_checkpoint(tmp_path, prefer=("last", "best")) == folder / "last.ckpt"
    assert find_checkpoint(folder / "last.ckpt") == folder / "last.ckpt"
    with pytest.raises(PafposeError, match=r"ckpt_path=.*no such checkpoint"):
        find_checkpoint(tmp_path / "checkpoints")


def test_damaged_checkpoints_are_passed_over_and_named(tmp_path: Path, caplog: Any) -> None:
    """Empty or cut off, as a copy that stopped half-way; then the newest of the others counts."""
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    torch.save({"state_dict": torch.zeros(1000)}, folder / "best.ckpt")
    whole = (folder / "best.ckpt").read_bytes()
    for damaged in (b"", whole[:100], whole[:-100], b"text"):
        (folder / "last.ckpt").write_bytes(damaged)
        caplog.clear()
        assert find_checkpoint(tmp_path, prefer=("last", "best")) == folder / "best.ckpt"
        assert "last.ckpt is damaged; taking" in caplog.text
    for name, time in (("epoch1", 10), ("epoch3", 30), ("epoch2", 20)):
        (folder / f"{name}.ckpt").write_bytes(whole)
        os.utime(folder / f"{name}.ckpt", (time, time))
    (folder / "best.ckpt").write_bytes(b"")
    assert find_checkpoint(tmp_path) == folder / "epoch3.ckpt"
    for file in folder.iterdir():
        file.write_bytes(b"")
    with pytest.raises(PafposeError, match=r"every checkpoint in it is damaged"):
        find_checkpoint(tmp_path)


def test_a_loaded_network_is_ready_for_inference(checkpoint: Path) -> None:
    trained = load_network(checkpoint)
    assert not any(module.training for module in trained.network.modules())
    assert trained.device == torch.device("cpu") and trained.stride == trained.config["head"]["stride"]
    assert trained.skeleton.name == trained.decoder.skeleton.name == "coco18"
    assert trained.settings.input_size == 96
    assert any(
        p.is_contiguous(memory_format=torch.channels_last)
        for p in trained.network.parameters()
        if p.ndim == 4
    )
    stored = torch.load(checkpoint / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    loaded = trained.network.state_dict()
    assert {f"network.{name}" for name in loaded} == set(stored)
    assert all(torch.equal(value, stored[f"network.{name}"]) for name, value in loaded.items())


def test_the_network_and_its_input_go_to_the_chosen_device(checkpoint: Path) -> None:
    trained = load_network(checkpoint, device="meta")
    assert {parameter.device.type for parameter in trained.network.parameters()} == {"meta"}
    assert trained.predict_fields(torch.zeros(1, 3, 64, 64)).pafs.device.type == "meta"


class Exploit:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("code of the checkpoint was run",))


def test_a_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    torch.save({"hyper_parameters": Exploit(), "state_dict": {}}, tmp_path / "evil.ckpt")
    with pytest.raises(PafposeError, match=r"evil\.ckpt: not a pafpose checkpoint"):
        load_network(tmp_path / "evil.ckpt", trust=True)


def test_pretrained_weights_are_not_fetched_again(checkpoint: Path, tmp_path: Path) -> None:
    """The config of the run may ask for weights that are not on this machine."""
    content = torch.load(checkpoint / "checkpoints" / "best.ckpt", weights_only=True)
    content["hyper_parameters"]["config"]["backbone"]["weights"] = "/nowhere/weights.pth"
    torch.save(content, tmp_path / "run.ckpt")
    assert load_network(tmp_path / "run.ckpt").config["backbone"]["weights"] is None


@pytest.mark.parametrize("part", ["backbone", "head"])
def test_foreign_code_needs_trust(checkpoint: Path, tmp_path: Path, part: str) -> None:
    content = torch.load(checkpoint / "checkpoints" / "best.ckpt", weights_only=True)
    content["hyper_parameters"]["config"][part]["_target_"] = "os.getcwd"
    torch.save(content, tmp_path / "evil.ckpt")
    for load in (load_network, pafpose.load):
        with pytest.raises(PafposeError, match=r"os\.getcwd.*trust=True"):
            load(tmp_path / "evil.ckpt")
    for load in (load_network, pafpose.load):  # called, with arguments that it does not know
        with pytest.raises(PafposeError, match=r"TypeError: posix\.getcwd\(\)"):
            load(tmp_path / "evil.ckpt", trust=True)


@pytest.mark.parametrize("content", [b"hello", {"state_dict": {}}, {"hyper_parameters": {"config": {}}}])
def test_other_files_are_refused(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "other.ckpt"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(PafposeError, match=r"other\.ckpt: not a pafpose checkpoint"):
        load_network(path)


def test_the_gpu_is_used_where_there_is_one(monkeypatch: pytest.MonkeyPatch, checkpoint: Path) -> None:
    for there, name in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr("torch.cuda.is_available", lambda there=there: there)
        assert choose_device(None) == torch.device(name)
        assert choose_device("cpu") == torch.device("cpu") and choose_device("cuda:1") == torch.device(
            "cuda:1"
        )
    devices: list[torch.device] = []
    real = api.load_network
    monkeypatch.setattr(api, "load_network", lambda path, **how: devices.append(how["device"]) or real(path))
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    pafpose.load(checkpoint)
    pafpose.load(checkpoint, device="cpu")
    assert devices == [torch.device("cuda"), torch.device("cpu")]


def test_train_is_that_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pafpose.training.run.train", lambda cfg: {"AP": cfg["number"]})
    assert pafpose.train({"number": 0.5}) == {"AP": 0.5}


def test_a_network_that_no_memory_could_hold_is_refused_at_once(checkpoint: Path, tmp_path: Path) -> None:
    content = torch.load(checkpoint / "checkpoints" / "best.ckpt", weights_only=True)
    content["hyper_parameters"]["config"]["head"]["expansion"] = 1e9
    torch.save(content, tmp_path / "huge.ckpt")
    with pytest.raises(PafposeError, match=r"huge\.ckpt: its weights do not fit"):
        load_network(tmp_path / "huge.ckpt")
