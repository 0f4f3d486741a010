"""Training from end to end on a few drawn pictures with the smallest network: files, resuming, safety, AP."""

from __future__ import annotations

import csv
import json
import math
import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from omegaconf import DictConfig
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import pafpose
from pafpose.config import plain
from pafpose.errors import PafposeError
from pafpose.fields import Fields, Targets
from pafpose.inference.checkpoint import TrainedNetwork, load_network
from pafpose.losses import Loss
from pafpose.metrics import METRICS, KeypointAP
from pafpose.models.backbones.small import SmallBackbone
from pafpose.training.callbacks.progress import ProgressLines
from pafpose.training.module import PoseModule
from pafpose.training.run import build_trainer, find_resumable, refuse_ddp_sweep, train

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

COUNTS = ("photos", "annotated_all", "annotated_medium", "annotated_large")
NUMBERS = dict.fromkeys((*METRICS, *COUNTS), 0.0)  # of an evaluation


def tiny_config(folder: Path, *overrides: str) -> DictConfig:
    """The config of a training of seconds in a new run folder below ``folder``."""
    out = folder / f"run{len(list(folder.glob('run*')))}"
    places = [f"paths.output_dir={out}", f"paths.data_dir={folder / 'data'}"]
    return pafpose.load_config([*TINY, *places, *overrides])


def run(folder: Path, *overrides: str) -> tuple[dict[str, float], Path]:
    """Train for seconds below ``folder``; return the metrics and the run folder."""
    cfg = tiny_config(folder, *overrides)
    return train(cfg), Path(cfg.paths.output_dir)


def load(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True)


def steps_of(run_folder: Path) -> dict[str, int]:
    """The step of each checkpoint of a run."""
    return {path.stem: load(path)["global_step"] for path in (run_folder / "checkpoints").iterdir()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, float], Path]:
    """The metrics and the folder of one run with all callbacks."""
    return run(tmp_path_factory.mktemp("trained"), "callbacks.timing.window=0")


def test_a_run_leaves_what_users_look_for(trained: tuple[dict[str, float], Path]) -> None:
    metrics, out = trained
    tags = EventAccumulator(str(out / "tensorboard")).Reload().Tags()["scalars"]
    assert {"train/loss", "train/loss/paf_stage1", "val/AP", "train/samples_per_second"} <= set(tags)
    assert any(tag.startswith("lr-") for tag in tags) and not any("/limb/" in tag for tag in tags)
    hyperparameters = (out / "tensorboard" / "hparams.yaml").read_text()
    assert yaml.safe_load(hyperparameters)["paf"]["width"] == 8
    assert len(list((out / "images" / "val").glob("*.png"))) == 2 * 4  # four photos at two validations
    assert isinstance(json.loads((out / "detections.json").read_text()), list)
    stored = json.loads((out / "metrics.json").read_text())
    assert {"AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL"} <= set(stored)
    assert stored["AP"] == metrics["AP"] and 0 <= metrics["AP"] <= 1
    assert metrics["steps"] == 3 and metrics["minutes"] > 0
    assert steps_of(out)["last"] == 3  # no multiple of the interval, but validated and saved all the same


def test_the_config_is_saved_as_it_was_used(trained: tuple[dict[str, float], Path]) -> None:
    config = yaml.safe_load((trained[1] / "config.yaml").read_text())
    assert config["paths"]["output_dir"] == str(trained[1])
    assert config == load(trained[1] / "checkpoints" / "last.ckpt")["hyper_parameters"]["config"]


@pytest.mark.parametrize(
    ("length", "last"),
    [
        (("trainer.max_steps=-1", "trainer.max_epochs=2"), 4),  # passes of two steps
        (("trainer.max_steps=3", "trainer.accumulate_grad_batches=2"), 3),
        (("trainer.max_steps=100", "max_minutes=0.0001"), 1),
    ],
)
def test_every_run_is_validated_at_its_end(tmp_path: Path, length: tuple[str, ...], last: int) -> None:
    interval = ("trainer.val_check_interval=50", "scheduler=none", "callbacks=none")
    metrics, out = run(tmp_path, *interval, *length)
    assert metrics["steps"] == last and steps_of(out) == {"best": last, "last": last}


