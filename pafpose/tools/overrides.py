"""A trained module under its own stored config, with what the command line says on top."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from pafpose.config import plain
from pafpose.errors import PafposeError
from pafpose.inference.checkpoint import TrainedNetwork, choose_device, load_network

FIXED = (
    "skeleton",
    "paf.limbs",
    "backbone",
    "head",
    "heatmap.background",
)  # the weights were trained with these
NOT_FOR_CHECKPOINTS = ("experiment", "debug")


def load_checkpoint(cfg: DictConfig, overrides: Sequence[str] | None = None) -> TrainedNetwork:
    """The network of ``cfg.ckpt_path`` on ``cfg.device``, its config changed by ``overrides`` alone.

    The rest of ``cfg`` holds defaults that nobody asked for, so the file's own values stand.
    ``overrides`` are those of the command line when None.
    """
    if not cfg.ckpt_path:
        raise PafposeError(
            "ckpt_path is missing: give a checkpoint file or a run folder, ckpt_path=outputs/train/runs/RUN"
        )
    trained = load_network(cfg.ckpt_path, device=choose_device(cfg.device), trust=bool(cfg.trust))
    typed = command_line() if overrides is None else overrides
    return TrainedNetwork(trained.network, apply_overrides(trained.config, cfg, typed))


def command_line() -> list[str]:
    """The overrides that were typed, those of a sweep's job included; none outside ``hydra.main``."""
    return list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []


def apply_overrides(stored: dict[str, Any], cfg: DictConfig, overrides: Sequence[str]) -> dict[str, Any]:
    """``stored`` with the values that ``cfg`` has wherever an override points.

    ``data=coco`` brings all of that group, ``decode.min_score=0.1`` one value; groups come first, as in
    Hydra. Raises ``PafposeError`` for choices that the weights fix.
    """
    result = OmegaConf.create(stored)
    for key, deleted in sorted(typed_keys(overrides), key=lambda entry: "." in entry[0]):
        _check_key(key)
        if deleted:
            raise PafposeError(f"~{key}: keys of a checkpoint's config cannot be removed; give a value")
        OmegaConf.update(result, key, OmegaConf.select(cfg, key), merge=False, force_add=True)
    return plain(result)


def typed_keys(overrides: Sequence[str]) -> list[tuple[str, bool]]:
    """The keys and groups that overrides name, and whether they delete them.

    What only says how jobs are run (``sweep=``, Hydra's own keys) is left out.
    """
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    keys = [(p.key_or_group, p.is_delete()) for p in parsed]
    return [(key, gone) for key, gone in keys if key != "sweep" and not key.startswith(("hydra.", "hydra/"))]


def _check_key(key: str) -> None:
    fixed = [f for f in FIXED if key == f or key.startswith(f + ".")]
    if fixed:
        raise PafposeError(
            f"{key}: the checkpoint was trained with its own {fixed[0]}, so it cannot be chosen here; train "
            "another network with it (python scripts/train.py)"
        )
    if key in NOT_FOR_CHECKPOINTS:
        raise PafposeError(
            f"{key}: a checkpoint brings its own recipe; name what should differ instead: data=... "
            "data.root=... decode=... evaluate=..."
        )
