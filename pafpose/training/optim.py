"""Parameter groups, optimisers and schedules that step once per optimiser step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from pafpose.config import Config, build, plain
from pafpose.errors import PafposeError

PARTS = ("backbone", "head", "refinement")
APART = ("depthwise", "output")  # kinds of weights that some optimisers treat apart
KINDS = ("weights", *APART, "bias", "norm")


@dataclass(frozen=True)
class GroupSettings:
    """Multipliers of the learning rate by part of the network, and of the weight decay by kind.

    backbone: the (usually pretrained) trunk; head: everything else up to the first stage; refinement: later
    stages; bias: biases of convolutions, on top; bias_decay, norm_decay, depthwise_decay: weight decay
    multipliers, the last of convolutions that see one channel each.
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
                raise PafposeError(f"optimizer.groups.{field.name}={value}: a multiplier is 0 or more")


def part_of(name: str) -> str:
    """Which part of a ``PoseNetwork`` a parameter belongs to: backbone, head or refinement.

    >>> part_of("backbone.trunk.0.weight"), part_of("head.refinements.1.output.bias")
    ('backbone', 'refinement')
    """
    if name.startswith("backbone.trunk."):
        return "backbone"
    return "refinement" if name.startswith("head.refinements.") else "head"


def parameter_groups(
    network: nn.Module, settings: GroupSettings, *, lr: float, weight_decay: float, apart: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Group the trainable parameters: part x (weights, bias, norm), each with its rate and decay.

    Weights of the kinds in ``apart`` (depthwise; output: layers that predict fields) have groups of their
    own, depthwise ones also when their decay differs.
    """
    kept_apart = {*apart, *(["depthwise"] if settings.depthwise_decay != 1 else [])}
    kinds = {
        id(parameter): _kind(module, name, kept_apart)
        for module in network.modules()
        for name, parameter in module.named_parameters(recurse=False)
    }
    decays = {"norm": settings.norm_decay, "bias": settings.bias_decay, "depthwise": settings.depthwise_decay}
    groups: dict[str, dict[str, Any]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        part, kind = part_of(name), kinds[id(parameter)]
        rate = lr * getattr(settings, part) * (settings.bias if kind == "bias" else 1.0)
        decay = decays.get(kind, 1.0) * weight_decay
        group = {"name": f"{part}/{kind}", "params": [], "lr": rate, "weight_decay": decay}
        groups.setdefault(f"{part}/{kind}", group)["params"].append(parameter)
    if not groups:
        raise PafposeError("the network has no trainable parameter; freeze less (backbone.freeze)")
    return list(groups.values())


def _kind(module: nn.Module, name: str, apart: set[str]) -> str:
    """A module's own parameter: norm (BatchNorm, PReLU), bias, weights; when apart depthwise or output."""
    if not isinstance(module, nn.Conv2d | nn.Linear):
        return "norm"
    if name == "bias":
        return "bias"
    if "output" in apart and getattr(module, "predicts_fields", False):
        return "output"
    alone = isinstance(module, nn.Conv2d) and 1 < module.groups == module.in_channels
    return "depthwise" if "depthwise" in apart and alone else "weights"


def build_optimizer(network: nn.Module, node: Config) -> Optimizer:
    """The optimiser of ``conf/optimizer``: a torch class, ``lr``, ``weight_decay`` and ``groups``."""
    config = dict(plain(node))
    settings = GroupSettings(**(config.pop("groups", None) or {}))
    groups = parameter_groups(
        network,
        settings,
        lr=float(config["lr"]),
        weight_decay=float(config.get("weight_decay", 0.0)),
        apart=APART if "adamw" in config else (),
    )
    if unknown := {*config.get("adamw", ())} - {*PARTS, *KINDS}:
        raise PafposeError(
            f"optimizer.adamw={list(config['adamw'])}: no {sorted(unknown)}; choose of "
            + ", ".join(PARTS + KINDS)
        )
    optimizer: Optimizer = build(config, params=groups)
    return optimizer


Factor = Callable[[float], float]  # of a step; between two steps where a schedule runs by the clock


def constant(optimizer: Optimizer, total_steps: float | None, *, warmup: float = 0) -> LambdaLR:
    """The same rate all the time, after a linear warm-up."""
    return _schedule(optimizer, _warmed(lambda step: 1.0, _steps("warmup", warmup, total_steps)))


def cosine(
    optimizer: Optimizer, total_steps: float | None, *, warmup: float = 0.03, final: float = 0.01
) -> LambdaLR:
    """Linear warm-up, then half a cosine down to ``final`` of the rate at ``total_steps``."""

    def fall(done: float) -> float:
        return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * done))

    return _falling(optimizer, fall, "cosine", warmup, total_steps)