def test_the_best_checkpoint_has_the_highest_ap_and_is_evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.1, 0.5, 0.3])
    monkeypatch.setattr(KeypointAP, "compute", lambda *_: {"AP": next(scores), "AR": 0.0})
    evaluated: list[TrainedNetwork] = []

    def evaluate(trained: TrainedNetwork, data: object) -> tuple[dict[str, float], list[object], list[int]]:
        evaluated.append(trained)
        return NUMBERS | {"AP": 0.5}, [], []

    monkeypatch.setattr("pafpose.training.run.evaluate_trained", evaluate)
    metrics, out = run(tmp_path, "trainer.val_check_interval=1", "callbacks=none")
    assert steps_of(out) == {"best": 2, "last": 3} and metrics["AP"] == 0.5
    best = load(out / "checkpoints" / "best.ckpt")["state_dict"]
    for name, value in evaluated[0].network.state_dict().items():
        assert torch.equal(value, best[f"network.{name}"]), name


def test_checkpoints_hold_plain_values_and_load_safely(trained: tuple[dict[str, float], Path]) -> None:
    _, out = trained
    for name in ("best", "last"):
        content = load(out / "checkpoints" / f"{name}.ckpt")
        assert content["hyper_parameters"]["config"]["paf"]["width"] == 8
        assert not any("_orig_mod" in key for key in content["state_dict"])


def test_the_predictor_reads_run_folders_and_arrays(trained: tuple[dict[str, float], Path]) -> None:
    predictor = pafpose.load(trained[1])
    people = predictor(np.zeros((50, 70, 3), np.uint8))
    assert people.keypoints.shape[1:] == (18, 3) and len(people.scores) == len(people.keypoints)


def test_a_checkpoint_that_names_foreign_code_is_refused(
    trained: tuple[dict[str, float], Path], tmp_path: Path
) -> None:
    content = load(trained[1] / "checkpoints" / "best.ckpt")
    content["hyper_parameters"]["config"]["backbone"]["_target_"] = "os.system"
    torch.save(content, tmp_path / "evil.ckpt")
    with pytest.raises(PafposeError, match=r"os\.system.*trust=True"):
        pafpose.load(tmp_path / "evil.ckpt")


def test_resuming_goes_on_with_optimiser_schedule_and_step(trained: tuple[dict[str, float], Path]) -> None:
    metrics, out = run(trained[1].parent, f"ckpt_path={trained[1]}", "trainer.max_steps=5")
    after = load(out / "checkpoints" / "last.ckpt")
    assert metrics["steps"] == 5 and after["global_step"] == 5
    assert after["lr_schedulers"][0]["last_epoch"] == 5
    assert after["optimizer_states"][0]["state"][0]["step"] == 5


def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path) -> None:
    """Weights, average and all, though the interruption came in the middle of a pass over the data."""
    settings = ("callbacks.ema.every_n_steps=2", "callbacks.panels.num_photos=0", "scheduler=none")
    _, straight = run(tmp_path, *settings, "trainer.max_steps=4")
    _, first = run(tmp_path, *settings, "trainer.max_steps=3")
    _, second = run(tmp_path, *settings, "trainer.max_steps=4", f"ckpt_path={first}")
    expected, resumed = (load(out / "checkpoints" / "last.ckpt") for out in (straight, second))
    for key in ("state_dict", "current_model_state"):
        for name, value in expected[key].items():
            assert torch.equal(value, resumed[key][name]), name


