"""Load a checkpoint under its own config, changed by what is typed on the command line and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from pafpose.config import plain
from pafpose.errors import PafposeError
from pafpose.inference.checkpoint import TrainedNetwork, choose_device, load_network

FIXED = ("skeleton", "paf.limbs", "backbone", "head", "heatmap.background")  # the weights fit these alone
NOT_FOR_CHECKPOINTS = ("experiment", "recipe", "debug")


def load_checkpoint(cfg: DictConfig, overrides: Sequence[str] | None = None) -> TrainedNetwork:
    """Load ``cfg.ckpt_path`` onto ``cfg.device``, with its config changed by ``overrides``.

    Other values of ``cfg`` are defaults that nobody asked for, so the checkpoint keeps its own. With
    ``overrides=None`` those of the command line apply.
    """
    if not cfg.ckpt_path:
        raise PafposeError(
            "ckpt_path is missing: give a checkpoint file or a run folder, ckpt_path=outputs/train/runs/RUN"
        )
    trained = load_network(cfg.ckpt_path, device=choose_device(cfg.device), trust=bool(cfg.trust))
    typed = command_line() if overrides is None else overrides
    return TrainedNetwork(trained.network, apply_overrides(trained.config, cfg, typed))


def command_line() -> list[str]:
    """Return the overrides of this command, or of this job of a sweep; none outside ``hydra.main``."""
    return list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []


def apply_overrides(stored: dict[str, Any], cfg: DictConfig, overrides: Sequence[str]) -> dict[str, Any]:
    """Return the ``stored`` config with the values of ``cfg`` for every key that an override names.

    ``data=coco`` replaces the whole group, ``decode.min_score=0.1`` one value; groups are replaced first, as
    in Hydra. Raises ``PafposeError`` for keys that must fit the weights.
    """
    result = OmegaConf.create(stored)
    for key, deleted in sorted(typed_keys(overrides), key=lambda entry: "." in entry[0]):
        _check_key(key)
        if deleted:
            raise PafposeError(
                f"~{key}: a key of a checkpoint's config cannot be removed; set it instead, {key}=VALUE"
            )
        OmegaConf.update(result, key, OmegaConf.select(cfg, key), merge=False, force_add=True)
        if key == "paths.data_dir":
            _move_roots(result.data, stored["paths"]["data_dir"], str(cfg.paths.data_dir))
    return plain(result)


def _move_roots(node: Any, old: str, new: str) -> None:
    """Let each ``root`` in the stored data that lies below the folder ``old`` lie below ``new``, in place."""
    for key, value in node.items():
        if key == "root" and value is not None and Path(value).is_relative_to(old):
            node[key] = str(Path(new) / Path(value).relative_to(old))
        elif isinstance(value, DictConfig):
            _move_roots(value, old, new)


def typed_keys(overrides: Sequence[str]) -> list[tuple[str, bool]]:
    """Return the keys and groups that overrides name, and whether they delete them.

    ``sweep=`` and Hydra's own keys are left out: they only say how jobs are run.
    """
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    keys = [(p.key_or_group, p.is_delete()) for p in parsed]
    return [(key, gone) for key, gone in keys if key != "sweep" and not key.startswith(("hydra.", "hydra/"))]


def _check_key(key: str) -> None:
    fixed = [f for f in FIXED if key == f or key.startswith(f + ".")]
    if fixed:
        raise PafposeError(
            f"{key}: the checkpoint was trained with its own {fixed[0]}, which cannot be changed afterwards; "
            "train another network"
        )
    if key in NOT_FOR_CHECKPOINTS:
        raise PafposeError(
            f"{key}: a checkpoint has its own recipe. Name what should differ instead: data=... "
            "data.root=... decode=... evaluate=..."
        )
