"""Muon for convolutions and AdamW for everything else, in one optimiser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.adamw import adamw as adamw_step

NEVER_MUON = ("depthwise", "bias", "norm")  # kinds of parameters that are not matrices


class Muon(Optimizer):
    """Step along orthogonalised momentum (K. Jordan, kellerjordan.github.io/posts/muon).

    ``params`` are groups of ``parameter_groups``. A kernel (out, in, h, w) counts as a matrix (out, in h w);
    it moves by ``lr * sqrt(max(1, out / (in h w)))`` times its orthogonalised Nesterov momentum. Groups whose
    part or kind is in ``adamw`` or ``NEVER_MUON`` take AdamW's steps at ``adamw_scale`` times their rate.
    The iteration runs in float32. ``timm.optim.Muon`` runs it in bfloat16: on a CPU without bfloat16
    instructions (AVX2) that makes a training step of the quickstart about 1.4 times as long.
    """

    def __init__(
        self,
        params: Sequence[dict[str, Any]],
        *,
        lr: float,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        ns_steps: int = 5,
        adamw: Sequence[str] = (),
        adamw_scale: float = 1.0,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        groups = [{**g, "muon": {*adamw, *NEVER_MUON}.isdisjoint(g["name"].split("/"))} for g in params]
        for group in groups:
            group["lr"] *= 1.0 if group["muon"] else adamw_scale
        defaults = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum}
        super().__init__(groups, {**defaults, "ns_steps": ns_steps, "betas": betas})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update every parameter that has a gradient; return the loss of ``closure`` if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            update = self._update_by_muon if group["muon"] else self._update_by_adamw
            update([p for p in group["params"] if p.grad is not None], group)
        return loss

    def _update_by_muon(self, params: list[Tensor], group: dict[str, Any]) -> None:
        for p in params:
            if not self.state[p]:
                self.state[p]["momentum_buffer"] = torch.zeros_like(p)
            buffer = self.state[p]["momentum_buffer"].lerp_(p.grad, 1 - group["momentum"])
            matrix = p.grad.lerp(buffer, group["momentum"]).flatten(1)  # type: ignore[union-attr]
            scale = max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5
            step = orthogonalise(matrix, group["ns_steps"]).view_as(p)
            p.mul_(1 - group["lr"] * group["weight_decay"]).add_(step, alpha=-group["lr"] * scale)

    def _update_by_adamw(self, params: list[Tensor], group: dict[str, Any]) -> None:
        for p in params:
            if not self.state[p]:
                moments = {"exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}
                self.state[p].update(moments, step=torch.zeros(()))
        first, second, steps = ([self.state[p][k] for p in params] for k in ("exp_avg", "exp_avg_sq", "step"))
        beta1, beta2 = group["betas"]
        rates = {"lr": group["lr"], "weight_decay": group["weight_decay"], "beta1": beta1, "beta2": beta2}
        grads: list[Any] = [p.grad for p in params]
        adamw_step(params, grads, first, second, [], steps, **rates, eps=1e-8, amsgrad=False, maximize=False)


def orthogonalise(matrix: Tensor, steps: int) -> Tensor:
    """Bring the singular values of a matrix near 1 (0.7 to 1.2 after 5 steps) by a Newton-Schulz iteration.

    Singular values below about 1 / 3.4^steps of the matrix's norm come out smaller.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.mT if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
    return x.mT if tall else x
