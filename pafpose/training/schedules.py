"""Learning-rate schedules: a factor for every optimiser step, after a linear warm-up.

Lengths and positions are optimiser steps; values below 1 are fractions of ``total_steps``, the length of
the run (None where it is not known).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from pafpose.errors import PafposeError


def constant(optimizer: Optimizer, total_steps: int | None, *, warmup: float = 0) -> LambdaLR:
    """Keep the rate as it is."""
    return _schedule(optimizer, lambda step: 1.0, warmup=_in_steps("warmup", warmup, total_steps))


def cosine(
    optimizer: Optimizer, total_steps: int | None, *, warmup: float = 0.03, final: float = 0.01
) -> LambdaLR:
    """Lower the rate along half a cosine to ``final`` times its peak at ``total_steps``."""

    def factor(done: float) -> float:
        return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * done))

    return _decay(optimizer, factor, total_steps, warmup)


def linear(
    optimizer: Optimizer, total_steps: int | None, *, warmup: float = 0.03, final: float = 0.01
) -> LambdaLR:
    """Lower the rate along a straight line to ``final`` times its peak at ``total_steps``."""
    return _decay(optimizer, lambda done: 1 - (1 - final) * done, total_steps, warmup)


def step(
    optimizer: Optimizer, total_steps: int | None, *, every: float, gamma: float, warmup: float = 0
) -> LambdaLR:
    """Multiply the rate by ``gamma`` every ``every`` steps."""
    if every <= 0:
        raise PafposeError(f"scheduler.every={every}: must be above 0; below 1 it is a fraction of the run")
    period = max(1, _in_steps("every", every, total_steps))  # a fraction of a very short run may be 0 steps
    return _schedule(
        optimizer, lambda now: gamma ** (now // period), warmup=_in_steps("warmup", warmup, total_steps)
    )


def multistep(
    optimizer: Optimizer,
    total_steps: int | None,
    *,
    milestones: Sequence[float],
    gamma: float,
    warmup: float = 0,
) -> LambdaLR:
    """Multiply the rate by ``gamma`` at each milestone."""
    steps = [_in_steps("milestones", milestone, total_steps) for milestone in milestones]
    return _schedule(
        optimizer,
        lambda now: gamma ** sum(now >= step for step in steps),
        warmup=_in_steps("warmup", warmup, total_steps),
    )


def _decay(
    optimizer: Optimizer, factor: Callable[[float], float], total_steps: int | None, warmup: float
) -> LambdaLR:
    """Apply ``factor`` to the share of the run after the warm-up that is done, from 0 to 1."""
    start = _in_steps("warmup", warmup, total_steps)
    length = max(1, _known(total_steps) - start)
    return _schedule(optimizer, lambda now: factor(min(1.0, max(0.0, (now - start) / length))), warmup=start)


def _schedule(optimizer: Optimizer, factor: Callable[[int], float], *, warmup: int) -> LambdaLR:
    """Multiply ``factor`` of the step by a ramp that reaches 1 at step ``warmup``."""
    return LambdaLR(optimizer, lambda now: factor(now) * min(1.0, (now + 1) / (warmup + 1)))


def _in_steps(key: str, value: float, total_steps: int | None) -> int:
    """Steps as given, or a fraction of the run when below 1."""
    if value < 0:
        raise PafposeError(
            f"scheduler.{key}={value}: must not be negative; below 1 it is a fraction of the run"
        )
    return int(value) if value >= 1 or value == 0 else int(value * _known(total_steps))


def _known(total_steps: int | None) -> int:
    if total_steps is None or total_steps <= 0:
        raise PafposeError(
            "scheduler: the length of the run is not known; set trainer.max_steps or trainer.max_epochs, or "
            "choose scheduler=none"
        )
    return total_steps


__all__ = ["constant", "cosine", "linear", "multistep", "step"]
