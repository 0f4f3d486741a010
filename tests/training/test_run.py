"""Training from end to end on a few drawn pictures with the smallest network: files, resuming, safety, AP."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import pafpose
from pafpose.errors import PafposeError
from pafpose.inference.checkpoint import load_network
from pafpose.training.callbacks.progress import ProgressLines
from pafpose.training.module import PoseModule
from pafpose.training.run import build_trainer, train

TINY = [
    "backbone=tiny",
    "head=single",
    "optimizer=adamw",
    "callbacks=ema",
    "data.train_count=8",
    "data.val_count=4",
    "data.generator_workers=1",
    "data.num_workers=0",
    "data.batch_size=4",
    "augment.crop=64",
    "evaluate.input_size=64",
    "data.picture_size=64",
    "trainer.max_steps=3",
    "trainer.val_check_interval=2",
    "trainer.log_every_n_steps=1",
    "trainer.accelerator=cpu",
]


def run(folder: Path, *overrides: str) -> tuple[dict[str, float], Path]:
    """One tiny training below ``folder``; its metrics and run folder."""
    out = folder / f"run{len(list(folder.glob('run*')))}"
    places = [f"paths.output_dir={out}", f"paths.data_dir={folder / 'data'}"]
    return train(pafpose.load_config([*TINY, *places, *overrides])), out


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, float], Path]:
    return run(tmp_path_factory.mktemp("trained"))


def test_a_run_leaves_what_users_look_for(trained: tuple[dict[str, float], Path]) -> None:
    metrics, out = trained
    for name in ("config.yaml", "metrics.json", "checkpoints/best.ckpt", "checkpoints/last.ckpt"):
        assert (out / name).is_file(), name
    tags = EventAccumulator(str(out / "tensorboard")).Reload().Tags()["scalars"]
    assert "train/loss/paf_stage1" in tags and not any("/limb/" in tag for tag in tags)
    assert list((out / "images").rglob("*.png"))
    stored = json.loads((out / "metrics.json").read_text())
    assert {"AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL"} <= set(stored)
    assert stored["AP"] == metrics["AP"] and 0 <= metrics["AP"] <= 1
    assert metrics["steps"] == 3  # the last step was no validation step: validated at the end all the same


@pytest.mark.parametrize("minutes", ["null", "10"])
def test_the_last_checkpoint_is_of_the_last_step_though_it_is_not_the_best(
    tmp_path: Path, minutes: str
) -> None:
    every = ("trainer.val_check_interval=1", f"max_minutes={minutes}", "callbacks=none")
    _, out = run(tmp_path, *every)  # AP 0 all the time: the first is the best
    steps = {
        name: torch.load(out / "checkpoints" / f"{name}.ckpt", weights_only=True)["global_step"]
        for name in ("best", "last")
    }
    assert steps == {"best": 1, "last": 3}


def test_checkpoints_hold_plain_values_and_load_safely(trained: tuple[dict[str, float], Path]) -> None:
    _, out = trained
    for name in ("best", "last"):
        content = torch.load(out / "checkpoints" / f"{name}.ckpt", weights_only=True)
        assert content["hyper_parameters"]["config"]["paf"]["width"] == 8
        assert not any("_orig_mod" in key for key in content["state_dict"])


def test_the_predictor_reads_run_folders_and_arrays(trained: tuple[dict[str, float], Path]) -> None:
    predictor = pafpose.load(trained[1])
    people = predictor(np.zeros((50, 70, 3), np.uint8))
    assert people.keypoints.shape[1:] == (18, 3) and len(people.scores) == len(people.keypoints)


def test_a_checkpoint_that_names_foreign_code_is_refused(
    trained: tuple[dict[str, float], Path], tmp_path: Path
) -> None:
    content = torch.load(trained[1] / "checkpoints" / "best.ckpt", weights_only=True)
    content["hyper_parameters"]["config"]["backbone"]["_target_"] = "os.system"
    torch.save(content, tmp_path / "evil.ckpt")
    with pytest.raises(PafposeError, match=r"os\.system.*trust=True"):
        pafpose.load(tmp_path / "evil.ckpt")


def test_resuming_goes_on_with_optimiser_schedule_and_step(trained: tuple[dict[str, float], Path]) -> None:
    before = torch.load(trained[1] / "checkpoints" / "last.ckpt", weights_only=True)
    metrics, out = run(trained[1].parent, f"ckpt_path={trained[1]}", "trainer.max_steps=5")
    after = torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)
    assert metrics["steps"] == 5 and before["global_step"] == 3 and after["global_step"] == 5
    assert after["lr_schedulers"][0]["last_epoch"] == 5
    assert after["optimizer_states"][0]["state"][0]["step"] == 5


def test_weights_alone_cannot_be_resumed(trained: tuple[dict[str, float], Path], tmp_path: Path) -> None:
    content = torch.load(trained[1] / "checkpoints" / "last.ckpt", weights_only=True)
    torch.save({key: content[key] for key in ("state_dict", "hyper_parameters")}, tmp_path / "weights.ckpt")
    with pytest.raises(PafposeError, match=r"weights\.ckpt holds weights without the state of training"):
        run(tmp_path, f"ckpt_path={tmp_path / 'weights.ckpt'}")
    (tmp_path / "text.ckpt").write_text("hello")
    with pytest.raises(PafposeError, match=r"text\.ckpt: not a checkpoint"):
        run(tmp_path, f"ckpt_path={tmp_path / 'text.ckpt'}")


def test_missing_checkpoints_say_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(PafposeError, match=r"ckpt_path=.*run folder that holds checkpoints/best\.ckpt"):
        pafpose.load(tmp_path / "nothing.ckpt")


def test_the_module_stays_small() -> None:
    source = Path(pafpose.training.module.__file__).read_text()
    assert source.count("\n") < 200
    assert issubclass(PoseModule, torch.nn.Module)


def test_keypoints_and_limbs_have_curves_of_their_own_when_asked(tmp_path: Path) -> None:
    _, out = run(tmp_path, "loss.log_channels=true", "callbacks=none", "trainer.max_steps=1")
    events = EventAccumulator(str(out / "tensorboard")).Reload()
    tags = set(events.Tags()["scalars"])
    wanted = {"keypoint/nose", "keypoint/background", "limb/neck-nose", "limb/left_eye-left_ear"}
    assert {f"{split}/{name}" for split in ("train", "val") for name in wanted} <= tags
    limbs = [events.Scalars(tag)[-1].value for tag in tags if tag.startswith("val/limb/")]
    assert len(limbs) == 19 and all(value > 0 for value in limbs)


def test_batchnorm_over_processes_on_cpus_is_refused_by_its_key(tmp_path: Path) -> None:
    two = ["trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu"]
    with pytest.raises(
        PafposeError,
        match=r"trainer\.sync_batchnorm=true.*CPUs use trainer=ddp_cpu, or trainer\.sync_batchnorm=false",
    ):
        run(tmp_path, *two)


def test_losses_of_different_batch_sizes_compare(tmp_path: Path) -> None:
    """The same picture twice costs what it costs once."""
    cfg = pafpose.load_config([*TINY, f"paths.data_dir={tmp_path}"])
    from pafpose.config import plain

    module = PoseModule(plain(cfg)).eval()
    data = pafpose.build_datamodule(cfg)
    batch = next(iter(data.val_dataloader()))
    once = type(batch)(*(field[:1] for field in batch))
    twice = type(batch)(*(torch.cat([field[:1]] * 2) for field in batch))
    with torch.no_grad():
        terms = [module.loss(module(b.image), module.render(b)) for b in (once, twice)]
    for name, value in terms[0].items():
        assert math.isclose(float(value), float(terms[1][name]), rel_tol=1e-4), name


def test_the_same_seed_trains_the_same_weights(tmp_path: Path) -> None:
    states = []
    for seed in (0, 0, 1):
        _, out = run(tmp_path, "optimizer=muon", "callbacks=none", "trainer.max_steps=2", f"seed={seed}")
        states.append(torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"])
    first, again, other = states
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert any(not torch.equal(value, other[name]) for name, value in first.items())


def test_no_validation_is_no_score(tmp_path: Path) -> None:
    metrics, out = run(tmp_path, "trainer.limit_val_batches=0", "trainer.max_steps=1")
    assert (out / "checkpoints" / "best.ckpt").is_file() and math.isfinite(metrics["AP"])


@pytest.mark.parametrize("precision", ["bf16-mixed"])
def test_mixed_precision_keeps_targets_and_loss_in_float32(tmp_path: Path, precision: str) -> None:
    metrics, _ = run(tmp_path, f"precision={precision}", "callbacks=none")
    assert math.isfinite(metrics["AP"])


def test_log_lines_stand_alone_where_there_is_no_terminal(tmp_path: Path) -> None:
    """Lightning would add a bar of its own beside them."""
    places = [f"paths.output_dir={tmp_path}", "logger=none"]
    lines = build_trainer(pafpose.load_config([*TINY, "callbacks=default", *places]))
    assert any(isinstance(callback, ProgressLines) for callback in lines.callbacks)
    assert lines.progress_bar_callback is None


def test_a_run_that_diverged_ends_at_once(tmp_path: Path) -> None:
    """Not only when it is validated, which may be hours later."""
    diverging = ("loss.heatmap_weight=nan", "trainer.max_steps=50", "trainer.val_check_interval=50")
    with pytest.raises(PafposeError, match=r"NaN or infinite at steps 2 and 4.*optimizer\.lr"):
        run(tmp_path, *diverging, "trainer.log_every_n_steps=2", "callbacks=none")


@pytest.mark.slow
def test_a_compiled_network_leaves_the_same_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traced by torch.compile; the backend is the quick one, as names and shapes are what matters here."""
    calls: list[object] = []
    compile_in_place = torch.nn.Module.compile

    def quickly(module: torch.nn.Module) -> None:
        calls.append(module)
        compile_in_place(module, backend="eager")

    monkeypatch.setattr(torch.nn.Module, "compile", quickly)
    _, out = run(tmp_path, "compile=true", "callbacks=none", "trainer.max_steps=2")
    assert len(calls) == 1
    state = torch.load(out / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    assert not any("_orig_mod" in name for name in state)
    assert set(state) == {f"network.{name}" for name in load_network(out).network.state_dict()}
    people = pafpose.load(out)(np.zeros((50, 70, 3), np.uint8))
    assert people.keypoints.shape[1:] == (18, 3)
