"""Training from a config to metrics: the recipe behind ``scripts/train.py``."""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback, Trainer, seed_everything
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.loggers import Logger
from pytorch_lightning.strategies import ParallelStrategy

from pafpose import factory
from pafpose.config import Config, build, plain
from pafpose.errors import PafposeError
from pafpose.inference.checkpoint import find_checkpoint, load_network
from pafpose.inference.evaluate import evaluate_trained
from pafpose.models.summary import describe, summarise
from pafpose.runtime.files import write_json
from pafpose.runtime.log import print_config, quiet_known_warnings
from pafpose.runtime.memory import keep_freed_memory
from pafpose.training.module import PoseModule
from pafpose.training.time_budget import Deadline

log = logging.getLogger(__name__)


def train(cfg: Config) -> dict[str, float]:
    """Fit, validate at the end however short the run, evaluate the best checkpoint; its metrics.

    Writes only into ``paths.output_dir``: config.yaml, checkpoints/, tensorboard/, images/, metrics.json.
    """
    # resolved once: the run folder and all interpolations stay put
    return _train(OmegaConf.create(plain(cfg)))


def _train(cfg: DictConfig) -> dict[str, float]:
    started = time.monotonic()
    refuse_ddp_sweep(cfg)
    quiet_known_warnings()
    folder = Path(cfg.paths.output_dir)
    if cfg.seed is not None:
        seed_everything(cfg.seed, workers=True, verbose=False)
    if torch.cuda.is_available():
        torch.set_float32_matmul_precision("high")  # TF32, as cuDNN's convolutions have it anyway
    module = PoseModule(plain(cfg))
    data = factory.build_datamodule(cfg)
    trainer = build_trainer(cfg, started)
    if trainer.is_global_zero:
        save_config(cfg, folder)
        log.info("%s", describe(summarise(module.network, size=cfg.augment.crop)))
    if cfg.compile:
        module.network.compile()
    resume = find_resumable(cfg.ckpt_path) if cfg.ckpt_path else None
    if trainer.strategy.root_device.type == "cpu":
        keep_freed_memory()
    trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
    steps = trainer.global_step
    close_run(trainer, module, data, folder / "checkpoints")
    metrics = evaluate_best(cfg, trainer, folder)
    metrics |= {"steps": float(steps), "minutes": (time.monotonic() - started) / 60}
    if trainer.is_global_zero:
        write_json(folder / "metrics.json", metrics)
        say_where(folder, metrics)
    return metrics


def find_resumable(path: str) -> Path:
    """The checkpoint to go on from; one that holds weights alone is refused."""
    file = find_checkpoint(path, prefer=("last", "best"))
    try:
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        raise PafposeError(f"{file}: not a checkpoint of scripts/train.py ({error})") from error
    if "optimizer_states" not in content:
        raise PafposeError(
            f"{file} holds weights without the state of training, as converted ones do: evaluate.py and "
            "predict.py take it, but training cannot go on from it; leave ckpt_path out to train anew"
        )
    return file


