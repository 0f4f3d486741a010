"""The masked loss over all stages and fields, and what a loss of your own must offer.

Inside, fields are grouped by what they belong to: (B, N, D, h, w) holds N heatmaps with D = 1 value per cell,
or N limbs with D = 2 components.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from pafpose.errors import PafposeError
from pafpose.fields import Fields, Targets

Choice = TypeVar("Choice")

FOREGROUND = 0.01  # smaller targets count as background, as in the published truncation of Gaussians


class Loss(ABC):
    """What the group ``loss`` builds; subclass it for a loss of your own (``loss._target_=package.MyLoss``).

    The constructor receives the keys of the group and ``background``: whether the last heatmap channel is the
    background. ``log_channels`` asks the trainer to log ``per_channel`` as well.
    """

    log_channels = False

    @abstractmethod
    def __call__(self, stages: Sequence[Fields], targets: Targets) -> dict[str, Tensor]:
        """Return named scalar terms; training minimises their sum and logs each as ``train/loss/<name>``.

        With several processes, gradients are averaged over the ranks.
        """

    def per_channel(self, fields: Fields, targets: Targets) -> tuple[Tensor, Tensor]:
        """Return a detached value for each heatmap channel (K + 1,) and each limb (L,), for logs."""
        raise NotImplementedError


class FieldLoss(Loss):
    """Sum a masked penalty over all stages and fields.

    ``heatmaps`` and ``pafs`` choose from ``penalties()``, ``reduction`` from ``REDUCTIONS``. ``foreground`` f
    multiplies each penalty by ``1 + f * |target|``, or by ``1 + f * (1 - target)`` in the background channel.
    ``hard_keypoints`` and ``hard_limbs`` are the fractions that ohkm keeps in each sample. ``stage_weights``
    None weighs all stages 1. Divisors are those of the joint batch of all ranks, so that DDP's mean of
    gradients is the gradient of one process with that batch. Everything is computed in float32, under mixed
    precision too, and nothing waits for the device.
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
        for key, value in (("hard_keypoints", hard_keypoints), ("hard_limbs", hard_limbs)):
            if not 0 < value <= 1:
                raise PafposeError(f"loss.{key}={value}: must be a fraction above 0 and at most 1")
        if beta <= 0:
            raise PafposeError(f"loss.beta={beta}: must be above 0; use l1 for beta towards 0")
        choices = penalties(beta=beta, gamma=gamma)
        divisor = _choose("loss.reduction", reduction, REDUCTIONS)
        self._heatmaps = FieldTerm(
            _choose("loss.heatmaps", heatmaps, choices), divisor, weight=heatmap_weight, keep=hard_keypoints,
            foreground=foreground, components=1, background=background,
        )  # fmt: skip
        self._pafs = FieldTerm(
            _choose("loss.pafs", pafs, choices), divisor, weight=paf_weight, keep=hard_limbs,
            foreground=foreground, components=2, background=False,
        )  # fmt: skip
        self.stage_weights = None if stage_weights is None else list(stage_weights)
        self.log_channels = log_channels

    def __call__(self, stages: Sequence[Fields], targets: Targets) -> dict[str, Tensor]:
        """Return the terms ``heatmap_stage1``, ``paf_stage1``, ``heatmap_stage2`` and so on.

        A field that a later stage only hands on (the same tensor) counts once.
        """
        terms = self._terms(stages, targets)
        divisors = torch.stack([divisor for _, divisor in terms.values()])
        ranks = 1
        if torch.is_grad_enabled() and dist.is_available() and dist.is_initialized():
            ranks = dist.get_world_size()  # in validation ranks may see different numbers of batches
            dist.all_reduce(divisors)
        scales = ranks / divisors.clamp(min=1)
        return {name: total * scales[i] for i, (name, (total, _)) in enumerate(terms.items())}

    def per_channel(self, fields: Fields, targets: Targets) -> tuple[Tensor, Tensor]:
        """Return the mean penalty over unmasked cells of each heatmap channel (K + 1,) and of each limb (L,).

        Both are detached. ``fields`` must have heatmaps and PAFs, as the last stage does.
        """
        assert fields.heatmaps is not None and fields.pafs is not None
        with torch.no_grad():
            heatmaps = self._heatmaps.means(fields.heatmaps, targets.heatmaps, targets.heatmap_weights)
            return heatmaps, self._pafs.means(fields.pafs, targets.pafs, targets.paf_weights)

    def _terms(self, stages: Sequence[Fields], targets: Targets) -> dict[str, tuple[Tensor, Tensor]]:
        """Return the weighted sum of penalties of each term and what this rank would divide it by."""
        weights = self.stage_weights or [1.0] * len(stages)
        if len(weights) != len(stages):
            raise PafposeError(
                f"loss.stage_weights={weights}: {len(weights)} weights for {len(stages)} stages; give one "
                "for each, or null"
            )
        terms: dict[str, tuple[Tensor, Tensor]] = {}
        seen: set[int] = set()
        for number, ((heatmaps, pafs), weight) in enumerate(zip(stages, weights, strict=True), start=1):
            if heatmaps is not None and id(heatmaps) not in seen:
                total, divisor = self._heatmaps.sum(heatmaps, targets.heatmaps, targets.heatmap_weights)
                terms[f"heatmap_stage{number}"] = weight * total, divisor
            if pafs is not None and id(pafs) not in seen:
                total, divisor = self._pafs.sum(pafs, targets.pafs, targets.paf_weights)
                terms[f"paf_stage{number}"] = weight * total, divisor
            seen |= {id(heatmaps), id(pafs)}
        return terms


