"""Turn a function of a config into a command: Hydra, readable errors, and the state of the run on disk."""

from __future__ import annotations

import functools
import io
import logging
import shlex
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from pafpose.cli.arguments import config_folders, explain_failure, quote_paths
from pafpose.cli.claim import claim, place
from pafpose.config import conf_dir, refuse_alias_bombs
from pafpose.errors import PafposeError
from pafpose.runtime import run_status as status
from pafpose.runtime.full_disk import explain_full_disk
from pafpose.runtime.lost_process import explain_lost_process
from pafpose.runtime.signals import Interrupted, interruptible

log = logging.getLogger(__name__)

Body = Callable[[DictConfig], Any]


def command(config_name: str) -> Callable[[Body], Callable[[], Any]]:
    """Decorate a function of a config to become a command on ``conf/<config_name>.yaml``.

    Called without arguments, the result reads ``sys.argv``. The state of the run goes to ``status.json`` in
    its folder. On a ``PafposeError`` the command prints the message and exits with status 1; in a sweep
    the error goes to Hydra, which still runs the other jobs.
    """

    def decorate(body: Body) -> Callable[[], Any]:
        hydra_main = hydra.main(config_path=str(conf_dir()), config_name=config_name, version_base="1.3")
        return with_hints(hydra_main(guarded(body)), config_name)

    return decorate


def with_hints(run: Callable[..., Any], config_name: str) -> Callable[..., Any]:
    """Let a command read paths as people type them, and say what to type when no config can be composed."""

    @functools.wraps(run)
    def main(*config: DictConfig) -> Any:  # tests hand it over
        for stream in (sys.stdout, sys.stderr):  # letters that the terminal cannot show break no log
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        sys.argv[1:] = quote_paths(sys.argv[1:])
        try:
            refuse_alias_bombs(config_folders(sys.argv[1:]))
            return run(*config)
        except PafposeError as error:
            sys.exit(f"{Path(sys.argv[0]).name}: {error}")
        except SystemExit as stop:
            if stop.code == 1 and not HydraConfig.initialized():  # Hydra has printed its own message
                print(explain_failure(sys.argv[1:], config_name), file=sys.stderr)
            raise

    return main


def guarded(body: Body) -> Body:
    """Record the state of the run around ``body``, and report a ``PafposeError`` without a traceback."""

    @functools.wraps(body)
    def run(cfg: DictConfig) -> Any:
        try:
            with interruptible():
                return run_job(body, cfg) if status.in_sweep() else run_single(body, cfg)
        except Interrupted as stop:
            report_interrupted(stop, cfg)
            sys.exit(stop.exit_status)
        except PafposeError as error:
            log.error("%s", error)
            log.error("run folder   %s", cfg.paths.output_dir)
            if status.in_sweep():
                raise
            sys.exit(1)

    return run


def report_interrupted(stop: Interrupted, cfg: DictConfig) -> None:
    """Log what interrupted the run, and the command that goes on with it."""
    if not status.is_first_process():
        return
    folder = Path(cfg.paths.output_dir)
    log.warning("%s", stop)
    kept = (folder / "checkpoints" / "last.ckpt", folder / "predictions.jsonl")
    if any(file.is_file() for file in kept) and HydraConfig.initialized():
        key = "hydra.sweep.dir" if status.in_sweep() else "hydra.run.dir"
        place = folder.parent if status.in_sweep() else folder
        words = [word for word in sys.argv if not word.startswith(f"{key}=")]
        log.warning("to go on: %s", shlex.join(["python", *words, f"{key}={place}"]))


def run_single(body: Body, cfg: DictConfig) -> Any:
    """Run a command that is no job of a sweep; its folder must be free, or hold the same run unfinished."""
    fingerprint = status.digest(cfg)
    if HydraConfig.initialized() and status.is_first_process():
        claim(cfg, Path(cfg.paths.output_dir))
    return run_recorded(body, cfg, fingerprint=fingerprint)


def run_job(body: Body, cfg: DictConfig) -> Any:
    """Run one job of a sweep: return the stored value if it finished earlier, resume it if it was killed."""
    folder = Path(cfg.paths.output_dir)
    finished, value = status.finished_value(cfg, folder)
    if finished:
        log.info("already finished, skipped: %s (%s)", value, folder)
        return value
    fingerprint = status.digest(cfg)
    if status.unfinished_checkpoint(cfg, folder):
        log.info("resuming from %s", folder / "checkpoints" / "last.ckpt")
        cfg.ckpt_path = str(folder)
    try:
        return run_recorded(body, cfg, fingerprint=fingerprint)
    except PafposeError:
        raise
    except Exception as error:
        log.exception("job failed: %s", folder)
        traceback.clear_frames(error.__traceback__)  # Hydra keeps the error, which would keep its tensors
        raise


def run_recorded(body: Body, cfg: DictConfig, *, fingerprint: str | None = None) -> Any:
    """Call ``body`` and write running, done, failed or interrupted to ``status.json``.

    A killed run stays "running".
    """
    if not HydraConfig.initialized() or not status.is_first_process():
        return body(cfg)
    folder = Path(cfg.paths.output_dir)
    overrides = list(HydraConfig.get().overrides.task)
    fingerprint = fingerprint or status.digest(cfg)
    status.write_status(folder, "running", overrides=overrides, digest=fingerprint, **place())
    try:
        with explain_full_disk(folder), explain_lost_process(folder):
            value = body(cfg)
    except Interrupted as stop:
        with suppress(OSError):
            status.write_status(folder, "interrupted", error=str(stop))
        raise
    except Exception as error:
        with suppress(OSError):  # of a full disk, which the error then tells
            status.write_status(folder, "failed", error=f"{type(error).__name__}: {error}")
        raise
    status.write_status(folder, "done", value=value)
    return value
