"""Targets on any device: batched torch kernels without loops over people or limbs and without host syncs.

Shapes depend only on the shapes of the inputs and on the settings. A Gaussian is a square window of fixed
size; a limb is a band: for every line of cells across its main direction, the few cells it may cover. Both
are scattered into the fields. Where a limb has the same vector everywhere and overlaps are summed, only the
two ends of every row are, and sums along the rows fill what is between: the cost does not grow with the
width. Coordinates are pixels of the network input, in float64 (float32 where a
device has no other).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from pafpose.targets.settings import HeatmapSettings, PafSettings

GRAIN = 2.0**20  # distances and magnitudes that agree to 1/GRAIN are ties
BUDGET = 2**22  # cells worked on at once; more people than fit are drawn in parts
UNIT = 2**21  # steps in a unit vector where sums are whole numbers; room for a thousand limbs in a cell
PEOPLE = 2**16  # room for the person in a key
FAR = torch.iinfo(torch.int64).max


def real_dtype(device: torch.device) -> torch.dtype:
    """The precision to compute in."""
    return torch.float32 if device.type == "mps" else torch.float64


def tolerance(dtype: torch.dtype) -> float:
    """Pixels by which a cell may miss a limb's border and still belong to it: what rounding can do."""
    return 1e-9 if dtype == torch.float64 else 1e-4


def draw_heatmaps(
    xy: Tensor,
    labelled: Tensor,
    scales: Tensor,
    ratios: Tensor,
    *,
    settings: HeatmapSettings,
    max_scale: float,
    stride: int,
    size: tuple[int, int],
) -> Tensor:
    """Heatmaps ``(B, K [+ 1], h, w)`` float32 of people ``xy (B, P, K, 2)``, ``labelled (B, P, K)``.

    ``scales (B, P)`` times ``ratios (K,)`` times ``settings.sigma`` is the size in pixels; ``max_scale``
    bounds the factor and so the window. ``size`` is (h, w) in cells.
    """
    batch, people, channels = labelled.shape
    height, width = size
    extra = settings.background != "none"
    out = torch.zeros(batch, channels + extra, height, width, device=xy.device)
    reach = math.sqrt(-2 * math.log(settings.truncate)) * (1 + 1e-6) if settings.truncate > 0 else math.inf
    cells = 2 * reach * settings.sigma * max_scale / stride + 1
    window = (int(min(cells, height)), int(min(cells, width)))
    planes = torch.arange(batch, device=xy.device)[:, None] * out.shape[1]
    planes = (planes + torch.arange(channels, device=xy.device))[:, None, :, None, None] * (height * width)
    for part in _parts(people, batch * channels * window[0] * window[1]):
        sigma = (settings.sigma * scales[:, part, None] * ratios).clamp_min(1e-6)
        rows, g_row = _gaussians(
            xy[:, part, :, 1], sigma, reach=reach, stride=stride, size=height, window=window[0]
        )
        columns, g_column = _gaussians(
            xy[:, part, :, 0], sigma, reach=reach, stride=stride, size=width, window=window[1]
        )
        value = g_row[..., :, None] * g_column[..., None, :]
        keep = (value >= settings.truncate * (1 - 1e-12)) & labelled[:, part, :, None, None]
        value = torch.where(keep, value, 0).float().flatten()
        index = (planes + rows[..., :, None] * width + columns[..., None, :]).flatten()
        if settings.merge == "sum":
            out.view(-1).scatter_add_(0, index, value)
        else:
            out.view(-1).scatter_reduce_(0, index, value, "amax")
    if settings.merge == "sum":
        out = out.clamp(max=1)
    if extra:
        out[:, channels] = _background(out[:, :channels], settings.background)
    return out


def _background(heatmaps: Tensor, kind: str) -> Tensor:
    if kind == "sum":
        return (1 - heatmaps.sum(1)).clamp(0, 1)
    return 1 - heatmaps.amax(1)


