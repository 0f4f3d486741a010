"""The multi-stage masked loss: named terms per stage and field, float32 throughout, no host sync."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from pafpose.errors import PafposeError
from pafpose.fields import Fields, Targets
from pafpose.runtime.precision import full_precision

PENALTIES = ("l2", "l1", "smooth_l1", "focal_l2", "ohkm")
REDUCTIONS = ("caffe", "mean")
FOREGROUND = 0.01  # targets below count as background, as in the published truncation of Gaussians


class Term(NamedTuple):
    """One part of the loss before division: ``total / divisor``."""

    name: str
    weight: float
    total: Tensor  # sum of the masked penalties of this rank
    divisor: Tensor  # what this rank divides by


class FieldLoss:
    """Sum over stages and fields of a masked penalty between prediction and target.

    ``reduction``: caffe divides sums by 2 B, as the paper's layers do; mean divides by the number of
    unmasked values (of mined ones with ohkm). Denominators are those of the joint batch of all ranks, so
    that DDP's mean of gradients is the gradient of one process with that batch. ``foreground`` f weighs a
    value by ``1 + f * |target|`` (for the background channel: ``1 - target``). ``hard_keypoints`` and
    ``hard_limbs`` are the fractions of channels that ohkm keeps per sample; ``beta`` is where smooth_l1
    turns linear; ``gamma`` the exponent of focal_l2. ``stage_weights`` null weighs all stages 1.
    ``log_channels`` asks whoever trains to log ``per_channel`` as well.
    """

    def __init__(
        self,
        *,
        heatmaps: str = "l2",
        pafs: str = "l2",
        reduction: str = "caffe",
        heatmap_weight: float = 1.0,
        paf_weight: float = 1.0,
        stage_weights: Sequence[float] | None = None,
        foreground: float = 0.0,
        hard_keypoints: float = 0.5,
        hard_limbs: float = 0.5,
        beta: float = 0.1,
        gamma: float = 1.0,
        log_channels: bool = False,
        background: bool = True,
    ) -> None:
        _check_choice("loss.heatmaps", heatmaps, PENALTIES)
        _check_choice("loss.pafs", pafs, PENALTIES)
        _check_choice("loss.reduction", reduction, REDUCTIONS)
        for key, value in (("hard_keypoints", hard_keypoints), ("hard_limbs", hard_limbs)):
            if not 0 < value <= 1:
                raise PafposeError(f"loss.{key}={value}: a fraction of the channels, above 0 and at most 1")
        if beta <= 0:
            raise PafposeError(f"loss.beta={beta}: must be above 0 (l1 is beta towards 0)")
        self.heatmaps, self.pafs, self.reduction = heatmaps, pafs, reduction
        self.heatmap_weight, self.paf_weight = float(heatmap_weight), float(paf_weight)
        self.stage_weights = None if stage_weights is None else [float(w) for w in stage_weights]
        self.foreground, self.background = float(foreground), background
        self.hard_keypoints, self.hard_limbs = float(hard_keypoints), float(hard_limbs)
        self.beta, self.gamma = float(beta), float(gamma)
        self.log_channels = bool(log_channels)

    def __call__(self, stages: Sequence[Fields], targets: Targets) -> dict[str, Tensor]:
        """Named scalar terms (``heatmap_stage1``, ``paf_stage1``, ...); their sum is the loss.

        A field that a later stage only hands on (the same tensor) counts once.
        """
        with full_precision(targets.heatmaps.device):
            terms = self._terms(stages, targets)
            counts = torch.stack([term.divisor for term in terms])
            world = 1
            if torch.is_grad_enabled() and dist.is_available() and dist.is_initialized():
                world = dist.get_world_size()  # not in validation: ranks may see different numbers of batches
                dist.all_reduce(counts)
            scales = world / counts.clamp(min=1)
            return {term.name: term.weight * term.total * scales[i] for i, term in enumerate(terms)}

    def per_channel(self, fields: Fields, targets: Targets) -> tuple[Tensor, Tensor]:
        """Mean penalty over unmasked cells of each heatmap channel and each limb, detached.

        For logs: (K + 1,) and (L,). ``fields`` has both fields, as the last stage does.
        """
        assert fields.heatmaps is not None and fields.pafs is not None
        with torch.no_grad(), full_precision(targets.heatmaps.device):
            heat, weights = self._heatmap_penalty(fields.heatmaps, targets)
            heatmaps = (heat * weights).sum((0, 2, 3)) / weights.expand_as(heat).sum((0, 2, 3)).clamp(min=1)
            paf, weights = self._paf_penalty(fields.pafs, targets)
            pafs = (paf * weights).sum((0, 2, 3)) / weights.expand_as(paf).sum((0, 2, 3)).clamp(min=1)
            return heatmaps, pafs.view(-1, 2).mean(1)

    def _terms(self, stages: Sequence[Fields], targets: Targets) -> list[Term]:
        terms: list[Term] = []
        seen: set[tuple[str, int]] = set()
        weights = self.stage_weights or [1.0] * len(stages)
        if len(weights) != len(stages):
            raise PafposeError(
                f"loss.stage_weights={weights}: {len(weights)} weights for {len(stages)} stages; give one "
                "for each, or null"
            )
        for number, (fields, weight) in enumerate(zip(stages, weights, strict=True), start=1):
            if fields.heatmaps is not None and ("heatmap", id(fields.heatmaps)) not in seen:
                seen.add(("heatmap", id(fields.heatmaps)))
                parts = self._heatmap_sum(fields.heatmaps, targets)
                terms.append(Term(f"heatmap_stage{number}", weight * self.heatmap_weight, *parts))
            if fields.pafs is not None and ("paf", id(fields.pafs)) not in seen:
                seen.add(("paf", id(fields.pafs)))
                parts = self._paf_sum(fields.pafs, targets)
                terms.append(Term(f"paf_stage{number}", weight * self.paf_weight, *parts))
        return terms

    def _heatmap_sum(self, predicted: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
        """Sum of the masked penalty of heatmaps and what to divide it by."""
        if self.heatmaps == "l2":
            p, t = _same_shape(predicted, targets.heatmaps, "heatmaps")
            return self._squares(p, t, targets.heatmap_weights.float(), self._heatmap_foreground)
        mine = self.hard_keypoints if self.heatmaps == "ohkm" else None
        return self._reduce(*self._heatmap_penalty(predicted, targets), mine=mine)

    def _paf_sum(self, predicted: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
        """The same for PAFs; mining keeps or drops both channels of a limb."""
        if self.pafs == "l2":
            p, t = _same_shape(predicted, targets.pafs, "pafs")
            return self._squares(p, t, targets.paf_weights.float(), _paf_foreground)
        mine = self.hard_limbs if self.pafs == "ohkm" else None
        return self._reduce(*self._paf_penalty(predicted, targets), mine=mine, group=2)

    def _squares(
        self, p: Tensor, t: Tensor, weights: Tensor, foreground: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Tensor]:
        """l2 without mining, the usual case, in few passes over the maps."""
        factor = weights
        if self.foreground:
            factor = foreground(t).mul_(self.foreground).add_(1).mul_(weights)
        if self.reduction == "caffe":
            return SquaredError.apply(p, t, factor), p.new_full((), 2.0 * p.shape[0])
        return SquaredError.apply(p, t, factor), _elements(weights, p)

    def _heatmap_penalty(self, predicted: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
        """Penalty (B, K + 1, h, w) and mask, both float32."""
        p, t = _same_shape(predicted, targets.heatmaps, "heatmaps")
        penalty = self._base(self.heatmaps, p, t)
        if self.heatmaps == "focal_l2":
            penalty = penalty * focal_heatmap_factor(p.detach(), t, gamma=self.gamma)
        if self.foreground:
            penalty = penalty * (1 + self.foreground * self._heatmap_foreground(t))
        return penalty, targets.heatmap_weights.float()

    def _paf_penalty(self, predicted: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
        """Penalty (B, 2 L, h, w) and mask, both float32."""
        p, t = _same_shape(predicted, targets.pafs, "pafs")
        penalty = self._base(self.pafs, p, t)
        if self.pafs == "focal_l2":
            penalty = penalty * focal_paf_factor(p.detach(), t, gamma=self.gamma)
        if self.foreground:
            penalty = penalty * (1 + self.foreground * _paf_foreground(t))
        return penalty, targets.paf_weights.float()

    def _base(self, kind: str, p: Tensor, t: Tensor) -> Tensor:
        if kind == "l1":
            return (p - t).abs()
        if kind == "smooth_l1":
            return F.smooth_l1_loss(p, t, reduction="none", beta=self.beta)
        return (p - t).square()

    def _heatmap_foreground(self, t: Tensor) -> Tensor:
        """How much of a keypoint there is at each value, as a new tensor; for the background, how little."""
        share = t.clone()
        if self.background:
            share[:, -1:].neg_().add_(1)
        return share

    def _reduce(
        self, penalty: Tensor, weights: Tensor, *, mine: float | None, group: int = 1
    ) -> tuple[Tensor, Tensor]:
        """Sum of the masked penalty and what to divide it by."""
        masked = penalty * weights
        if self.reduction == "caffe":
            count = penalty.new_full((), 2.0 * penalty.shape[0])
            if mine is None:
                return masked.sum(), count
        elif mine is None:
            return masked.sum(), _elements(weights, penalty)
        total = masked.sum((2, 3))  # (B, C)
        hard = hardest(total.detach().unflatten(1, (-1, group)).sum(2), mine).repeat_interleave(group, 1)
        if self.reduction == "mean":
            count = (weights.expand_as(penalty).sum((2, 3)) * hard).sum()
        return (total * hard).sum(), count


class SquaredError(torch.autograd.Function):
    """``sum(weights * (p - t)^2)`` of equal float32 maps; weights broadcast; gradient to ``p`` alone.

    The gradient comes out of the same two products as the value: a third of the passes that autograd makes.
    """

    @staticmethod
    def forward(ctx: Any, p: Tensor, t: Tensor, weights: Tensor) -> Tensor:
        """Scalar; keeps the weighted difference."""
        difference = p - t
        weighted = difference * weights
        ctx.save_for_backward(weighted)
        return torch.dot(weighted.flatten(), difference.flatten())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Twice the weighted difference."""
        (weighted,) = ctx.saved_tensors
        return weighted * (2 * gradient), None, None


