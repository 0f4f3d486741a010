"""Part affinity fields on any device: a torch kernel without loops over people or limbs or host syncs.

Shapes depend only on the shapes of the inputs and on the settings. There are two ways to draw:

- In general, a limb is cut across its main direction (along columns if it is rather level, along rows if it
  is rather upright). It covers a few neighbouring cells of each such line, the candidates, and these are
  scattered into the fields.
- Where a limb has one vector everywhere (``profile=rigid``) and overlaps are summed (``merge=mean`` or
  ``sum``), only the two ends of each row it covers are scattered, and cumulative sums along the rows fill
  what lies between. The work does not grow with the width, and the sums are whole numbers, so the result
  does not depend on their order.

Positions and distances are in pixels of the network input, in float64 (float32 on devices that have no
float64).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from pafpose.geometry import cell_to_px, px_to_cell
from pafpose.targets.heatmaps_torch import people_at_once
from pafpose.targets.pafs_numba import TIE, TOLERANCE, Profile, reach_in_half_widths
from pafpose.targets.settings import PafSettings

UNIT = 2**21  # steps of a unit vector where sums are whole numbers; leaves room for 1,000 limbs in a cell
PEOPLE = 2**16  # room for the number of a person in a key
NOBODY = torch.iinfo(torch.int64).max  # the key of a cell that no limb covers


class Limbs(NamedTuple):
    """All limbs of all people, ``(B, P, L)`` each; where not ``drawn``, harmless numbers."""

    x: Tensor  # where they start, px
    y: Tensor
    ux: Tensor  # unit vectors to their ends
    uy: Tensor
    length: Tensor  # px
    half: Tensor  # half widths, px
    drawn: Tensor  # bool

    def of(self, people: slice) -> Limbs:
        """Return the limbs of some people."""
        return Limbs(*(value[:, people] for value in self))


class Canvas(NamedTuple):
    """How and on what all limbs are drawn."""

    settings: PafSettings
    reach: float  # how far a limb covers cells, in half widths
    stride: int
    height: int  # cells
    width: int


class Candidates(NamedTuple):
    """Cells ``(B, P, L, lines, depth)`` that limbs may cover."""

    cell: Tensor  # flat index into (B, L, h, w)
    covered: Tensor  # bool
    distance: Tensor  # from the axis, px


def draw_pafs(
    keypoints: Tensor,
    labelled: Tensor,
    half_widths: Tensor,
    limbs: Tensor,
    *,
    settings: PafSettings,
    stride: int,
    size: tuple[int, int],
) -> Tensor:
    """Return PAFs ``(B, 2 L, h, w)`` float32 of people ``keypoints (B, P, K, 3)``, ``labelled (B, P, K)``.

    ``limbs (L, 2)`` are pairs of keypoint channels. ``half_widths (B, P)`` are in pixels. ``size`` is (h, w)
    in cells.
    """
    every = _limbs(keypoints, labelled, half_widths, limbs, settings)
    canvas = Canvas(settings, reach_in_half_widths(Profile[settings.profile]), stride, *size)
    if settings.merge not in ("mean", "sum"):
        pafs = _choose(every, canvas)
    elif settings.profile == "rigid":
        pafs = _sum_rows(every, canvas)
    else:
        pafs = _sum_candidates(every, canvas)
    return pafs.movedim(0, 2).flatten(1, 2)


def _limbs(
    keypoints: Tensor, labelled: Tensor, half_widths: Tensor, limbs: Tensor, settings: PafSettings
) -> Limbs:
    ends = torch.where(labelled[..., None], keypoints[..., :2], 0)[:, :, limbs]  # (B, P, L, 2, 2)
    start, vector = ends[..., 0, :], ends[..., 1, :] - ends[..., 0, :]
    length = (vector**2).sum(-1).sqrt()
    drawn = labelled[:, :, limbs].all(-1) & (length > 0) & (length < math.inf)
    length = torch.where(drawn, length, 1)
    unit = torch.where(drawn[..., None], vector / length[..., None], 1)
    half = half_widths[..., None]
    if settings.by_limb:
        half = half * (length / settings.limb_ref).clamp(settings.scale_min, settings.scale_max)
    half = half.expand_as(length).clamp_min(_tolerance(keypoints.dtype))
    return Limbs(start[..., 0], start[..., 1], unit[..., 0], unit[..., 1], length, half, drawn)


def _tolerance(dtype: torch.dtype) -> float:
    """Return how many pixels beyond its border a cell still belongs to a limb: what rounding can do."""
    return TOLERANCE if dtype == torch.float64 else 1e-4


# --- sums of rigid limbs, row by row -----------------------------------------------------------------------


def _sum_rows(limbs: Limbs, canvas: Canvas) -> Tensor:
    """Return sums or means ``(2, B, L, h, w)`` float32 of limbs that have one vector everywhere."""
    batch, people, kinds = limbs.x.shape
    mean = canvas.settings.merge == "mean"
    # in a row that a limb covers from cell a to cell b: its vector at a, minus its vector at b + 1
    shape = (2 + mean, batch, kinds, canvas.height, canvas.width + 1)
    steps = torch.zeros(shape, dtype=torch.int32, device=limbs.x.device)
    for some in people_at_once(people, batch * kinds * canvas.height * 2):
        _add_row_ends(steps.flatten(1), limbs.of(some), canvas)
    sums = steps.cumsum(-1, dtype=torch.int32)[..., : canvas.width]
    if mean:
        return sums[:2] / (sums[2].clamp_min(1) * UNIT)
    return sums * (1 / UNIT)


def _add_row_ends(steps: Tensor, limbs: Limbs, canvas: Canvas) -> None:
    """Add to ``steps (2 or 3, B*L*h*(w + 1))`` the vectors of limbs, and 1 for each, at the ends of rows."""
    first, after = _row_ends(limbs, canvas)
    batch, _, kinds, height = first.shape
    rows = torch.arange(batch * kinds * height, device=first.device).view(batch, 1, kinds, height)
    begin = rows * (canvas.width + 1)
    index = torch.stack([begin + first, begin + after]).flatten()
    covered = (after > first) & limbs.drawn[..., None]
    vectors = (torch.round(UNIT * axis).to(torch.int32) for axis in (limbs.ux, limbs.uy))
    for step, part in zip(steps, (*vectors, torch.ones_like(limbs.x, dtype=torch.int32)), strict=False):
        value = covered * part[..., None]
        step.scatter_add_(0, index, torch.stack([value, -value]).flatten())


def _row_ends(limbs: Limbs, canvas: Canvas) -> tuple[Tensor, Tensor]:
    """Return the first cell that limbs cover in each row, and the one after their last: ``(B, P, L, h)``."""
    settings, reach, stride, height, width = canvas
    x, y, ux, uy, length, half, _ = (value[..., None] for value in limbs)
    dy = cell_to_px(torch.arange(height, device=x.device), stride) - y
    low, high = _covered_interval(dy, uy, ux, length, reach=reach * half, caps=settings.caps)
    first = px_to_cell(x + low, stride).ceil().clamp(0, width)
    after = px_to_cell(x + high, stride).floor().clamp(-1, width - 1) + 1
    return first.long(), after.long()


# --- everything else, candidate by candidate ---------------------------------------------------------------


def _sum_candidates(limbs: Limbs, canvas: Canvas) -> Tensor:
    """Return sums or means ``(2, B, L, h, w)`` float32 of limbs whose vectors fade across them."""
    batch, people, kinds = limbs.x.shape
    shape = batch, kinds, canvas.height, canvas.width
    total = torch.zeros(3, math.prod(shape), dtype=limbs.x.dtype, device=limbs.x.device)
    for some in people_at_once(people, _num_candidates(limbs, canvas)):
        part = limbs.of(some)
        cells = _candidates(part, canvas)
        count = cells.covered.to(total.dtype)
        weight = count * _magnitude(cells.distance / part.half[..., None, None], canvas.settings.profile)
        index = cells.cell.flatten()
        total[0].scatter_add_(0, index, (weight * part.ux[..., None, None]).flatten())
        total[1].scatter_add_(0, index, (weight * part.uy[..., None, None]).flatten())
        total[2].scatter_add_(0, index, count.flatten())
    if canvas.settings.merge == "mean":
        total = total / total[2].clamp_min(1)
    return total[:2].float().view(2, *shape)


def _choose(limbs: Limbs, canvas: Canvas) -> Tensor:
    """Return in each cell the vector of one of the limbs that cover it, ``(2, B, L, h, w)`` float32.

    Limbs compete by a key, the lowest of which wins: first their rank, then the number of their person.
    """
    batch, people, kinds = limbs.x.shape
    shape = batch, kinds, canvas.height, canvas.width
    best = torch.full((math.prod(shape),), NOBODY, device=limbs.x.device)
    for some in people_at_once(people, _num_candidates(limbs, canvas)):
        part = limbs.of(some)
        cells = _candidates(part, canvas)
        person = some.start + torch.arange(part.x.shape[1], device=best.device)[:, None, None, None]
        key = _rank(cells, part, person, canvas.settings) * PEOPLE + person
        key = torch.where(cells.covered, key, NOBODY)
        best.scatter_reduce_(0, cells.cell.flatten(), key.flatten(), "amin")
    covered = best.view(shape) != NOBODY
    person = torch.where(covered, best.view(shape) % PEOPLE, 0)
    return _vectors(person, limbs, canvas) * covered


def _rank(cells: Candidates, limbs: Limbs, person: Tensor, settings: PafSettings) -> Tensor:
    """Return the rank of limbs in the competition for a cell: whole numbers, so that near ties are ties."""
    if settings.merge == "last":
        return PEOPLE - person
    if settings.merge == "nearest":
        rank = cells.distance
    else:
        rank = 1 - _magnitude(cells.distance / limbs.half[..., None, None], settings.profile)
    return torch.round(rank / TIE).long()


def _vectors(person: Tensor, limbs: Limbs, canvas: Canvas) -> Tensor:
    """Return the vectors ``(2, B, L, h, w)`` float32 that the limbs of one person per cell have there."""
    if limbs.x.shape[1] == 0:
        return torch.zeros(2, *person.shape, device=person.device)
    index = person.flatten(2).movedim(2, 1)  # (B, h*w, L)
    of_person = (value.gather(1, index).movedim(1, 2).view(person.shape) for value in limbs)
    x, y, ux, uy, length, half, _ = of_person
    if canvas.settings.profile == "rigid":
        return torch.stack([ux, uy]).float()
    dx = cell_to_px(torch.arange(canvas.width, device=x.device), canvas.stride) - x
    dy = cell_to_px(torch.arange(canvas.height, device=x.device)[:, None], canvas.stride) - y
    distance = _distance(dx, dy, ux, uy, length, caps=canvas.settings.caps)
    magnitude = _magnitude(distance / half, canvas.settings.profile)
    return torch.stack([magnitude * ux, magnitude * uy]).float()


def _num_candidates(limbs: Limbs, canvas: Canvas) -> int:
    """Return how many candidates one person has in a batch."""
    batch, _, kinds = limbs.x.shape
    return batch * kinds * max(canvas.height, canvas.width) * _depth(canvas)


def _depth(canvas: Canvas) -> int:
    """Return the most cells of one line that a limb can cover; the line crosses it at 45 degrees or more."""
    settings = canvas.settings
    reach = canvas.reach * settings.width * (1.0 if settings.scale_by == "none" else settings.scale_max)
    return int(min(2 * math.sqrt(2) * (reach + 1e-3) / canvas.stride + 1, max(canvas.height, canvas.width)))


def _candidates(limbs: Limbs, canvas: Canvas) -> Candidates:
    """Return the cells that limbs may cover: ``_depth`` neighbours on each line across the limb."""
    settings, reach, stride, height, width = canvas
    level = (limbs.ux.abs() >= limbs.uy.abs())[..., None]  # then lines are columns, else rows
    x, y, ux, uy, length, half, _ = (value[..., None] for value in limbs)
    u_main, u_across = torch.where(level, ux, uy), torch.where(level, uy, ux)
    main, across = torch.where(level, x, y), torch.where(level, y, x)
    line = torch.arange(max(height, width), device=x.device)
    d_main = cell_to_px(line, stride) - main
    low, high = _covered_interval(d_main, u_main, u_across, length, reach=reach * half, caps=settings.caps)
    limit = torch.where(level, height, width)
    first = px_to_cell(across + low, stride).ceil().clamp(min=0).minimum(limit)
    last = px_to_cell(across + high, stride).floor().clamp(min=-1).minimum(limit - 1)
    usable = limbs.drawn[..., None] & (line < torch.where(level, width, height))
    count = torch.where(usable, last - first + 1, 0)
    step = torch.arange(_depth(canvas), device=x.device)
    covered = step < count[..., None]
    position = first.long()[..., None] + step
    batch, _, kinds = limbs.x.shape
    plane = torch.arange(batch * kinds, device=x.device).view(batch, 1, kinds, 1) * (height * width)
    begin = plane + line * torch.where(level, 1, width)
    inside = begin[..., None] + position * torch.where(level, width, 1)[..., None]
    spare = (line[:, None] * len(step) + step) % (height * width)  # cells that get nothing, well spread
    cell = torch.where(covered, inside, plane[..., None] + spare)
    axis = u_main[..., None], u_across[..., None], length[..., None]
    d_across = cell_to_px(position, stride) - across[..., None]
    return Candidates(cell, covered, _distance(d_main[..., None], d_across, *axis, caps=settings.caps))


# --- the geometry of one limb ------------------------------------------------------------------------------


def _covered_interval(
    d_main: Tensor, u_main: Tensor, u_across: Tensor, length: Tensor, *, reach: Tensor, caps: str
) -> tuple[Tensor, Tensor]:
    """Return between which offsets across, in px from its start, a limb covers the line at ``d_main``.

    All rules are convex, so it is one interval; an empty one is (inf, -inf). ``main`` and ``across`` are any
    two orthogonal axes, ``u_main, u_across`` the limb's unit vector in them. ``reach`` is in px.
    """
    slack = _tolerance(d_main.dtype)
    reach = reach + slack
    low, high = _between(-u_across * d_main, u_main, -reach, reach)
    if caps == "bbox":
        end_main, end_across = u_main * length, u_across * length
        inside = (d_main >= end_main.clamp(max=0) - reach) & (d_main <= end_main.clamp(min=0) + reach)
        low = torch.maximum(low, end_across.clamp(max=0) - reach)
        high = torch.minimum(high, end_across.clamp(min=0) + reach)
        return torch.where(inside, low, math.inf), torch.where(inside, high, -math.inf)
    left, right = _between(u_main * d_main, u_across, torch.full_like(length, -slack), length + slack)
    low, high = torch.maximum(low, left), torch.minimum(high, right)
    if caps == "none":
        return low, high
    empty = low > high
    low, high = torch.where(empty, math.inf, low), torch.where(empty, -math.inf, high)
    for end in (0.0, 1.0):  # the discs around both ends; the union with the rectangle is convex
        chord = reach**2 - (d_main - u_main * length * end) ** 2
        centre, half = u_across * length * end, chord.clamp_min(0).sqrt()
        low = torch.where(chord >= 0, torch.minimum(low, centre - half), low)
        high = torch.where(chord >= 0, torch.maximum(high, centre + half), high)
    return low, high


def _between(constant: Tensor, slope: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Return the interval of x in which ``low <= constant + slope * x <= high``; empty is (inf, -inf)."""
    level = slope == 0
    safe = torch.where(level, 1, slope)
    a, b = (low - constant) / safe, (high - constant) / safe
    inside = (constant >= low) & (constant <= high)
    return (
        torch.where(level, torch.where(inside, -math.inf, math.inf), torch.minimum(a, b)),
        torch.where(level, torch.where(inside, math.inf, -math.inf), torch.maximum(a, b)),
    )


def _distance(dx: Tensor, dy: Tensor, ux: Tensor, uy: Tensor, length: Tensor, *, caps: str) -> Tensor:
    """Return the distance in px from a limb's axis, or from the segment when its ends are round."""
    across = (ux * dy - uy * dx).abs()
    if caps != "round":
        return across
    along = ux * dx + uy * dy
    return torch.hypot(across, torch.maximum(-along, along - length).clamp_min(0))


def _magnitude(ratio: Tensor, profile: str) -> Tensor:
    """Return the length of the vectors at a distance of ``ratio`` half widths."""
    if profile == "linear":
        return (1 - ratio).clamp_min(0)
    if profile == "cosine":
        return (1 + torch.cos(math.pi * ratio.clamp(max=1))) / 2
    if profile == "gaussian":
        return torch.exp(-(ratio**2) / 2)
    return torch.ones_like(ratio)
