"""Muon for convolutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW

from pafpose.runtime.precision import choose
from pafpose.runtime.threads import side_by_side

A, B, C = 3.4445, -4.7750, 2.0315  # the polynomial a x + b x^3 + c x^5 of the publication
TOGETHER = 3  # steps on one Gram matrix, whose rounding errors grow twelvefold with each: to 2 % in bfloat16
ADAMW_ALWAYS = ("depthwise", "bias", "norm")  # kinds of parameters that are not matrices


class Muon(AdamW):
    """Momentum, orthogonalised by a Newton-Schulz iteration (K. Jordan, kellerjordan.github.io/posts/muon).

    ``params`` are the groups of ``pafpose.training.optim.parameter_groups``. A kernel (out, in, k, k)
    counts as a matrix (out, in k k); its step is ``lr * sqrt(max(1, out / (in k k)))`` times the nearest
    orthogonal matrix, roughly, of its momentum. Groups whose part or kind is in ``adamw``, and whatever
    is no matrix, take AdamW's step at ``adamw_scale`` times their rate. Matrices are multiplied in
    bfloat16 where hardware does that fast and in float32 elsewhere. A step leaves its own numbers in
    ``grad``.
    """

    def __init__(
        self,
        params: list[dict[str, Any]],
        *,
        lr: float = 0.05,
        weight_decay: float = 0.05,
        momentum: float = 0.9,
        steps: int = 3,
        adamw: Sequence[str] = (),
        adamw_scale: float = 0.04,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        left = {*adamw, *ADAMW_ALWAYS}
        groups = []
        for group in params:
            orthogonal = not left & {*group["name"].split("/")}
            rate = group["lr"] * (1.0 if orthogonal else adamw_scale)
            groups.append({**group, "lr": rate, "orthogonal": orthogonal})
        super().__init__(groups, lr=lr, weight_decay=weight_decay, betas=(betas[0], betas[1]), fused=True)
        self._step_supports_amp_scaling = False  # AdamW's part would; GradScaler is to unscale for both
        self.momentum, self.steps = float(momentum), int(steps)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of all groups."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        every = self.param_groups
        try:
            self.param_groups = [group for group in every if not group["orthogonal"]]
            if self.param_groups:
                super().step()
        finally:
            self.param_groups = every
        for group in every:
            if group["orthogonal"]:
                self._step_matrices(group)
        return loss

    def _step_matrices(self, group: dict[str, Any]) -> None:
        params = [p for p in group["params"] if p.grad is not None]
        for p in params:
            if "momentum_buffer" not in self.state[p]:
                self.state[p]["momentum_buffer"] = torch.zeros_like(p)
                self.state[p]["step"] = torch.zeros(())  # AdamW looks for it when it loads a state
        if params and params[0].device.type == "cpu":  # whose caches hold one kernel
            shares = balanced(params, torch.get_num_threads())
            side_by_side([partial(self._step_each, share, group) for share in shares])
            return
        for alike in batches(params):
            self._step_alike(alike, group)

    @torch.no_grad()
    def _step_each(self, params: list[Tensor], group: dict[str, Any]) -> None:
        """One by one; what a thread does, and gradients are on in new threads."""
        for p in params:
            self._step_alike([p], group)

    def _step_alike(self, params: list[Tensor], group: dict[str, Any]) -> None:
        """Update kernels of one shape, with one multiplication for all where there are several."""
        buffers = [self.state[p]["momentum_buffer"] for p in params]
        ahead: list[Tensor] = [p.grad for p in params]  # type: ignore[misc]
        torch._foreach_lerp_(buffers, ahead, 1 - self.momentum)
        torch._foreach_lerp_(ahead, buffers, self.momentum)  # Nesterov's look ahead, in the gradients' place
        dtype, shape = fast_dtype(params[0].device), params[0].shape
        matrices = [as_matrix(kernel).to(dtype) for kernel in ahead]
        single = len(matrices) == 1  # CPUs are slow at batches of transposed matrices
        steps = orthogonalise(matrices[0] if single else torch.stack(matrices), self.steps)
        rate = group["lr"] * max(1.0, steps.shape[-2] / steps.shape[-1]) ** 0.5
        torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
        deltas = [as_kernel(step, shape).float() for step in ([steps] if single else steps)]
        torch._foreach_add_(params, deltas, alpha=-rate)


def batches(params: list[Tensor]) -> list[list[Tensor]]:
    """Kernels to update together: all of a shape."""
    alike: dict[Any, list[Tensor]] = {}
    for p in params:
        alike.setdefault((p.device, p.shape), []).append(p)
    return list(alike.values())


def balanced(params: list[Tensor], threads: int) -> list[list[Tensor]]:
    """Kernels for each of some threads, about as many values for one as for another.

    >>> [[len(p) for p in share] for share in balanced([torch.empty(n) for n in (1, 5, 3, 2)], 2)]
    [[5], [3, 2, 1]]
    """
    shares: list[list[Tensor]] = [[] for _ in range(min(threads, len(params)))]
    for p in sorted(params, key=Tensor.numel, reverse=True):
        min(shares, key=lambda share: sum(map(Tensor.numel, share))).append(p)
    return shares


def as_matrix(kernel: Tensor) -> Tensor:
    """(out, in, k, k) -> (out, k k in), a view where memory is channels last; matrices stay."""
    return kernel if kernel.ndim == 2 else kernel.permute(0, 2, 3, 1).flatten(1)


def as_kernel(matrix: Tensor, shape: torch.Size) -> Tensor:
    """The inverse of :func:`as_matrix`."""
    if len(shape) == 2:
        return matrix
    out, channels, height, width = shape
    return matrix.view(out, height, width, channels).permute(0, 3, 1, 2)


@cache  # to ask takes as long as to multiply
def fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 on GPUs and where the CPU multiplies its matrices fast."""
    return torch.bfloat16 if device.type == "cuda" or choose("auto") == "bf16-mixed" else torch.float32


def orthogonalise(matrices: Tensor, steps: int) -> Tensor:
    """(..., rows, cols) -> the same with all singular values near 1 (0.7 to 1.2 after 5 steps).

    Values below about 1 / 3.4^steps of a matrix's norm come out smaller. Long matrices are multiplied twice
    in every ``TOGETHER`` steps, not twice in each: what happens between depends on their Gram matrix alone.
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    together = TOGETHER if x.shape[-1] >= 2 * x.shape[-2] else 1
    for done in range(0, steps, together):
        gram = x @ x.mT
        if not done:  # the sum of the diagonal is the square of the norm
            square = gram.diagonal(dim1=-2, dim2=-1).float().sum(-1)[..., None, None] + 1e-14
            gram = (gram / square).to(x.dtype)
        factor = _factor(gram, min(together, steps - done))
        x = (factor if done else factor * square.rsqrt()).to(x.dtype) @ x
    return x.mT if tall else x


def _factor(gram: Tensor, steps: int) -> Tensor:
    """What some steps multiply a matrix by, from its Gram matrix; both (..., rows, rows)."""
    factor = product = _polynomial(gram)
    for _ in range(steps - 1):
        gram = factor @ gram @ factor
        factor = _polynomial(gram)
        product = factor @ product
    return product


def _polynomial(gram: Tensor) -> Tensor:
    """``A + B gram + C gram^2``: one step multiplies the matrix by it."""
    multiply = torch.addmm if gram.ndim == 2 else torch.baddbmm
    factor = multiply(gram, gram, gram, beta=B, alpha=C)
    factor.diagonal(dim1=-2, dim2=-1).add_(A)
    return factor