def in_sweep() -> bool:
    """Whether this run is one job of ``-m``."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def alone(cfg: DictConfig) -> bool:
    """Whether nothing else must count the same steps: neither the jobs of a sweep nor other devices."""
    return not in_sweep() and cfg.trainer.devices in (1, "1") and int(cfg.trainer.num_nodes) == 1


def refuse_ddp_sweep(cfg: DictConfig) -> None:
    """Processes that DDP starts would re-run the whole sweep with other choices: refuse, name the way out."""
    strategy, devices = str(cfg.trainer.strategy), str(cfg.trainer.devices)
    relaunches = strategy.startswith("ddp") and "spawn" not in strategy and "fork" not in strategy
    several = devices not in ("1", "auto") or int(cfg.trainer.num_nodes) > 1
    if in_sweep() and relaunches and several:
        raise PafposeError(
            f"trainer.strategy={strategy} with several processes cannot be combined with -m: every process "
            "would start the whole sweep again, with different choices on its ranks. Use "
            "trainer.strategy=ddp_spawn, or trainer.devices=1 with a launcher that runs jobs side by side "
            "(hydra/launcher=joblib)"
        )


def build_trainer(cfg: DictConfig, started: float | None = None) -> Trainer:
    """The Lightning trainer with the callbacks and loggers of the config, whose time began at ``started``."""
    callbacks: list[Callback] = [build(node) for node in cfg.callbacks.values() if node]
    if cfg.max_minutes is not None and alone(cfg):
        callbacks.append(Deadline(cfg.max_minutes, started=started))
    loggers: list[Logger] = [build(node) for node in cfg.logger.values() if node]
    bar = any(isinstance(callback, ProgressBar) for callback in callbacks)  # else Lightning adds its own
    trainer: Trainer = build(
        cfg.trainer,
        callbacks=callbacks,
        logger=loggers or False,
        default_root_dir=cfg.paths.output_dir,
        enable_progress_bar=cfg.trainer.get("enable_progress_bar", bar),
    )
    refuse_shared_statistics_on_cpus(cfg, trainer)
    for logger in loggers:
        logger.log_hyperparams(plain(cfg))
    return trainer


def refuse_shared_statistics_on_cpus(cfg: DictConfig, trainer: Trainer) -> None:
    """torch shares BatchNorm's statistics among GPUs only, and says so without naming a key."""
    parallel = isinstance(trainer.strategy, ParallelStrategy)
    if parallel and cfg.trainer.get("sync_batchnorm") and trainer.strategy.root_device.type == "cpu":
        raise PafposeError(
            "trainer.sync_batchnorm=true: BatchNorm shares its statistics over processes on GPUs only; on "
            "CPUs give trainer=ddp_cpu, or trainer.sync_batchnorm=false, and each process has its own"
        )


def save_config(cfg: DictConfig, folder: Path) -> None:
    """Print the config and keep it, resolved, in the run folder."""
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(cfg, folder / "config.yaml", resolve=True)
    print_config(cfg)


def close_run(trainer: Trainer, module: PoseModule, data: Any, folder: Path) -> None:
    """Validate once more when the last steps were not, so that best.ckpt and last.ckpt always exist.

    What rank 0 finds in its folder decides for all ranks: started by torchrun or srun, each has a folder of
    its own unless hydra.run.dir is given, and ranks that disagreed would wait for each other for ever.
    """
    agree = trainer.strategy.broadcast
    checkpoint = trainer.checkpoint_callback
    best = getattr(checkpoint, "best_model_score", None)
    if agree(module.validated_at == trainer.global_step and (folder / "best.ckpt").is_file()):
        return
    trainer.validate(module, datamodule=data, verbose=False)
    score = trainer.callback_metrics.get("val/AP", torch.tensor(0.0))  # trainer.limit_val_batches=0: no score
    trainer.save_checkpoint(folder / "last.ckpt")
    if agree(best is None or bool(score >= best.to(score.device)) or not (folder / "best.ckpt").is_file()):
        if trainer.is_global_zero:
            shutil.copyfile(folder / "last.ckpt", folder / "best.ckpt")
        trainer.strategy.barrier()


def evaluate_best(cfg: DictConfig, trainer: Trainer, folder: Path) -> dict[str, float]:
    """The metrics of checkpoints/best.ckpt under the evaluate group, computed on one process."""
    metrics: dict[str, float] = {}
    if trainer.is_global_zero:
        best = load_network(folder / "checkpoints" / "best.ckpt", trust=True)
        data = factory.build_datamodule(cfg)
        data.setup("validate")
        best.network.to(trainer.strategy.root_device)
        metrics, detections = evaluate_trained(best, data)
        write_json(folder / "detections.json", detections)
    return trainer.strategy.broadcast(metrics)


def say_where(folder: Path, metrics: dict[str, float]) -> None:
    """The last lines of a run: how good, how long, where."""
    log.info("AP %.3f  AP50 %.3f  in %.1f minutes", metrics["AP"], metrics["AP50"], metrics["minutes"])
    log.info("run folder   %s", folder)
    log.info("pictures     %s", folder / "images")
    log.info("TensorBoard  tensorboard --logdir %s", folder / "tensorboard")
