"""Parameter groups and the optimiser of ``conf/optimizer``."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any

from torch import nn
from torch.optim import Optimizer

from pafpose.config import Config, build, plain
from pafpose.errors import PafposeError

PARTS = ("backbone", "head", "refinement")
OPTIONAL_KINDS = ("depthwise", "output")  # weights that some optimisers treat differently
KINDS = ("weights", *OPTIONAL_KINDS, "bias", "norm")


@dataclass(frozen=True)
class GroupSettings:
    """Multipliers of the learning rate by part of the network and of the weight decay by kind of parameter.

    Rates: ``backbone`` (the trunk, usually pretrained), ``refinement`` (the stages after the first) and
    ``head`` (everything else); ``bias`` multiplies the rate of biases on top. Decays: ``bias_decay``,
    ``norm_decay`` (BatchNorm and PReLU) and ``depthwise_decay`` (convolutions with one channel per group).
    """

    backbone: float = 1.0
    head: float = 1.0
    refinement: float = 1.0
    bias: float = 1.0
    bias_decay: float = 0.0
    norm_decay: float = 0.0
    depthwise_decay: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = float(getattr(self, field.name))
            object.__setattr__(self, field.name, value)
            if not value >= 0:
                raise PafposeError(f"optimizer.groups.{field.name}={value}: a multiplier must be 0 or more")


def part_of(name: str) -> str:
    """Name the part of a ``PoseNetwork`` that a parameter belongs to: backbone, head or refinement.

    >>> part_of("backbone.trunk.0.weight"), part_of("head.refinements.1.output.bias")
    ('backbone', 'refinement')
    """
    if name.startswith("backbone.trunk."):
        return "backbone"
    return "refinement" if name.startswith("head.refinements.") else "head"


def parameter_groups(
    network: nn.Module,
    settings: GroupSettings,
    *,
    lr: float,
    weight_decay: float,
    separate: Collection[str] = (),
) -> list[dict[str, Any]]:
    """Group the trainable parameters by part and kind, each group with its name, rate and decay.

    Groups are called ``part/kind``, such as ``head/bias``. The kinds in ``separate`` (``depthwise`` and
    ``output``, the layers that predict fields) get groups of their own; otherwise they count as ``weights``.
    Depthwise weights are separate whenever their decay differs.
    """
    if settings.depthwise_decay != 1:
        separate = {*separate, "depthwise"}
    kinds = {
        parameter: _kind(module, name, separate)
        for module in network.modules()
        for name, parameter in module.named_parameters(recurse=False)
    }
    decays = {"norm": settings.norm_decay, "bias": settings.bias_decay, "depthwise": settings.depthwise_decay}
    groups: dict[str, dict[str, Any]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        part, kind = part_of(name), kinds[parameter]
        rate = lr * getattr(settings, part) * (settings.bias if kind == "bias" else 1.0)
        decay = weight_decay * decays.get(kind, 1.0)
        group = {"name": f"{part}/{kind}", "params": [], "lr": rate, "weight_decay": decay}
        groups.setdefault(f"{part}/{kind}", group)["params"].append(parameter)
    if not groups:
        raise PafposeError("the network has no trainable parameter; freeze fewer layers (backbone.freeze)")
    return list(groups.values())


def _kind(module: nn.Module, name: str, separate: Collection[str]) -> str:
    """Name the kind of a module's own parameter: one of ``KINDS``."""
    if not isinstance(module, nn.Conv2d | nn.Linear):
        return "norm"
    if name == "bias":
        return "bias"
    if "output" in separate and getattr(module, "predicts_fields", False):
        return "output"
    depthwise = isinstance(module, nn.Conv2d) and 1 < module.groups == module.in_channels
    return "depthwise" if "depthwise" in separate and depthwise else "weights"


def build_optimizer(network: nn.Module, node: Config) -> Optimizer:
    """Build the optimiser of ``conf/optimizer``: a class, ``lr``, ``weight_decay`` and ``groups``."""
    config = dict(plain(node))
    settings = GroupSettings(**(config.pop("groups", None) or {}))
    groups = parameter_groups(
        network,
        settings,
        lr=float(config["lr"]),
        weight_decay=float(config.get("weight_decay", 0.0)),
        separate=OPTIONAL_KINDS if "adamw" in config else (),
    )
    if unknown := {*config.get("adamw", ())} - {*PARTS, *KINDS}:
        raise PafposeError(
            f"optimizer.adamw={list(config['adamw'])}: unknown {sorted(unknown)}; choose from "
            + ", ".join(PARTS + KINDS)
        )
    optimizer: Optimizer = build(config, params=groups)
    return optimizer


__all__ = ["GroupSettings", "build_optimizer", "parameter_groups", "part_of"]
