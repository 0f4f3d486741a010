"""Training from a config to metrics: the recipe behind ``scripts/train.py``."""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback, Trainer, seed_everything
from pytorch_lightning.callbacks import LearningRateMonitor
from pytorch_lightning.loggers import Logger
from pytorch_lightning.strategies import ParallelStrategy

from pafpose import factory
from pafpose.config import Config, build, plain
from pafpose.data.datamodule import PoseDataModule
from pafpose.errors import PafposeError
from pafpose.inference.checkpoint import find_checkpoint, is_onnx, load_network
from pafpose.inference.evaluate import evaluate_trained
from pafpose.inference.exported_folder import is_exported_folder
from pafpose.inference.format_version import check_format
from pafpose.inference.score_table import print_table
from pafpose.metrics import score_text
from pafpose.runtime.files import write_json, write_whole
from pafpose.runtime.full_disk import explain_full_disk
from pafpose.runtime.invocation import spell
from pafpose.runtime.log import print_config, quiet_known_warnings
from pafpose.runtime.lost_process import explain_lost_process
from pafpose.runtime.run_status import in_sweep
from pafpose.training.callbacks import (
    Announce,
    Checkpoints,
    PendingGradients,
    StopOnSignal,
    ValidateLastStep,
)
from pafpose.training.callbacks.checkpoints import BEST
from pafpose.training.checkpoint_files import CheckpointFiles
from pafpose.training.finetune import Rows, build_from_weights, log_origins, note_unfinished
from pafpose.training.module import PoseModule
from pafpose.training.plan import fit_schedule
from pafpose.training.time_budget import TimeBudget

log = logging.getLogger(__name__)


def train(config: Config) -> dict[str, float]:
    """Train a network, evaluate its best checkpoint and return the metrics.

    Everything is written to ``paths.output_dir``: config.yaml, checkpoints/, tensorboard/, images/,
    detections.json, metrics.json.
    """
    cfg = OmegaConf.create(plain(config))  # resolved once, so that the run folder stays the same
    folder = Path(cfg.paths.output_dir)
    with explain_full_disk(folder), explain_lost_process(folder):
        return _train(cfg, folder)


def _train(cfg: DictConfig, folder: Path) -> dict[str, float]:
    started = time.monotonic()
    refuse_ddp_sweep(cfg)
    refuse_two_starts(cfg, folder)
    warn_about_other_data(cfg)
    quiet_known_warnings()
    if cfg.seed is not None:
        seed_everything(cfg.seed, workers=True, verbose=False)
    if torch.cuda.is_available():
        torch.set_float32_matmul_precision("high")  # TF32, which cuDNN's convolutions use anyway
    resume, step = find_resumable(cfg.ckpt_path) if cfg.ckpt_path else (None, 0)
    module, origins = build_module(cfg, resume)
    data = factory.build_datamodule(cfg)
    fit_schedule(cfg, data)
    trainer = build_trainer(cfg, resumed=step)
    if trainer.is_global_zero:
        save_config(cfg, folder)
        log_origins(origins)
        if resume:
            take_best_along(resume, folder / "checkpoints")
    if cfg.compile:
        module.network.compile()
    trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
    validate_if_killed_in_the_last_one(trainer, module, data)
    metrics = evaluate_best(cfg, trainer, folder)
    metrics |= {"steps": float(trainer.global_step), "minutes": (time.monotonic() - started) / 60}
    if trainer.is_global_zero:
        write_json(folder / "metrics.json", metrics)
        log_result(folder, metrics)
    return metrics


def refuse_ddp_sweep(cfg: DictConfig) -> None:
    """Raise ``PafposeError`` for DDP inside a sweep: its processes would start the whole sweep again."""
    strategy = str(cfg.trainer.strategy)
    relaunches = strategy.startswith("ddp") and "spawn" not in strategy and "fork" not in strategy
    several = str(cfg.trainer.devices) not in ("1", "auto") or int(cfg.trainer.num_nodes) > 1
    if in_sweep() and relaunches and several:
        raise PafposeError(
            f"trainer.strategy={strategy} with several processes cannot be combined with -m: every process "
            "would start the whole sweep again, with other choices. Use trainer.strategy=ddp_spawn, or "
            "trainer.devices=1 with a launcher that runs jobs side by side (hydra/launcher=joblib)"
        )


