"""Overlapping peaks on any device: what ``overlap.py`` does to one patch, done to all patches at once."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from pafpose.decode import overlap as rules


class Patches(NamedTuple):
    """M patches of 5 x 5 cells around peaks' cells."""

    values: Tensor  # (M, 25), 0 where the cell lies outside
    x: Tensor  # (25,) offsets from the peak's cell
    y: Tensor
    inside: Tensor  # (M, 25) bool
    variance: Tensor  # (M, 1), of the Gaussians


def offsets(device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """x and y of the cells of a patch, in reading order."""
    side = torch.arange(-rules._RADIUS, rules._RADIUS + 1, device=device, dtype=dtype)
    y, x = torch.meshgrid(side, side, indexing="ij")
    return x.reshape(-1), y.reshape(-1)


def gaussian(dx: Tensor, dy: Tensor, height: Tensor, variance: Tensor) -> Tensor:
    """Height of peaks at offsets from them."""
    return height * torch.exp(-(dx * dx + dy * dy) / (2.0 * variance))


def misfit(patches: Patches, peak: Tensor) -> Tensor:
    """Largest gap ``(M,)`` of 3x3 cells to their peaks ``(M, 3)`` = offset x, y, height, over height."""
    near = (patches.x.abs() <= 1) & (patches.y.abs() <= 1) & patches.inside
    model = gaussian(patches.x - peak[:, :1], patches.y - peak[:, 1:2], peak[:, 2:], patches.variance)
    return torch.where(near, (patches.values - model).abs(), 0.0).amax(1) / peak[:, 2]


def _fit(patches: Patches, logs: Tensor, use: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted planes ``(..., 3)`` through the used cells' logarithms, and which are determined."""
    w = torch.where(use, patches.values**2, 0.0)
    total = w.sum(-1)
    some = total > 0
    share = w / torch.where(some, total, 1.0)[..., None]
    mx, my, mu = (share * patches.x).sum(-1), (share * patches.y).sum(-1), (share * logs).sum(-1)
    x, y, u = patches.x - mx[..., None], patches.y - my[..., None], logs - mu[..., None]
    cxx, cxy, cyy = (share * x * x).sum(-1), (share * x * y).sum(-1), (share * y * y).sum(-1)
    cxu, cyu = (share * x * u).sum(-1), (share * y * u).sum(-1)
    det = cxx * cyy - cxy * cxy
    good = some & (det >= 1e-4)
    det = torch.where(good, det, 1.0)
    slope_x, slope_y = (cxu * cyy - cyu * cxy) / det, (cyu * cxx - cxu * cxy) / det
    return torch.stack([mu - slope_x * mx - slope_y * my, slope_x, slope_y], -1), good


def _error(patches: Patches, use: Tensor, logs: Tensor) -> Tensor:
    """Root mean square of value minus Gaussian over the used cells."""
    model = torch.exp((logs - (patches.x**2 + patches.y**2) / (2.0 * patches.variance)).clamp(max=1.0))
    square = torch.where(use, (patches.values - model) ** 2, 0.0).sum(-1)
    return (square / use.sum(-1).clamp(min=1)).sqrt()


def _free_error(patches: Patches, use: Tensor, logs: Tensor, plane: Tensor) -> Tensor:
    """What is left when one Gaussian may have any width; see ``overlap._free_error``."""
    square = (patches.x**2 + patches.y**2).expand_as(logs)
    bowl, _ = _fit(patches, square, use)
    rest = square - _heights(bowl, patches)
    weight = torch.where(use, patches.values**2, 0.0)
    low = (weight * rest * rest).sum(-1)
    top = (weight * rest * (logs - _heights(plane, patches))).sum(-1)
    bend = torch.where(low > 0, top / torch.where(low > 0, low, 1.0), 0.0)
    return _error(patches, use, _heights(plane, patches) + bend[..., None] * rest)


def _heights(planes: Tensor, patches: Patches) -> Tensor:
    return planes[..., :1] + planes[..., 1:2] * patches.x + planes[..., 2:] * patches.y


def _fit_two(patches: Patches, logs: Tensor, use: Tensor, angle: float) -> tuple[Tensor, Tensor]:
    """Two planes ``(M, 2, 3)`` from a cut at an angle, and their error, inf where there are not two."""
    weight = torch.where(use, patches.values, 0.0)
    total = weight.sum(1, keepdim=True)
    mx, my = (weight * patches.x).sum(1, keepdim=True), (weight * patches.y).sum(1, keepdim=True)
    along = (patches.x - mx / total) * math.cos(angle) + (patches.y - my / total) * math.sin(angle)
    side = along > 0
    valid = torch.ones(len(use), dtype=torch.bool, device=use.device)
    planes = torch.zeros(len(use), 2, 3, dtype=logs.dtype, device=use.device)
    for _ in range(rules._ROUNDS):
        (low, low_good), (high, high_good) = _fit(patches, logs, use & ~side), _fit(patches, logs, use & side)
        planes = torch.stack([low, high], 1)
        valid &= low_good & high_good
        side = _heights(high, patches) > _heights(low, patches)
    chosen = torch.where(side, _heights(planes[:, 1], patches), _heights(planes[:, 0], patches))
    return planes, torch.where(valid, _error(patches, use, chosen), torch.inf)


def _to_peaks(planes: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Gaussians (offset x, y, height) of planes, and which have their centre in the patch."""
    dx, dy = planes[..., 1] * variance, planes[..., 2] * variance
    height = torch.exp((planes[..., 0] + (dx * dx + dy * dy) / (2.0 * variance)).clamp(max=1.0))
    return torch.stack([dx, dy, height], -1), torch.maximum(dx.abs(), dy.abs()) <= rules._RADIUS


def resolve(patches: Patches, height: Tensor, foreign: Tensor, error: float) -> tuple[Tensor, Tensor]:
    """Explain patches by one or two Gaussians: ``(M,)`` how many (0: neither), and ``(M, 2, 3)`` which.

    ``height`` are the peaks' own, ``foreign`` ``(M, 25)`` the cells that other peaks explain.
    """
    centre = patches.values[:, patches.values.shape[1] // 2, None]
    use = patches.inside & ~foreign & (patches.values >= rules.FAINT * centre)
    logs = torch.log(patches.values.clamp(min=1e-30)) + (patches.x**2 + patches.y**2) / (
        2.0 * patches.variance
    )
    allowed = error * height
    plane, determined = _fit(patches, logs, use)
    possible = determined & (use.sum(1) >= 3) & (centre[:, 0] >= rules.FAINT)
    single = _error(patches, use, _heights(plane, patches))
    free = _free_error(patches, use, logs, plane)
    one, one_inside = _to_peaks(plane, patches.variance[:, 0])
    lowest = torch.minimum(allowed, rules._BETTER * torch.minimum(single, free))
    best = torch.zeros(len(use), 2, 3, dtype=logs.dtype, device=logs.device)
    found = torch.zeros_like(possible)
    for n in range(rules._DIRECTIONS):
        planes, left = _fit_two(patches, logs, use, n * math.pi / rules._DIRECTIONS)
        better = left < lowest
        lowest, found = torch.where(better, left, lowest), found | better
        best = torch.where(better[:, None, None], planes, best)
    two, two_inside = _to_peaks(best, patches.variance)
    apart = ((two[:, 0, :2] - two[:, 1, :2]) ** 2).sum(-1) >= rules._CLOSEST**2
    similar = two[..., 2].amin(1) >= rules._WEAKEST * two[..., 2].amax(1)
    likely = (free >= rules._BETTER * single) | (single <= rules._SURE * allowed)
    is_one = possible & (single <= allowed) & likely
    is_two = possible & ~is_one & found & two_inside.all(1) & apart & similar
    number = torch.where(is_one & one_inside, 1, torch.where(is_two, 2, 0))
    return number, torch.where(is_one[:, None, None], one[:, None].expand(-1, 2, -1), two)
