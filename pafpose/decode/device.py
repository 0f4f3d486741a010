# ruff: noqa: PLR0917 - columns go together
"""Peaks and limb candidates of a batch on any device, in torch; only they travel to the host, at once.

The meaning of every step is that of ``peaks.py`` and ``limbs.py``; here each is done to all peaks or pairs of
the batch together. Arithmetic is float64 where the device has it, so both ways give the same people.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pafpose.decode import device_overlap, limbs, peaks
from pafpose.decode.device_overlap import Patches

if TYPE_CHECKING:
    from pafpose.decode.decoder import Plan

_AT_ONCE = 1 << 21  # pairs of peaks looked at together: bounds memory where a noise map has many
_CUTS = (1, 3)  # samples after which hopeless pairs are given up; each cut waits for the device once


class Candidates(NamedTuple):
    """One picture's peaks and limbs on the host, as the numba kernels return them."""

    peaks: np.ndarray
    starts: np.ndarray
    links: np.ndarray
    scores: np.ndarray


class PeakTable(NamedTuple):
    """All peaks of a batch, by picture, type and then as found."""

    batch: Tensor
    kind: Tensor
    x: Tensor  # cells
    y: Tensor
    height: Tensor


class Reader(NamedTuple):
    """Fields of a batch and the valid rows and columns of each picture."""

    fields: Tensor  # (B, C, h, w) float32
    rows: Tensor  # (B,)
    cols: Tensor
    dtype: torch.dtype  # of all arithmetic

    def at(self, batch: Tensor, channel: Tensor, y: Tensor, x: Tensor) -> Tensor:
        """Values of cells, -1 outside the valid part."""
        inside = self.inside(batch, y, x)
        value = self.fields[batch, channel, torch.where(inside, y, 0), torch.where(inside, x, 0)]
        return torch.where(inside, value.to(self.dtype), -1.0)

    def inside(self, batch: Tensor, y: Tensor, x: Tensor) -> Tensor:
        """Which cells lie in the valid part."""
        return (y >= 0) & (x >= 0) & (y < self.rows[batch]) & (x < self.cols[batch])


def find_candidates(
    heatmaps: Tensor, pafs: Tensor, sizes: list[tuple[int, int]], plan: Plan
) -> list[Candidates] | None:
    """Peaks and limbs of a batch of float32 fields; None when they hold NaN or infinity.

    ``sizes`` are the valid rows and columns of each picture.
    """
    dtype = torch.float32 if heatmaps.device.type == "mps" else torch.float64
    rows, cols = torch.tensor(sizes, dtype=torch.int64, device=heatmaps.device).reshape(-1, 2).unbind(1)
    reader = Reader(heatmaps, rows, cols, dtype)
    finite = torch.isfinite(heatmaps).all() & torch.isfinite(pafs).all()
    table = find_peaks(reader, plan)
    links, scores = find_links(reader._replace(fields=pafs), table, plan)
    return _to_host(finite, table, links, scores, batch=len(sizes), plan=plan)


def _is_peak(reader: Reader, plan: Plan) -> Tensor:
    """(B, K, h, w): 3x3 maxima above the threshold; of equal cells the first in reading order."""
    heat = reader.fields[:, : plan.scored.size]
    height, width = heat.shape[-2:]
    y = torch.arange(height, device=heat.device)[:, None]
    x = torch.arange(width, device=heat.device)
    valid = (y < reader.rows[:, None, None]) & (x < reader.cols[:, None, None])
    value = torch.where(valid[:, None], heat, -torch.inf)
    padded = functional.pad(value, (1, 1, 1, 1), value=-torch.inf)
    result = value > plan.peak_threshold
    shifts = [(dy, dx) for dy in range(3) for dx in range(3) if (dy, dx) != (1, 1)]
    for n, (dy, dx) in enumerate(shifts):
        other = padded[..., dy : dy + height, dx : dx + width]
        result &= value > other if n < len(shifts) // 2 else value >= other
    return result


def _rank(groups: Tensor, values: Tensor) -> Tensor:
    """Place of each value in its group, best first, equal ones as they stand."""
    order = torch.argsort(values, descending=True, stable=True)
    order = order[torch.argsort(groups[order], stable=True)]
    place, ordered = torch.arange(len(order), device=order.device), groups[order]
    result = torch.empty_like(order)
    result[order] = place - torch.searchsorted(ordered, ordered)
    return result