def warn_about_other_data(cfg: DictConfig) -> None:
    """Warn when the recipe of ``experiment=`` was made for other data than those chosen."""
    if cfg.get("made_for") and cfg.data.name not in cfg.made_for:
        log.warning(
            "this recipe was made for %s; with data.name=%s its targets, augmentation and length may not fit "
            "(leave experiment= out, and the data choose)",
            " | ".join(cfg.made_for),
            cfg.data.name,
        )


def refuse_two_starts(cfg: DictConfig, folder: Path) -> None:
    """Raise ``PafposeError`` for ``ckpt_path`` beside ``weights``, unless the run's own folder is resumed."""
    if not cfg.weights or not cfg.ckpt_path:
        return
    resumed = Path(str(cfg.ckpt_path)).resolve()
    if folder.resolve() not in (resumed, *resumed.parents):
        raise PafposeError(
            f"ckpt_path={cfg.ckpt_path} goes on with a run, its optimiser and schedule included, and "
            f"weights={cfg.weights} starts a new run from its weights; give one of the two"
        )


def build_module(cfg: DictConfig, resume: Path | None) -> tuple[PoseModule, Rows]:
    """Build the module; return it with the rows that say what came from ``cfg.weights``, if it did."""
    if resume:
        if cfg.weights and cfg.backbone.get("weights") is not None:
            cfg.backbone.weights = None  # the interrupted run did not read them either
        module = PoseModule(plain(cfg))
        refuse_other_network(module, resume)
        return module, []
    if cfg.weights:
        note_unfinished(str(cfg.weights))
        return build_from_weights(cfg)
    return PoseModule(plain(cfg)), []


def refuse_other_network(module: PoseModule, resume: Path) -> None:
    """Raise ``PafposeError`` if the network of a checkpoint to be resumed has other tensors."""
    content = torch.load(resume, map_location="cpu", weights_only=True, mmap=True)
    own, known = (
        {name: tuple(value.shape) for name, value in state.items()}
        for state in (module.state_dict(), content["state_dict"])
    )
    if own != known:
        name = min({name for name, _ in own.items() ^ known.items()})
        raise PafposeError(
            f"ckpt_path={resume}: a run goes on with its own network only, and this one differs ({name} is "
            f"{known.get(name, 'absent')} there and {own.get(name, 'absent')} here); repeat the choices of "
            f"its config.yaml, or start a new run from its weights with weights={resume}"
        )


def find_resumable(path: str) -> tuple[Path, int]:
    """Find the checkpoint to resume from, and its step; raise ``PafposeError`` if it holds weights alone."""
    if is_onnx(path):
        raise PafposeError(
            f"ckpt_path={path}: an ONNX file holds no state of training; give the run that it was made from"
        )
    if is_exported_folder(Path(str(path))):
        raise weights_alone(path)
    file = find_checkpoint(path, prefer=("last", "best"))
    try:
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        raise PafposeError(f"{file}: not a checkpoint of scripts/train.py ({error})") from error
    check_format(content.get("hyper_parameters", {}).get("format_version"), file)
    if "optimizer_states" not in content:
        raise weights_alone(file)
    return file, int(content["global_step"])


def weights_alone(path: str | Path) -> PafposeError:
    """Return the error for a file or folder from which no run can go on."""
    return PafposeError(
        f"ckpt_path={path}: holds weights without the state of training, as converted and exported networks "
        f"do. evaluate and predict accept it, but training cannot resume from it; weights={path} starts a "
        "new run"
    )


def take_best_along(resume: Path, folder: Path) -> None:
    """Copy the best checkpoint beside ``resume`` to the folder of the new run, unless that has one."""
    best = resume.parent / BEST
    if best.is_file() and not (folder / BEST).exists():
        folder.mkdir(parents=True, exist_ok=True)
        with best.open("rb") as source, write_whole(folder / BEST) as target:
            shutil.copyfileobj(source, target)