def linear(
    optimizer: Optimizer, total_steps: float | None, *, warmup: float = 0.03, final: float = 0.01
) -> LambdaLR:
    """Linear warm-up, then a straight line down to ``final`` of the rate at ``total_steps``."""
    return _falling(optimizer, lambda done: 1 - (1 - final) * done, "linear", warmup, total_steps)


def _falling(
    optimizer: Optimizer, fall: Factor, name: str, warmup: float, total_steps: float | None
) -> LambdaLR:
    """``fall`` of how much is done, 0 to 1, after the warm-up."""
    start = _steps("warmup", warmup, total_steps)
    length = max(1.0, _finite(name, total_steps) - start)
    return _schedule(optimizer, _warmed(lambda now: fall(min(1.0, max(0.0, (now - start) / length))), start))


def step(
    optimizer: Optimizer, total_steps: float | None, *, every: float, gamma: float, warmup: float = 0
) -> LambdaLR:
    """Multiply the rate by ``gamma`` every so many steps."""
    if every <= 0:
        raise PafposeError(f"scheduler.every={every}: steps, or a fraction of the run below 1; above 0")
    period = max(1, _steps("every", every, total_steps))  # a fraction of a very short run is still a step
    start = _steps("warmup", warmup, total_steps)
    return _schedule(optimizer, _warmed(lambda now: gamma ** (now // period), start))


def multistep(
    optimizer: Optimizer,
    total_steps: float | None,
    *,
    milestones: Sequence[float],
    gamma: float,
    warmup: float = 0,
) -> LambdaLR:
    """Multiply the rate by ``gamma`` at each milestone."""
    marks = sorted(_steps("milestones", mark, total_steps) for mark in milestones)
    start = _steps("warmup", warmup, total_steps)
    return _schedule(optimizer, _warmed(lambda now: gamma ** sum(now >= mark for mark in marks), start))


def build_scheduler(optimizer: Optimizer, node: Config | None, *, total_steps: float | None) -> LambdaLR:
    """The schedule of ``conf/scheduler``; ``total_steps`` are optimiser steps (None: not known)."""
    if not node:
        return constant(optimizer, total_steps)
    scheduler: LambdaLR = build(node, optimizer=optimizer, total_steps=total_steps)
    return scheduler


def _schedule(optimizer: Optimizer, factor: Factor) -> LambdaLR:
    return LambdaLR(optimizer, factor)


def _warmed(factor: Factor, warmup: int) -> Factor:
    return lambda now: factor(now) * min(1.0, (now + 1) / (warmup + 1))


def _steps(key: str, value: float, total_steps: float | None) -> int:
    """Steps as given, or a fraction of the run when below 1."""
    if value < 0:
        raise PafposeError(f"scheduler.{key}={value}: steps, or a fraction of the run below 1; not negative")
    return int(value) if value >= 1 or value == 0 else int(value * _finite(key, total_steps))


def _finite(key: str, total_steps: float | None) -> float:
    if total_steps is None or not 0 < total_steps < math.inf:
        raise PafposeError(
            f"scheduler ({key}): the length of the run is not known; set trainer.max_steps or "
            "trainer.max_epochs, or choose scheduler=none"
        )
    return total_steps


__all__ = [
    "GroupSettings",
    "build_optimizer",
    "build_scheduler",
    "constant",
    "cosine",
    "linear",
    "multistep",
    "parameter_groups",
    "part_of",
    "step",
]