def hardest(losses: Tensor, fraction: float) -> Tensor:
    """1 for the largest ``ceil(fraction * C)`` of each row of (B, C), else 0.

    >>> hardest(torch.tensor([[1.0, 3.0, 2.0, 0.0]]), 0.5)
    tensor([[0., 1., 1., 0.]])
    """
    keep = max(1, -int(-fraction * losses.shape[1] // 1))
    chosen = losses.topk(keep, 1).indices
    return torch.zeros_like(losses).scatter_(1, chosen, 1.0)


def focal_heatmap_factor(
    p: Tensor, t: Tensor, *, gamma: float, alpha: float = 0.1, beta: float = 0.02
) -> Tensor:
    """Focal L2 weight ``|1 - s|^gamma``: s = p - alpha on keypoints, 1 - p - beta elsewhere.

    Li et al., "Simple Pose", AAAI 2020, section 3; the factor carries no gradient here.
    """
    s = torch.where(t >= FOREGROUND, p - alpha, 1 - p - beta)
    return (1 - s).abs() ** gamma


def focal_paf_factor(p: Tensor, t: Tensor, *, gamma: float, alpha: float = 0.1, beta: float = 0.02) -> Tensor:
    """The same for vectors: s is the part of p along the limb, off the limb 1 - |p| - beta."""
    target_length = _length(t)
    along = _pairs(p * t).sum(2) / target_length.clamp(min=FOREGROUND)
    s = torch.where(target_length >= FOREGROUND, along - alpha, 1 - _length(p) - beta)
    return ((1 - s).abs() ** gamma).repeat_interleave(2, 1)


def _paf_foreground(t: Tensor) -> Tensor:
    """How much of a limb there is at each value: the length of its vector, for both components."""
    return _length(t).repeat_interleave(2, 1)


def _pairs(fields: Tensor) -> Tensor:
    """(B, 2 L, h, w) -> (B, L, 2, h, w)."""
    return fields.unflatten(1, (-1, 2))


def _length(fields: Tensor) -> Tensor:
    """Vector lengths (B, L, h, w) of (B, 2 L, h, w)."""
    return _pairs(fields).square().sum(2).sqrt()


def _elements(weights: Tensor, like: Tensor) -> Tensor:
    """Number of unmasked values when the mask is broadcast to ``like``; no expansion in memory."""
    return weights.sum() * (like.numel() // weights.numel())


def _same_shape(predicted: Tensor, target: Tensor, name: str) -> tuple[Tensor, Tensor]:
    if predicted.shape != target.shape:
        raise PafposeError(
            f"{name}: the network predicts {tuple(predicted.shape)}, the targets are {tuple(target.shape)}; "
            "both must be built from one config (skeleton, paf.limbs, heatmap.background, head.stride)"
        )
    # one layout: maps that are laid out differently are compared at a third of the speed
    return predicted.to(torch.float32, memory_format=torch.contiguous_format), target.float()


def _check_choice(key: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise PafposeError(f"{key}={value}: choose one of {', '.join(allowed)}")