def build_trainer(cfg: DictConfig, *, resumed: int = 0) -> Trainer:
    """Build the Lightning trainer with the callbacks and loggers of the config; ``resumed`` is a step."""
    if not cfg.callbacks.get("checkpoints"):
        raise PafposeError("callbacks.checkpoints cannot be left out: the best checkpoint is evaluated")
    loggers = [build_logger(node, resumed) for node in cfg.logger.values() if node]
    callbacks: list[Callback] = [build(node) for node in cfg.callbacks.values() if node]
    if not loggers:  # Lightning's monitor refuses to run without one
        callbacks = [callback for callback in callbacks if not isinstance(callback, LearningRateMonitor)]
    callbacks += [ValidateLastStep(), Announce(Path(cfg.paths.output_dir)), PendingGradients()]
    callbacks += [StopOnSignal(callback) for callback in callbacks if isinstance(callback, Checkpoints)]
    if cfg.max_minutes is not None:
        callbacks.append(TimeBudget(cfg.max_minutes))
    trainer: Trainer = build(
        cfg.trainer,
        callbacks=callbacks,
        logger=loggers or False,
        plugins=[CheckpointFiles()],
        default_root_dir=cfg.paths.output_dir,
    )
    refuse_sync_batchnorm_on_cpu(cfg, trainer)
    for logger in loggers:
        logger.log_hyperparams(plain(cfg))
    return trainer


def build_logger(node: DictConfig, resumed: int) -> Logger:
    """Build a logger; TensorBoard hides what a killed run wrote after the step from which it is resumed."""
    hides = resumed and node.get("_target_") == "pytorch_lightning.loggers.TensorBoardLogger"
    return build(node, **({"purge_step": resumed} if hides else {}))


def refuse_sync_batchnorm_on_cpu(cfg: DictConfig, trainer: Trainer) -> None:
    """Raise ``PafposeError`` where torch would fail without naming the key."""
    parallel = isinstance(trainer.strategy, ParallelStrategy)
    if parallel and cfg.trainer.get("sync_batchnorm") and trainer.strategy.root_device.type == "cpu":
        raise PafposeError(
            "trainer.sync_batchnorm=true: torch can share BatchNorm statistics between GPUs only. On CPUs "
            "use trainer=ddp_cpu, or trainer.sync_batchnorm=false, so that each process has its own"
        )


def save_config(cfg: DictConfig, folder: Path) -> None:
    """Save the resolved config in the run folder, and print it with ``print_config=true``."""
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(cfg, folder / "config.yaml", resolve=True)
    if cfg.print_config:
        print_config(cfg)


def validate_if_killed_in_the_last_one(trainer: Trainer, module: PoseModule, data: PoseDataModule) -> None:
    """Make up for the validation of the last step, after which a resumed run has nothing else to train."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    if any(isinstance(callback, Checkpoints) and callback.validating for callback in callbacks):
        trainer.validate(module, datamodule=data, verbose=False)


def evaluate_best(cfg: DictConfig, trainer: Trainer, folder: Path) -> dict[str, float]:
    """Evaluate checkpoints/best.ckpt on rank 0 under the evaluate group; return the metrics on all ranks."""
    metrics: dict[str, float] = {}
    if trainer.is_global_zero:
        device = trainer.strategy.root_device
        best = load_network(folder / "checkpoints" / BEST, device=device, config=plain(cfg))
        data = factory.build_datamodule(cfg)
        data.setup("validate")
        metrics, detections, *_ = evaluate_trained(best, data)
        write_json(folder / "detections.json", detections)
    return trainer.strategy.broadcast(metrics)


def log_result(folder: Path, metrics: dict[str, float]) -> None:
    """Show how good the network is, and say how long it took, where everything lies and what comes next."""
    print_table(metrics, f"best checkpoint: {metrics['photos']:.0f} photos")
    ap, ap50 = score_text(metrics["AP"]), score_text(metrics["AP50"])
    log.info("AP %s  AP50 %s  in %.1f minutes", ap, ap50, metrics["minutes"])
    log.info("run folder   %s", folder)
    log.info("pictures     %s", folder / "images")
    log.info("curves       tensorboard --logdir %s", folder / "tensorboard")
    log.info("evaluate     %s ckpt_path=%s", spell("evaluate"), folder)
    log.info("predict      %s ckpt_path=%s source=PHOTOS", spell("predict"), folder)