class Penalty(NamedTuple):
    """The penalties of prediction and target, all (B, N, D, h, w); mined: only the hardest of N count."""

    value: Callable[[Tensor, Tensor], Tensor]
    mined: bool = False


def penalties(*, beta: float, gamma: float) -> dict[str, Penalty]:
    """Return the choices for ``loss.heatmaps`` and ``loss.pafs``."""
    return {
        "l2": Penalty(l2),
        "l1": Penalty(l1),
        "smooth_l1": Penalty(partial(F.smooth_l1_loss, reduction="none", beta=beta)),
        "focal_l2": Penalty(partial(focal_l2, gamma=gamma)),
        "ohkm": Penalty(l2, mined=True),
    }


def l2(p: Tensor, t: Tensor) -> Tensor:
    """Return the squared difference."""
    return (p - t).square()


def l1(p: Tensor, t: Tensor) -> Tensor:
    """Return the absolute difference."""
    return (p - t).abs()


def focal_l2(p: Tensor, t: Tensor, *, gamma: float, alpha: float = 0.1, beta: float = 0.02) -> Tensor:
    """Return the squared difference times ``|1 - s|^gamma``, a factor without gradient.

    On a keypoint s = p - alpha, elsewhere 1 - p - beta (Li et al., "Simple Pose", AAAI 2020, section 3). For
    vectors, p is the component along the limb, and off the limb the length.
    """
    size, along = magnitude(p.detach()), (p.detach() * t).sum(2, keepdim=True)
    target = magnitude(t)
    s = torch.where(target >= FOREGROUND, along / target.clamp(min=FOREGROUND) - alpha, 1 - size - beta)
    return l2(p, t) * (1 - s).abs() ** gamma


def divide_by_twice_the_batch(weights: Tensor, penalty: Tensor) -> Tensor:
    """Return 2 B, as in the paper's loss layers."""
    return penalty.new_full((), 2.0 * len(penalty))


def divide_by_counted_values(weights: Tensor, penalty: Tensor) -> Tensor:
    """Return the number of values that the weights, 1 or 0, let through."""
    return weights.sum() * (penalty.numel() // weights.numel())


REDUCTIONS = {"caffe": divide_by_twice_the_batch, "mean": divide_by_counted_values}


@dataclass(frozen=True)
class FieldTerm:
    """The loss of one field, heatmaps or PAFs, in one stage.

    ``components`` is D; ``keep`` the fraction of the N keypoints or limbs that a mined penalty keeps.
    """

    penalty: Penalty
    divisor: Callable[[Tensor, Tensor], Tensor]
    weight: float
    keep: float
    foreground: float
    components: int
    background: bool

    def sum(self, predicted: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weighted sum of penalties and what to divide it by."""
        penalty, weights = self._penalties(predicted, target, mask)
        if self.penalty.mined:
            hard = hardest((penalty.detach() * weights).sum((2, 3, 4)), self.keep)
            weights = weights * hard[:, :, None, None, None]
        return self.weight * (penalty * weights).sum(), self.divisor(weights, penalty)

    def means(self, predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """Return the mean penalty of each keypoint or limb over its unmasked cells: (N,)."""
        penalty, weights = self._penalties(predicted, target, mask)
        counts = weights.expand_as(penalty).sum((0, 2, 3, 4))
        return (penalty * weights).sum((0, 2, 3, 4)) / counts.clamp(min=1)

    def _penalties(self, predicted: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the penalties (B, N, D, h, w) and the mask, broadcastable to them; both float32."""
        if predicted.shape != target.shape:
            raise PafposeError(
                f"the network predicts {tuple(predicted.shape)}, but the targets are {tuple(target.shape)}; "
                "both must be built from one config (skeleton, paf.limbs, heatmap.background, head.stride)"
            )
        p, t = self._grouped(predicted.float()), self._grouped(target.float())
        penalty = self.penalty.value(p, t)
        if self.foreground:
            penalty = penalty * (1 + self.foreground * self._presence(t))
        return penalty, self._grouped(mask.float())

    def _grouped(self, field: Tensor) -> Tensor:
        """(B, N D, h, w) -> (B, N, D, h, w); a mask for all channels (B, 1, h, w) -> (B, 1, 1, h, w)."""
        return field.unflatten(1, (-1, min(self.components, field.shape[1])))

    def _presence(self, t: Tensor) -> Tensor:
        """Return how much of a keypoint or limb there is in each cell; for the background, how little."""
        presence = magnitude(t)
        if not self.background:
            return presence
        return torch.cat([presence[:, :-1], 1 - presence[:, -1:]], 1)


def magnitude(field: Tensor) -> Tensor:
    """Return the values of heatmaps, the lengths of vectors: (B, N, D, h, w) -> (B, N, 1, h, w)."""
    return field if field.shape[2] == 1 else field.square().sum(2, keepdim=True).sqrt()


def hardest(losses: Tensor, fraction: float) -> Tensor:
    """Return 1 for the largest ``ceil(fraction * N)`` of each row of (B, N), else 0.

    >>> hardest(torch.tensor([[1.0, 3.0, 2.0, 0.0]]), 0.5)
    tensor([[0., 1., 1., 0.]])
    """
    keep = math.ceil(fraction * losses.shape[1])
    return torch.zeros_like(losses).scatter_(1, losses.topk(keep, 1).indices, 1.0)


def _choose(key: str, value: str, choices: Mapping[str, Choice]) -> Choice:
    if value not in choices:
        raise PafposeError(f"{key}={value}: choose one of {', '.join(choices)}")
    return choices[value]