def _gaussians(
    centre: Tensor, sigma: Tensor, *, reach: float, stride: int, size: int, window: int
) -> tuple[Tensor, Tensor]:
    """Cells ``(..., window)`` about ``centre`` px along one axis, and the Gaussian there, 0 outside."""
    offset = (stride - 1) / 2
    first = torch.zeros_like(centre) if window == size else _ceil((centre - reach * sigma - offset) / stride)
    cells = first.clamp(-window, size)[..., None] + torch.arange(window, device=centre.device)
    distance = cells * stride + offset - centre[..., None]
    value = torch.exp(-(distance**2) / (2 * sigma[..., None] ** 2))
    inside = (cells >= 0) & (cells < size)
    return cells.clamp(0, size - 1).long(), torch.where(inside, value, 0)


def _ceil(value: Tensor) -> Tensor:
    return torch.ceil(value).nan_to_num(0.0)


def _parts(people: int, cells: int) -> Iterator[slice]:
    """All people at once, unless that would take too much memory."""
    step = max(1, BUDGET // max(cells, 1))
    return (slice(start, start + step) for start in range(0, people, step))


class Limbs(NamedTuple):
    """Every limb of every person, ``(B, P, L)`` each; where not ``drawn``, harmless numbers."""

    x: Tensor  # start, px
    y: Tensor
    ux: Tensor  # unit vector
    uy: Tensor
    length: Tensor  # px
    half: Tensor  # half width, px
    drawn: Tensor


class Plan(NamedTuple):
    """What is the same for all limbs; ``height`` and ``width`` in cells."""

    settings: PafSettings
    stride: int
    height: int
    width: int
    depth: int  # the most cells of one line that a limb can cover


class Band(NamedTuple):
    """Cells ``(B, P, L, lines, depth)`` that limbs may cover."""

    cell: Tensor  # flat index into (B, L, h, w)
    covered: Tensor
    distance: Tensor | None  # px; None when nobody asks


def draw_pafs(
    xy: Tensor,
    labelled: Tensor,
    scales: Tensor,
    limbs: Tensor,
    *,
    settings: PafSettings,
    stride: int,
    size: tuple[int, int],
) -> Tensor:
    """PAFs ``(B, 2 L, h, w)`` float32 of people ``xy (B, P, K, 2)``, ``labelled (B, P, K)``.

    ``limbs (L, 2)`` are pairs of keypoint channels. ``scales (B, P)`` times ``settings.width`` is the
    half width. ``size`` is (h, w) in cells.
    """
    batch, people = labelled.shape[:2]
    shape = (batch, len(limbs), *size)
    plan = Plan(settings, stride, *size, _depth(settings, stride, max(size)))
    every = _limbs(xy, labelled, scales, limbs, settings)
    if settings.profile == "rigid" and settings.merge in ("mean", "sum"):
        pafs = _rigid_sums(every, plan)
        return pafs.movedim(0, 2).reshape(batch, 2 * len(limbs), *size)
    parts = list(_parts(people, batch * len(limbs) * max(size) * plan.depth))
    if settings.merge in ("mean", "sum"):
        total = torch.zeros(3, math.prod(shape), dtype=xy.dtype, device=xy.device)
        for part in parts:
            _add(total, Limbs(*(value[:, part] for value in every)), plan)
        count = total[2].clamp_min(1) if settings.merge == "mean" else 1
        pafs = (total[:2] / count).float().view(2, *shape)
    else:
        best = torch.full((math.prod(shape),), FAR, device=xy.device)
        for part in parts:
            _compete(best, Limbs(*(value[:, part] for value in every)), plan, first_person=part.start)
        pafs = _winners(best.view(shape), every, plan)
    return pafs.movedim(0, 2).reshape(batch, 2 * len(limbs), *size)


def _depth(settings: PafSettings, stride: int, limit: int) -> int:
    """The most cells of one line that a limb can cover: its band is cut at 45 degrees or steeper."""
    scale = 1.0 if settings.scale_by == "none" else settings.scale_max
    reach = settings.width * scale * settings.reach_factor
    return int(min(2 * math.sqrt(2) * (reach + 1e-3) / stride + 1, limit))


def _limbs(xy: Tensor, labelled: Tensor, scales: Tensor, limbs: Tensor, settings: PafSettings) -> Limbs:
    ends = xy[:, :, limbs]  # (B, P, L, 2, 2)
    start, vector = ends[..., 0, :], ends[..., 1, :] - ends[..., 0, :]
    length = (vector**2).sum(-1).sqrt()
    drawn = labelled[:, :, limbs].all(-1) & (length > 0) & (length < math.inf)
    length = torch.where(drawn, length, 1)
    unit = torch.where(drawn[..., None], vector / length[..., None], 1)
    half = settings.width * scales[..., None]
    if settings.by_limb:
        half = half * (length / settings.limb_ref).clamp(settings.scale_min, settings.scale_max)
    half = half.expand_as(length).clamp_min(tolerance(xy.dtype))
    return Limbs(start[..., 0], start[..., 1], unit[..., 0], unit[..., 1], length, half, drawn)


def _rigid_sums(limbs: Limbs, plan: Plan) -> Tensor:
    """Sums or means ``(2, B, L, h, w)`` float32 of limbs that have one vector everywhere."""
    batch, people, parts = limbs.x.shape
    planes = 3 if plan.settings.merge == "mean" else 2
    # a row that a limb covers from cell a to cell b: its vector at a, minus its vector at b + 1; whole
    # numbers, so that nothing is left where limbs end and the order of the sums does not matter
    shape = (planes, batch, parts, plan.height, plan.width + 1)
    steps = torch.zeros(shape, dtype=torch.int32, device=limbs.x.device)
    for part in _parts(people, batch * parts * plan.height * 2):
        some = Limbs(*(value[:, part] for value in limbs))
        _add_ends(steps.flatten(1), *_row_ends(some, plan), some)
    sums = steps.cumsum(-1, dtype=torch.int32)[..., : plan.width]
    if plan.settings.merge == "sum":
        return sums * (1 / UNIT)
    return sums[:2] / (sums[2].clamp_min(1) * UNIT)


def _row_ends(limbs: Limbs, plan: Plan) -> tuple[Tensor, Tensor, Tensor]:
    """In every row, ``(B, P, L, h)``: a limb's first cell, the one after its last, whether it has any."""
    settings, stride, height, width, _ = plan
    offset = (stride - 1) / 2
    x, y, ux, uy, length, half = (value[..., None] for value in limbs[:6])
    d_y = torch.arange(height, device=limbs.x.device) * stride + offset - y
    low, high = _interval(d_y, uy, ux, length, reach=half * settings.reach_factor, caps=settings.caps)
    first = torch.ceil((x + low - offset) / stride).clamp(0, width)
    after = torch.floor((x + high - offset) / stride).clamp(-1, width - 1) + 1
    return first.long(), after.long(), (after > first) & limbs.drawn[..., None]


def _add_ends(steps: Tensor, first: Tensor, after: Tensor, covered: Tensor, limbs: Limbs) -> None:
    """Put vectors, and counts where wanted, at the ends of rows into ``steps (2 or 3, B*L*h*(w + 1))``."""
    batch, _, parts, height = first.shape
    rows = torch.arange(batch * parts * height, device=first.device).view(batch, 1, parts, height)
    begin = rows * (steps.shape[1] // (batch * parts * height))
    index = torch.stack([begin + first, begin + after]).flatten()
    vectors = (torch.round(UNIT * axis).to(torch.int32) for axis in (limbs.ux, limbs.uy))
    for step, part in zip(steps, (*vectors, torch.ones_like(limbs.x, dtype=torch.int32)), strict=False):
        value = covered * part[..., None]
        step.scatter_add_(0, index, torch.stack([value, -value]).flatten())


def _band(limbs: Limbs, plan: Plan) -> Band:
    """Cut every limb across its main direction: at most ``depth`` neighbouring cells on each line."""
    settings, stride, height, width, depth = plan
    device, offset = limbs.x.device, (stride - 1) / 2
    flat = (limbs.ux.abs() >= limbs.uy.abs())[..., None]  # lines are columns, else rows
    x, y, ux, uy, length, half = (value[..., None] for value in limbs[:6])
    u_main, u_across = torch.where(flat, ux, uy), torch.where(flat, uy, ux)
    main, across = torch.where(flat, x, y), torch.where(flat, y, x)
    line = torch.arange(max(height, width), device=device)
    d_main = line * stride + offset - main
    axis = u_main, u_across, length
    low, high = _interval(d_main, *axis, reach=half * settings.reach_factor, caps=settings.caps)
    limit = torch.where(flat, height, width)
    first = torch.ceil((across + low - offset) / stride).clamp(min=0).minimum(limit)
    last = torch.floor((across + high - offset) / stride).clamp(min=-1).minimum(limit - 1)
    usable = limbs.drawn[..., None] & (line < torch.where(flat, width, height))
    count = torch.where(usable, last - first + 1, 0).to(torch.int32)
    step = torch.arange(depth, device=device)
    cell = first.long()[..., None] + step
    covered = step.to(torch.int32) < count[..., None]
    plane = torch.arange(limbs.x.shape[0], device=device)[:, None] * limbs.x.shape[2]
    plane = (plane + torch.arange(limbs.x.shape[2], device=device))[:, None, :, None] * (height * width)
    begin = plane + line * torch.where(flat, 1, width)
    inside = begin[..., None] + cell * torch.where(flat, width, 1)[..., None]
    spare = (line[:, None] * depth + step) % (height * width)  # cells that get nothing, well spread
    index = torch.where(covered, inside, plane[..., None] + spare)
    if settings.profile == "rigid" and settings.merge != "nearest":
        return Band(index, covered, None)
    d_across = cell * stride + offset - across[..., None]
    axis = u_main[..., None], u_across[..., None], length[..., None]
    return Band(index, covered, _distance(d_main[..., None], d_across, *axis, caps=settings.caps))


def _interval(
    d_main: Tensor, u_main: Tensor, u_across: Tensor, length: Tensor, *, reach: Tensor, caps: str
) -> tuple[Tensor, Tensor]:
    """What a limb covers at ``d_main`` px from its start along its main axis: across, px from its start."""
    slack = tolerance(d_main.dtype)
    reach = reach + slack
    low, high = _strip(-u_across * d_main, u_main, -reach, reach)
    if caps == "bbox":
        end_main, end_across = u_main * length, u_across * length
        inside = (d_main >= end_main.clamp(max=0) - reach) & (d_main <= end_main.clamp(min=0) + reach)
        low = torch.maximum(low, end_across.clamp(max=0) - reach)
        high = torch.minimum(high, end_across.clamp(min=0) + reach)
        return torch.where(inside, low, math.inf), torch.where(inside, high, -math.inf)
    left, right = _strip(u_main * d_main, u_across, torch.full_like(length, -slack), length + slack)
    low, high = torch.maximum(low, left), torch.minimum(high, right)
    if caps == "none":
        return low, high
    empty = low > high
    low, high = torch.where(empty, math.inf, low), torch.where(empty, -math.inf, high)
    for end in (0.0, 1.0):  # the two discs; the union is convex, so the hull of the intervals is it
        chord = reach**2 - (d_main - u_main * length * end) ** 2
        centre, half = u_across * length * end, chord.clamp_min(0).sqrt()
        low = torch.where(chord >= 0, torch.minimum(low, centre - half), low)
        high = torch.where(chord >= 0, torch.maximum(high, centre + half), high)
    return low, high


def _strip(constant: Tensor, slope: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Interval of x in which ``low <= constant + slope * x <= high``; empty is (inf, -inf)."""
    level = slope == 0
    safe = torch.where(level, 1, slope)
    a, b = (low - constant) / safe, (high - constant) / safe
    inside = (constant >= low) & (constant <= high)
    return (
        torch.where(level, torch.where(inside, -math.inf, math.inf), torch.minimum(a, b)),
        torch.where(level, torch.where(inside, math.inf, -math.inf), torch.maximum(a, b)),
    )


def _distance(dx: Tensor, dy: Tensor, ux: Tensor, uy: Tensor, length: Tensor, *, caps: str) -> Tensor:
    """Distance in px from a limb's axis (from the segment when its ends are round)."""
    distance = (ux * dy - uy * dx).abs()
    if caps != "round":
        return distance
    along = ux * dx + uy * dy
    return torch.hypot(distance, torch.maximum(-along, along - length).clamp_min(0))


def _magnitude(distance: Tensor, half: Tensor, profile: str) -> Tensor:
    ratio = distance / half
    if profile == "linear":
        return (1 - ratio).clamp_min(0)
    if profile == "cosine":
        return (1 + torch.cos(math.pi * ratio.clamp(max=1))) / 2
    if profile == "gaussian":
        return torch.exp(-(ratio**2) / 2)
    return torch.ones_like(ratio)


def _add(total: Tensor, limbs: Limbs, plan: Plan) -> None:
    """Add the vectors of limbs that fade, and how many there are, to ``total (3, B*L*h*w)``."""
    band = _band(limbs, plan)
    count = band.covered.to(total.dtype)
    assert band.distance is not None  # of rigid limbs the ends of rows are summed
    weight = count * _magnitude(band.distance, limbs.half[..., None, None], plan.settings.profile)
    index = band.cell.flatten()
    total[0].scatter_add_(0, index, (weight * limbs.ux[..., None, None]).flatten())
    total[1].scatter_add_(0, index, (weight * limbs.uy[..., None, None]).flatten())
    if plan.settings.merge == "mean":
        total[2].scatter_add_(0, index, count.flatten())


def _compete(best: Tensor, limbs: Limbs, plan: Plan, *, first_person: int) -> None:
    """Keep in ``best (B*L*h*w)`` the lowest key of each cell: rank, then the person."""
    band = _band(limbs, plan)
    person = first_person + torch.arange(limbs.x.shape[1], device=best.device)[:, None, None, None]
    if plan.settings.merge == "last":
        key = PEOPLE - 1 - person
    elif band.distance is None:  # all magnitudes are 1
        key = person
    elif plan.settings.merge == "nearest":
        key = _rank(band.distance) * PEOPLE + person
    else:
        magnitude = _magnitude(band.distance, limbs.half[..., None, None], plan.settings.profile)
        key = _rank(1 - magnitude) * PEOPLE + person
    best.scatter_reduce_(0, band.cell.flatten(), torch.where(band.covered, key, FAR).flatten(), "amin")


def _rank(value: Tensor) -> Tensor:
    return torch.round(value * GRAIN).long()


def _winners(best: Tensor, limbs: Limbs, plan: Plan) -> Tensor:
    """The winning limb's vector in every cell, ``(2, B, L, h, w)`` float32."""
    settings, stride, height, width, _ = plan
    if limbs.x.shape[1] == 0:
        return torch.zeros(2, *best.shape, device=best.device)
    person = best % PEOPLE
    if settings.merge == "last":
        person = PEOPLE - 1 - person
    taken = best != FAR
    person = torch.where(taken, person, 0).flatten(2).movedim(2, 1)  # (B, h*w, L)
    x, y, ux, uy, length, half = (
        value.gather(1, person).movedim(1, 2).view(best.shape) for value in limbs[:6]
    )
    weight = taken.to(ux.dtype)
    if settings.profile != "rigid":
        offset = (stride - 1) / 2
        dx = torch.arange(width, device=best.device) * stride + offset - x
        dy = torch.arange(height, device=best.device)[:, None] * stride + offset - y
        distance = _distance(dx, dy, ux, uy, length, caps=settings.caps)
        weight = weight * _magnitude(distance, half, settings.profile)
    return torch.stack([weight * ux, weight * uy]).float()
