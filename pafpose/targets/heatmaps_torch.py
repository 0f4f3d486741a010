"""Heatmaps on any device: a torch kernel without loops over people and without host syncs.

Shapes depend only on the shapes of the inputs and on the settings. Every Gaussian is a square window of one
fixed size, and all windows are scattered into the fields at once. Positions and distances are in pixels of
the network input, in float64 (float32 on devices that have no float64).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from pafpose.geometry import cell_to_px, px_to_cell
from pafpose.targets.heatmaps_numba import MARGIN, MIN_SIGMA, ROUNDING
from pafpose.targets.settings import HeatmapSettings

CELLS_AT_ONCE = 2**22  # bounds the memory; more people than fit are drawn in several rounds


def draw_heatmaps(
    keypoints: Tensor,
    labelled: Tensor,
    sigmas: Tensor,
    *,
    settings: HeatmapSettings,
    max_sigma: float,
    stride: int,
    size: tuple[int, int],
) -> Tensor:
    """Return heatmaps ``(B, K [+ 1], h, w)`` float32 of people ``keypoints (B, P, K, 3)``.

    Keypoints are drawn where ``labelled (B, P, K)``. ``sigmas (B, P, K)`` are in pixels, and ``max_sigma``
    bounds them and so the windows. ``size`` is (h, w) in cells.
    """
    batch, people, channels = labelled.shape
    (height, width), device = size, keypoints.device
    out = torch.zeros(batch, channels, height, width, device=device)
    reach = math.sqrt(-2 * math.log(settings.truncate)) if settings.truncate > 0 else math.inf  # in sigmas
    reach *= 1 + MARGIN
    cells = 2 * reach * max_sigma / stride + 1
    window = int(min(cells, height)), int(min(cells, width))
    first_cell = torch.arange(batch * channels, device=device).view(batch, 1, channels, 1, 1) * height * width
    for some in people_at_once(people, batch * channels * window[0] * window[1]):
        x, y, _ = keypoints[:, some].unbind(-1)
        sigma = sigmas[:, some].clamp_min(MIN_SIGMA)
        rows, down = _gaussians(y, sigma, reach=reach, stride=stride, size=height, window=window[0])
        columns, across = _gaussians(x, sigma, reach=reach, stride=stride, size=width, window=window[1])
        value = down[..., :, None] * across[..., None, :]
        drawn = (value >= settings.truncate * (1 - ROUNDING)) & labelled[:, some, :, None, None]
        value = torch.where(drawn, value, 0).float().flatten()
        index = (first_cell + rows[..., :, None] * width + columns[..., None, :]).flatten()
        if settings.merge == "max":
            out.view(-1).scatter_reduce_(0, index, value, "amax")
        else:
            out.view(-1).scatter_add_(0, index, value)
    if settings.merge == "sum":
        out = out.clamp(max=1)
    return _with_background(out, settings.background)


def _with_background(heatmaps: Tensor, background: str) -> Tensor:
    """Append the background channel, if there is one."""
    if background == "none":
        return heatmaps
    if background == "max":
        last = 1 - heatmaps.amax(1, keepdim=True)
    else:
        last = (1 - heatmaps.sum(1, keepdim=True)).clamp(0, 1)
    return torch.cat([heatmaps, last], 1)


def _gaussians(
    centre: Tensor, sigma: Tensor, *, reach: float, stride: int, size: int, window: int
) -> tuple[Tensor, Tensor]:
    """Return the cells ``(..., window)`` around ``centre`` px along one axis, and the Gaussians there.

    Cells outside the field are moved to its border, where their Gaussian is 0.
    """
    first = torch.zeros_like(centre)
    if window < size:
        first = px_to_cell(centre - reach * sigma, stride).ceil().nan_to_num(0.0).clamp(-window, size)
    cells = first[..., None] + torch.arange(window, device=centre.device)
    distance = cell_to_px(cells, stride) - centre[..., None]
    value = torch.exp(-(distance**2) / (2 * sigma[..., None] ** 2))
    inside = (cells >= 0) & (cells < size)
    return cells.clamp(0, size - 1).long(), torch.where(inside, value, 0)


def people_at_once(people: int, cells: int) -> Iterator[slice]:
    """Yield slices of people that together need at most ``CELLS_AT_ONCE``; one person needs ``cells``."""
    step = max(1, CELLS_AT_ONCE // max(cells, 1))
    return (slice(start, start + step) for start in range(0, people, step))