def find_peaks(reader: Reader, plan: Plan) -> PeakTable:
    """Refined peaks, the strongest of each type."""
    batch, kind, y, x = torch.nonzero(_is_peak(reader, plan), as_tuple=True)
    value = reader.at(batch, kind, y, x)
    keep = _rank(batch * plan.scored.size + kind, value) < plan.max_peaks
    batch, kind, y, x, value = (column[keep] for column in (batch, kind, y, x, value))
    variance = _seen_variance(reader, batch, kind, y, x, value, plan)
    dx, dy, height = _refine(reader, batch, kind, y, x, value, variance, plan)
    table = PeakTable(batch, kind, x + dx, y + dy, height)
    return _split(reader, table, y, x, variance, plan) if plan.split_error > 0 else table


def _seen_variance(
    reader: Reader, batch: Tensor, kind: Tensor, y: Tensor, x: Tensor, value: Tensor, plan: Plan
) -> Tensor:
    """The variance that each peak is taken to have, one per picture; see ``peaks.seen_variance``."""
    product, known = torch.ones_like(value), torch.ones_like(batch, dtype=torch.bool)
    for dy, dx in ((0, -1), (0, 1), (-1, 0), (1, 0)):
        beside = reader.at(batch, kind, y + dy, x + dx)
        known &= beside > peaks._TINY * value
        product = product * (beside / value)
    known &= product < peaks._PLATEAU
    width = -2.0 / torch.log(torch.where(known, product, 0.5))
    median = _usual(width, known, batch, len(reader.rows))
    wider = median > peaks._WIDER * plan.variance
    return torch.where(wider, median.clamp(max=peaks._WIDEST * plan.variance), plan.variance)[batch]