def test_a_finished_run_can_be_resumed(trained: tuple[dict[str, float], Path]) -> None:
    """No step is left; its weights are evaluated."""
    metrics, out = run(trained[1].parent, f"ckpt_path={trained[1]}")
    assert metrics["steps"] == 3 and steps_of(out) == steps_of(trained[1])
    before, after = (load(folder / "checkpoints" / "last.ckpt") for folder in (trained[1], out))
    for key in ("state_dict", "current_model_state"):
        assert all(torch.equal(value, after[key][name]) for name, value in before[key].items())


def test_the_best_so_far_goes_along_into_a_new_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resumed run ends with the best checkpoint of the whole run, whichever part it comes from."""
    scores = iter([0.5, 0.1, 0.2, 0.7, 0.3])
    monkeypatch.setattr(KeypointAP, "compute", lambda *_: {"AP": next(scores), "AR": 0.0})
    monkeypatch.setattr("pafpose.training.run.evaluate_trained", lambda *_: (NUMBERS, [], []))
    settings = ("trainer.val_check_interval=1", "callbacks=none", "scheduler=none")
    _, first = run(tmp_path, *settings, "trainer.max_steps=2")
    _, second = run(tmp_path, *settings, f"ckpt_path={first}", "trainer.max_steps=3")
    _, third = run(tmp_path, *settings, f"ckpt_path={second}", "trainer.max_steps=5")
    assert steps_of(first) == {"best": 1, "last": 2}
    assert steps_of(second) == {"best": 1, "last": 3}
    assert steps_of(third) == {"best": 4, "last": 5}


def test_without_its_file_the_best_so_far_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.5, 0.1])
    monkeypatch.setattr(KeypointAP, "compute", lambda *_: {"AP": next(scores), "AR": 0.0})
    monkeypatch.setattr("pafpose.training.run.evaluate_trained", lambda *_: (NUMBERS, [], []))
    settings = ("trainer.val_check_interval=1", "callbacks=none", "scheduler=none")
    _, first = run(tmp_path, *settings, "trainer.max_steps=1")
    (first / "checkpoints" / "best.ckpt").unlink()
    _, second = run(tmp_path, *settings, f"ckpt_path={first}", "trainer.max_steps=2")
    assert steps_of(second) == {"best": 2, "last": 2}


LIGHTNINGS = (  # a callback of the user's, whose state has paths
    "+callbacks.own._target_=pytorch_lightning.callbacks.ModelCheckpoint",
    "+callbacks.own.dirpath=${paths.output_dir}/own",
)


@pytest.mark.parametrize("own", [(), LIGHTNINGS])
def test_paths_in_a_checkpoint_are_never_followed(tmp_path: Path, own: tuple[str, ...]) -> None:
    """A doctored state names files and folders outside the run, in its own folder and below that."""
    _, first = run(tmp_path, "callbacks=none", "trainer.max_steps=1", "trainer.val_check_interval=1", *own)
    folders = [first / "own", first / "own" / "sub", first / "checkpoints" / "sub", tmp_path / "victim"]
    for folder in folders:
        folder.mkdir(exist_ok=True)
        (folder / "kept.txt").write_text("kept")
    file = first / "checkpoints" / "last.ckpt"
    content = load(file)
    keys = ("best_model_path", "last_model_path", "kth_best_model_path")
    for folder in (*folders, first / "own" / ".." / ".." / "victim"):
        evil = {key: str(folder) for key in keys} | {"best_k_models": {str(folder): torch.tensor(0.0)}}
        evil |= {
            "dirpath": str(first / "own"),
            "best_model_score": torch.tensor(0.0),
            "kth_value": torch.tensor(0.0),
        }
        content["callbacks"] = {name: state | evil for name, state in content["callbacks"].items()}
        torch.save(content, file)
        again = [f"paths.output_dir={first}", f"ckpt_path={file}", "trainer.max_steps=2"]
        run(tmp_path, "callbacks=none", "trainer.val_check_interval=1", *own, *again)
    assert all((folder / "kept.txt").read_text() == "kept" for folder in folders)


def test_the_best_checkpoint_is_evaluated_under_the_config_of_the_run(
    trained: tuple[dict[str, float], Path], tmp_path: Path
) -> None:
    """The one that was taken along from another folder may name code that nobody asked for."""
    copy = tmp_path / "copy"
    shutil.copytree(trained[1], copy)
    content = load(copy / "checkpoints" / "best.ckpt")
    content["hyper_parameters"]["config"]["backbone"]["_target_"] = "os.system"
    torch.save(content, copy / "checkpoints" / "best.ckpt")
    metrics, _ = run(trained[1].parent, f"ckpt_path={copy}")
    assert metrics["AP"] == trained[0]["AP"]


def test_training_resumes_from_the_last_checkpoint_not_the_best(
    trained: tuple[dict[str, float], Path],
) -> None:
    assert find_resumable(str(trained[1])) == (trained[1] / "checkpoints" / "last.ckpt", 3)


def test_weights_alone_cannot_be_resumed(trained: tuple[dict[str, float], Path], tmp_path: Path) -> None:
    content = load(trained[1] / "checkpoints" / "last.ckpt")
    torch.save({key: content[key] for key in ("state_dict", "hyper_parameters")}, tmp_path / "weights.ckpt")
    with pytest.raises(PafposeError, match=r"weights\.ckpt: holds weights without the state of training"):
        run(tmp_path, f"ckpt_path={tmp_path / 'weights.ckpt'}")
    (tmp_path / "text.ckpt").write_text("hello")
    with pytest.raises(PafposeError, match=r"text\.ckpt: not a checkpoint"):
        run(tmp_path, f"ckpt_path={tmp_path / 'text.ckpt'}")


def test_missing_checkpoints_say_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(PafposeError, match=r"ckpt_path=.*run folder that holds checkpoints/best\.ckpt"):
        pafpose.load(tmp_path / "nothing.ckpt")


def test_keypoints_and_limbs_have_curves_of_their_own_when_asked(tmp_path: Path) -> None:
    _, out = run(tmp_path, "loss.log_channels=true", "callbacks=none", "trainer.max_steps=1")
    events = EventAccumulator(str(out / "tensorboard")).Reload()
    tags = set(events.Tags()["scalars"])
    wanted = {"keypoint/nose", "keypoint/background", "limb/neck-nose", "limb/left_eye-left_ear"}
    assert {f"{split}/{name}" for split in ("train", "val") for name in wanted} <= tags
    limbs = [events.Scalars(tag)[-1].value for tag in tags if tag.startswith("val/limb/")]
    assert len(limbs) == 19 and all(value > 0 for value in limbs)


class OwnBackbone(SmallBackbone):
    """A network from outside pafpose."""


class OwnLoss(Loss):
    """The mean absolute PAF, whatever the target."""

    def __init__(self, *, factor: float, background: bool) -> None:
        self.factor = factor
        assert background

    def __call__(self, stages: Sequence[Fields], targets: Targets) -> dict[str, torch.Tensor]:
        return {"paf_size": self.factor * stages[-1].pafs.abs().mean()}


def test_a_loss_and_a_network_of_ones_own(tmp_path: Path) -> None:
    cfg = tiny_config(tmp_path, "callbacks=none", "logger=csv", "trainer.max_steps=1")
    cfg.loss = {"_target_": f"{__name__}.OwnLoss", "factor": 2.0}
    cfg.backbone._target_ = f"{__name__}.OwnBackbone"
    train(cfg)
    with (Path(cfg.paths.output_dir) / "csv" / "metrics.csv").open() as file:
        logged = {name: float(value) for row in csv.DictReader(file) for name, value in row.items() if value}
    assert logged["train/loss/paf_size"] == logged["train/loss"] > 0
    assert logged["val/loss/paf_size"] == logged["val/loss"] > 0


def test_a_plain_dict_is_a_config(tmp_path: Path) -> None:
    cfg = tiny_config(tmp_path, "callbacks=default", "callbacks.panels=null", "trainer.max_steps=1")
    assert train(plain(cfg))["steps"] == 1
    assert not (Path(cfg.paths.output_dir) / "images").exists()


def test_the_best_checkpoint_is_needed(tmp_path: Path) -> None:
    with pytest.raises(PafposeError, match=r"callbacks\.checkpoints cannot be left out"):
        run(tmp_path, "callbacks.checkpoints=null")


@pytest.mark.parametrize(
    ("overrides", "sweep", "refused"),
    [
        ("trainer=ddp trainer.devices=2", True, True),
        ("trainer=ddp trainer.devices=2", False, False),
        ("trainer=ddp trainer.devices=1 trainer.num_nodes=2", True, True),
        ("trainer=ddp trainer.devices=1", True, False),
        ("trainer=ddp_spawn_cpu", True, False),
        ("trainer=cpu trainer.devices=2", True, False),
    ],
)
def test_processes_that_would_start_the_sweep_again_are_refused(
    monkeypatch: pytest.MonkeyPatch, overrides: str, sweep: bool, refused: bool
) -> None:
    monkeypatch.setattr("pafpose.training.run.in_sweep", lambda: sweep)
    cfg = pafpose.load_config(overrides.split())
    with pytest.raises(PafposeError, match="cannot be combined with -m") if refused else nullcontext():
        refuse_ddp_sweep(cfg)


def test_training_asks_before_it_starts_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pafpose.training.run.in_sweep", lambda: True)
    monkeypatch.setattr("pafpose.training.run.build_trainer", lambda *_, **__: pytest.fail("too late"))
    with pytest.raises(PafposeError, match="cannot be combined with -m"):
        run(tmp_path, "trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu")


def test_batchnorm_over_processes_on_cpus_is_refused_by_its_key(tmp_path: Path) -> None:
    two = ["trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu"]
    assert build_trainer(tiny_config(tmp_path, "trainer.sync_batchnorm=true", "logger=none"))  # one process
    with pytest.raises(
        PafposeError,
        match=r"trainer\.sync_batchnorm=true.*CPUs use trainer=ddp_cpu, or trainer\.sync_batchnorm=false",
    ):
        run(tmp_path, *two)


def test_losses_of_different_batch_sizes_compare(tmp_path: Path) -> None:
    """The same picture twice costs what it costs once."""
    cfg = tiny_config(tmp_path)
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
        states.append(load(out / "checkpoints" / "last.ckpt")["state_dict"])
    first, again, other = states
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert any(not torch.equal(value, other[name]) for name, value in first.items())


def test_a_run_without_validation_keeps_its_last_weights(tmp_path: Path) -> None:
    metrics, out = run(tmp_path, "trainer.limit_val_batches=0", "trainer.max_steps=1")
    assert steps_of(out) == {"best": 1, "last": 1} and math.isfinite(metrics["AP"])


def test_mixed_precision_trains(tmp_path: Path) -> None:
    metrics, _ = run(tmp_path, "precision=bf16-mixed", "callbacks=none")
    assert math.isfinite(metrics["AP"])


def test_log_lines_stand_alone_where_there_is_no_terminal(tmp_path: Path) -> None:
    """Lightning would add a bar of its own beside them."""
    lines = build_trainer(tiny_config(tmp_path, "callbacks=default", "logger=none"))
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
    state = load(out / "checkpoints" / "best.ckpt")["state_dict"]
    assert not any("_orig_mod" in name for name in state)
    assert set(state) == {f"network.{name}" for name in load_network(out).network.state_dict()}
    people = pafpose.load(out)(np.zeros((50, 70, 3), np.uint8))
    assert people.keypoints.shape[1:] == (18, 3)