def _usual(values: Tensor, known: Tensor, batch: Tensor, pictures: int) -> Tensor:
    """The median of each picture's known values, 0 where there are too few."""
    place = _rank(torch.where(known, batch, pictures), values)
    count = torch.bincount(batch[known], minlength=pictures)
    middle = known & (place == (count // 2)[batch])
    median = torch.zeros(pictures, dtype=values.dtype, device=values.device)
    median = median.index_add(0, batch[middle], values[middle])
    return torch.where(count >= peaks._ENOUGH, median, 0.0)


def _refine(
    reader: Reader,
    batch: Tensor,
    kind: Tensor,
    y: Tensor,
    x: Tensor,
    value: Tensor,
    variance: Tensor,
    plan: Plan,
) -> tuple[Tensor, Tensor, Tensor]:
    """Offsets and heights of peaks."""
    if plan.refine == peaks.REFINE["none"]:
        return torch.zeros_like(value), torch.zeros_like(value), value
    across = [reader.at(batch, kind, y, x + step) for step in (-2, -1, 1, 2)]
    down = [reader.at(batch, kind, y + step, x) for step in (-2, -1, 1, 2)]
    if plan.refine == peaks.REFINE["quadratic"]:
        (dx, rise_x), (dy, rise_y) = _quadratic(across, value), _quadratic(down, value)
        return dx, dy, value + rise_x + rise_y
    dx, rise_x = _log_quadratic(across, value, variance)
    dy, rise_y = _log_quadratic(down, value, variance)
    height = value * torch.exp((rise_x + rise_y).clamp(max=1.0))
    return dx, dy, torch.minimum(height, value.clamp(min=1.0))


def _parabola(before: Tensor, after: Tensor, bend: Tensor, good: Tensor) -> tuple[Tensor, Tensor]:
    offset = torch.where(good, 0.5 * (before - after) / torch.where(good, bend, 1.0), 0.0)
    return offset, -0.25 * (before - after) * offset


def _quadratic(around: list[Tensor], centre: Tensor) -> tuple[Tensor, Tensor]:
    _, before, after, _ = around
    bend = before - 2.0 * centre + after
    return _parabola(before, after, bend, (before >= 0) & (after >= 0) & (bend <= -1e-9))


def _log_quadratic(around: list[Tensor], centre: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Offset and log rise along one axis; see ``peaks._log_quadratic``."""
    before2, before, after, after2 = around
    tiny, known = peaks._TINY * centre, -1.0 / variance
    drop0, drop1 = (torch.log(centre / torch.maximum(v, tiny)) for v in (before, after))
    bend = -drop0 - drop1
    offset, rise = _parabola(drop1, drop0, bend, bend <= -1e-9)
    errors = []
    for drop, value, value2 in ((drop0, before, before2), (drop1, after, after2)):
        outer = drop - torch.log(torch.maximum(value, tiny) / torch.maximum(value2, tiny))
        errors.append((torch.where(value2 > tiny, outer, 0.0) - known).abs())
    least = torch.minimum(errors[0], errors[1])
    clear = torch.minimum(0.5 * (bend - known).abs(), -peaks._CLEAN * known)
    distorted = (bend > (1.0 - peaks._FLAT) * known) & (least < clear)
    no0, no1 = before <= tiny, after <= tiny
    use0 = torch.where(no0 | no1, no1, distorted & (errors[0] <= errors[1]))
    use1 = torch.where(no0 | no1, no0, distorted & ~use0)
    for use, drop, sign in ((use0, drop0, 1.0), (use1, drop1, -1.0)):
        side = (variance * drop - 0.5).clamp(-peaks._REACH, peaks._REACH)
        offset = torch.where(use, sign * side, offset)
        rise = torch.where(use, 0.5 * side * side / variance, rise)
    nothing = no0 & no1
    return torch.where(nothing, 0.0, offset), torch.where(nothing, 0.0, rise)


def _split(reader: Reader, table: PeakTable, y: Tensor, x: Tensor, variance: Tensor, plan: Plan) -> PeakTable:
    """Correct and add peaks where others overlap; see ``peaks._split``."""
    own = torch.stack([table.x, table.y, table.height], 1)
    patches = _patches(reader, table, y, x, variance)
    cell = torch.stack([x, y, torch.zeros_like(x)], 1)
    rules = device_overlap.rules
    misfits = device_overlap.misfit(patches, own - cell)
    clear = reader.at(table.batch, table.kind, y, x) >= rules.FAINT
    usual = _usual(misfits, clear, table.batch, len(reader.rows))
    tolerance = (rules.DOUBT * usual).clamp(min=rules.MISFIT * plan.split_error)[table.batch]
    odd = torch.nonzero(misfits > tolerance)[:, 0]
    patches = Patches(patches.values[odd], patches.x, patches.y, patches.inside[odd], patches.variance[odd])
    cell = cell[odd]
    number, found = _explain(table, own, odd, patches, cell, plan)
    own[odd] = torch.where((number == 1)[:, None], found[:, 0] + cell, own[odd])
    clean = device_overlap.misfit(patches, own[odd] - cell) <= tolerance[odd]
    number, found = _explain(table, own, odd, patches, cell, plan)
    number = torch.where(clean, 0, number)
    own[odd] = torch.where((number > 0)[:, None], found[:, 0] + cell, own[odd])
    more = number == 2
    values = torch.cat([own, found[more, 1] + cell[more]])
    source = torch.cat([torch.arange(len(own), device=odd.device), odd[more]])
    batch, kind = table.batch[source], table.kind[source]
    order = torch.argsort(batch * plan.scored.size + kind, stable=True)
    return PeakTable(batch[order], kind[order], *values[order].T)


def _patches(reader: Reader, table: PeakTable, y: Tensor, x: Tensor, variance: Tensor) -> Patches:
    px, py = device_overlap.offsets(y.device, reader.dtype)
    batch, kind = table.batch[:, None], table.kind[:, None]
    rows, cols = y[:, None] + py.long(), x[:, None] + px.long()
    inside = reader.inside(batch, rows, cols)
    return Patches(
        torch.where(inside, reader.at(batch, kind, rows, cols), 0.0), px, py, inside, variance[:, None]
    )


def _explain(
    table: PeakTable, own: Tensor, odd: Tensor, patches: Patches, cell: Tensor, plan: Plan
) -> tuple[Tensor, Tensor]:
    """``device_overlap.resolve`` with the cells that other peaks of the same map explain left out."""
    group = table.batch * plan.scored.size + table.kind
    reach = 3.0 + device_overlap.rules._RADIUS
    near = ((own[odd, None, :2] - own[:, :2]).abs() < reach).all(-1) & (group[odd, None] == group)
    near[torch.arange(len(odd), device=odd.device), odd] = False
    one, other = torch.nonzero(near, as_tuple=True)
    offset = own[other] - cell[one]
    share = device_overlap.gaussian(
        patches.x - offset[:, :1], patches.y - offset[:, 1:2], offset[:, 2:], patches.variance[one]
    )
    highest = torch.zeros_like(patches.values)
    highest.scatter_reduce_(0, one[:, None].expand_as(share), share, "amax")
    foreign = highest > device_overlap.rules._EXPLAINED * patches.values
    return device_overlap.resolve(patches, own[odd, 2], foreign, plan.split_error)


def _read(reader: Reader, cubic: int, batch: Tensor, limb: Tensor, x: Tensor, y: Tensor) -> list[Tensor]:
    """x and y component of limbs' fields at points, moved into the valid part."""
    rows, cols = reader.rows[batch], reader.cols[batch]
    x = torch.minimum(x.clamp(min=0.0), (cols - 1).to(x.dtype))
    y = torch.minimum(y.clamp(min=0.0), (rows - 1).to(y.dtype))
    if cubic:
        return [_cubic(reader, batch, 2 * limb + part, x, y) for part in (0, 1)]
    x0 = torch.minimum(x.long(), (cols - 2).clamp(min=0))
    y0 = torch.minimum(y.long(), (rows - 2).clamp(min=0))
    x1, y1 = torch.minimum(x0 + 1, cols - 1), torch.minimum(y0 + 1, rows - 1)
    fx, fy = x - x0, y - y0
    result = []
    for channel in (2 * limb, 2 * limb + 1):
        corners = [reader.fields[batch, channel, row, col] for row in (y0, y1) for col in (x0, x1)]
        top = corners[0] + (corners[1] - corners[0]) * fx
        low = corners[2] + (corners[3] - corners[2]) * fx
        result.append(top + (low - top) * fy)
    return result


def _cubic(reader: Reader, batch: Tensor, channel: Tensor, x: Tensor, y: Tensor) -> Tensor:
    rows, cols = reader.rows[batch], reader.cols[batch]
    x0, y0 = x.long(), y.long()
    wx, wy = _cubic_weights(x - x0), _cubic_weights(y - y0)
    total = torch.zeros_like(x)
    for i in range(4):
        row = torch.minimum((y0 - 1 + i).clamp(min=0), rows - 1)
        for j in range(4):
            col = torch.minimum((x0 - 1 + j).clamp(min=0), cols - 1)
            total = total + wy[i] * wx[j] * reader.fields[batch, channel, row, col]
    return total


def _cubic_weights(t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Keys' kernel with a = -0.75, as in ``limbs.py``."""
    a, u = -0.75, 1.0 - t
    w0 = ((a * (t + 1.0) - 5.0 * a) * (t + 1.0) + 8.0 * a) * (t + 1.0) - 4.0 * a
    w1 = ((a + 2.0) * t - (a + 3.0)) * t * t + 1.0
    w2 = ((a + 2.0) * u - (a + 3.0)) * u * u + 1.0
    return w0, w1, w2, 1.0 - w0 - w1 - w2


def _pairs(table: PeakTable, batch: int, plan: Plan) -> list[Tensor]:
    """Every pair of peaks that a limb could join: picture, limb, rows of both in the table, by those."""
    device = table.batch.device
    num_keypoints = plan.scored.size
    sizes = torch.bincount(table.batch * num_keypoints + table.kind, minlength=batch * num_keypoints)
    starts = (sizes.cumsum(0) - sizes).reshape(batch, num_keypoints)
    sizes = sizes.reshape(batch, num_keypoints)
    ends = torch.from_numpy(plan.limbs).to(device)
    counts = sizes[:, ends[:, 0]] * sizes[:, ends[:, 1]]
    owner = torch.repeat_interleave(counts.reshape(-1))
    place = (
        torch.arange(len(owner), device=device) - (counts.reshape(-1).cumsum(0) - counts.reshape(-1))[owner]
    )
    picture, limb = owner // len(ends), owner % len(ends)
    width = sizes[picture, ends[limb, 1]]
    first = starts[picture, ends[limb, 0]] + torch.div(place, width, rounding_mode="floor")
    second = starts[picture, ends[limb, 1]] + place % width
    return [picture, limb, first, second]


def find_links(reader: Reader, table: PeakTable, plan: Plan) -> tuple[Tensor, Tensor]:
    """Accepted limbs ``(M, 4)`` = picture, limb, rows of both peaks, and float32 scores; see ``limbs.py``."""
    pairs = zip(*(column.split(_AT_ONCE) for column in _pairs(table, len(reader.rows), plan)), strict=True)
    links, scores = zip(*(_accepted(reader, table, part, plan) for part in pairs), strict=True)
    return torch.cat(links), torch.cat(scores)


def _accepted(
    reader: Reader, table: PeakTable, pairs: tuple[Tensor, ...], plan: Plan
) -> tuple[Tensor, Tensor]:
    """The limbs among some pairs."""
    picture, limb, first, second = pairs
    ax, ay = table.x[first], table.y[first]
    dx, dy = table.x[second] - ax, table.y[second] - ay
    length = (dx * dx + dy * dy).sqrt()
    near = dx * dx + dy * dy < plan.near * plan.near
    left = torch.full_like(first, len(plan.positions) - plan.needed)
    alive = [picture, limb, first, second, ax, ay, dx, dy, length, near, left, torch.zeros_like(dx)]
    for n, t in enumerate(plan.positions):
        picture, limb, first, second, ax, ay, dx, dy, length, near, left, total = alive
        vx, vy = _read(reader, plan.cubic, picture, limb, ax + t * dx, ay + t * dy)
        value = vx * dx + vy * dy
        alive[-2:] = left - (value <= plan.paf_threshold * length).long(), total + value
        if n in _CUTS:
            keep = (alive[-2] >= 0) | near
            alive = [column[keep] for column in alive]
    picture, limb, first, second, _, _, _, _, length, near, left, total = alive
    scores = _scores(reader, picture, length, total, left, near, plan)
    keep = scores > 0
    return torch.stack([picture, limb, first, second], 1)[keep], scores[keep].float()


def _scores(
    reader: Reader, picture: Tensor, length: Tensor, total: Tensor, left: Tensor, near: Tensor, plan: Plan
) -> Tensor:
    safe = length.clamp(min=limbs._SAME)
    score = total / (len(plan.positions) * safe)
    if plan.length_factor > 0:
        free = plan.length_factor * reader.rows[picture]
        score = torch.where(length > free, score + free / safe - 1.0, score)
    score = torch.where((left >= 0) & (length >= limbs._SAME), score, 0.0)
    return torch.where(near, score.clamp(min=plan.near_score), score)


def _to_host(
    finite: Tensor, table: PeakTable, links: Tensor, scores: Tensor, *, batch: int, plan: Plan
) -> list[Candidates] | None:
    """Everything in one transfer, cut into pictures."""
    rows = torch.stack([column.to(table.x.dtype) for column in table], 1)
    flat = torch.cat([finite.to(rows.dtype)[None], rows.reshape(-1), links.reshape(-1), scores]).cpu().numpy()
    if not flat[0]:
        return None
    count, limbs_count = len(rows), len(links)
    peak_rows = flat[1 : 1 + 5 * count].reshape(count, 5)
    link_rows = flat[1 + 5 * count : 1 + 5 * count + 4 * limbs_count].reshape(limbs_count, 4).astype(np.int64)
    link_scores = flat[1 + 5 * count + 4 * limbs_count :].astype(np.float32)
    result = []
    for index in range(batch):
        p0, p1 = np.searchsorted(peak_rows[:, 0], [index, index + 1])
        l0, l1 = np.searchsorted(link_rows[:, 0], [index, index + 1])
        kinds = peak_rows[p0:p1, 1]
        starts = np.searchsorted(kinds, np.arange(plan.scored.size + 1)).astype(np.int64)
        own = link_rows[l0:l1, 1:].copy()
        own[:, 1:] -= p0
        result.append(
            Candidates(
                np.ascontiguousarray(peak_rows[p0:p1, 2:], np.float64),
                starts,
                own.astype(np.int32),
                link_scores[l0:l1].copy(),
            )
        )
    return result
