"""The decoder the slow, obvious way: plain Python and numpy, float64, one peak and one pair at a time.

Written from the meaning of the settings; shares no code with the kernels.
"""

# ruff: noqa: PLR0917

from __future__ import annotations

import itertools
import math

import numpy as np
from scipy.optimize import linear_sum_assignment


def decode(heat, paf, skeleton, settings, stride, sigma):
    """Keypoints (N, K, 3) in input px and scores (N,) of one picture."""
    heat, paf = np.asarray(heat, np.float32), np.asarray(paf, np.float32)
    planes = heat[: skeleton.num_keypoints]
    known = (sigma / stride) ** 2
    cells = [find_cells(plane, settings, known) for plane in planes]
    variance = seen_variance(planes, cells, known)
    tolerance = usual_misfit(planes, cells, settings, variance)
    peaks = [
        (kind, *peak)
        for kind in range(skeleton.num_keypoints)
        for peak in find_peaks(heat[kind], cells[kind], settings, variance, tolerance)
    ]
    links = find_links(peaks, paf, skeleton, settings, stride)
    groups, totals = group(peaks, links)
    derived = {index for index, _, _ in skeleton.derived}
    people = []
    for members, total in zip(groups, totals, strict=True):
        score = min(total / (skeleton.num_keypoints + skeleton.num_limbs), 1)
        enough = len(members) >= settings.min_keypoints and score >= settings.min_score
        enough = enough and total >= settings.min_sum_per_keypoint * len(members)
        if enough and any(peaks[i][0] not in derived for i in members):
            person = np.zeros((skeleton.num_keypoints, 3))
            for i in members:
                kind, x, y, height = peaks[i]
                person[kind] = x * stride + (stride - 1) / 2, y * stride + (stride - 1) / 2, height
            people.append((total, score, person))
    people.sort(key=lambda item: -item[0])
    keypoints = np.array([person for _, _, person in people]).reshape(-1, skeleton.num_keypoints, 3)
    return keypoints, np.array([score for _, score, _ in people])


# --- peaks


def seen_variance(heat, cells, known):
    """The median of the peaks' widths when it is clearly above the known one."""
    widths = []
    for plane, found in zip(heat, cells, strict=True):
        for y, x in found:
            if plane[y, x] < 0.1:
                continue
            sides = [value_at(plane, *c) for c in ((y, x - 1), (y, x + 1), (y - 1, x), (y + 1, x))]
            if all(v > 1e-3 * plane[y, x] for v in sides):
                product = math.prod(v / float(plane[y, x]) for v in sides)
                if product < 1 - 1e-6:
                    widths.append(-2 / math.log(product))
    if len(widths) < 8:
        return known
    median = sorted(widths, reverse=True)[len(widths) // 2]
    return min(median, 2.5 * known) if median > 1.1 * known else known


def find_cells(plane, settings, known):
    cells = [c for c in itertools.product(*map(range, plane.shape)) if is_peak(plane, c, settings, known)]
    return sorted(sorted(cells, key=lambda c: -plane[c])[: settings.max_peaks])


def usual_misfit(heat, cells, settings, variance):
    """The gap beside a peak from which it is taken to have a neighbour."""
    gaps = []
    for plane, found in zip(heat, cells, strict=True):
        for cell in found:
            if plane[cell] >= 0.3:
                gaps.append(gap(plane, cell, refine(plane, cell, settings.refine, variance), variance))
    usual = sorted(gaps, reverse=True)[len(gaps) // 2] if len(gaps) >= 8 else 0
    return max(1.5 * settings.split_error, 3 * usual)


def find_peaks(plane, cells, settings, variance, tolerance):
    peaks = [refine(plane, c, settings.refine, variance) for c in cells]
    if settings.split_error == 0:
        return peaks
    error = settings.split_error
    odd = [i for i, c in enumerate(cells) if gap(plane, c, peaks[i], variance) > tolerance]
    extra = []
    for last in (False, True):
        known = list(peaks)
        for i in odd:
            if last and gap(plane, cells[i], known[i], variance) <= tolerance:
                continue
            others = [p for n, p in enumerate(known) if n != i]
            found = explain(plane, cells[i], known[i], others, variance, error)
            if len(found) == 1:
                peaks[i] = found[0]
            elif len(found) == 2 and last:
                peaks[i] = found[0]
                extra.append(found[1])
    return peaks + extra


def is_peak(plane, cell, settings, known):
    if not plane[cell] > np.float32(settings.peak_threshold):
        return False
    beside = [v for v in around(plane, cell, 1) if abs(v[0] - cell[0]) + abs(v[1] - cell[1]) == 1]
    mean = sum(float(plane[v]) for v in beside) / max(len(beside), 1)
    if (
        settings.min_support
        and plane[cell] < 0.1
        and mean < settings.min_support * math.exp(-1 / (2 * known)) * plane[cell]
    ):
        return False
    for dy, dx in itertools.product((-1, 0, 1), repeat=2):
        y, x = cell[0] + dy, cell[1] + dx
        if (dy, dx) == (0, 0) or not (0 <= y < plane.shape[0] and 0 <= x < plane.shape[1]):
            continue
        if plane[y, x] > plane[cell] or (plane[y, x] == plane[cell] and (dy, dx) < (0, 0)):
            return False
    return True


def value_at(plane, y, x):
    inside = 0 <= y < plane.shape[0] and 0 <= x < plane.shape[1]
    return float(plane[y, x]) if inside else -1.0


def refine(plane, cell, mode, variance):
    (y, x), centre = cell, float(plane[cell])
    if mode == "none":
        return float(x), float(y), centre
    across = [value_at(plane, y, x + step) for step in (-2, -1, 0, 1, 2)]
    down = [value_at(plane, y + step, x) for step in (-2, -1, 0, 1, 2)]
    if mode == "quadratic":
        (dx, up_x), (dy, up_y) = quadratic(across), quadratic(down)
        return x + dx, y + dy, centre + up_x + up_y
    (dx, up_x), (dy, up_y) = log_quadratic(across, variance), log_quadratic(down, variance)
    return x + dx, y + dy, min(centre * math.exp(min(up_x + up_y, 1)), max(centre, 1))


def quadratic(line):
    _, before, centre, after, _ = line
    bend = before - 2 * centre + after
    if before < 0 or after < 0 or bend > -1e-9:
        return 0.0, 0.0
    offset = 0.5 * (before - after) / bend
    return offset, -0.25 * (before - after) * offset


def log_quadratic(line, variance):
    tiny = 1e-3 * line[2]
    has = [v > tiny for v in line]
    log = [math.log(max(v, tiny)) for v in line]

    def from_side(step):  # the top of a known Gaussian, from the centre and one neighbour
        offset = step * (0.5 - variance * (log[2] - log[2 + step]))
        offset = min(max(offset, -1), 1)
        return offset, offset * offset / (2 * variance)

    if not has[1] or not has[3]:
        return from_side(-1) if has[1] else from_side(1) if has[3] else (0.0, 0.0)
    bend, known = log[1] - 2 * log[2] + log[3], -1 / variance
    if bend > 0.97 * known:
        misfit = {}
        for step in (-1, 1):
            outer = log[2] - 2 * log[2 + step] + log[2 + 2 * step] if has[2 + 2 * step] else 0.0
            misfit[step] = abs(outer - known)
        best = min((-1, 1), key=lambda step: misfit[step])
        if misfit[best] < min(0.1 / variance, abs(bend - known) / 2):
            return from_side(best)
    if bend > -1e-9:
        return 0.0, 0.0
    offset = 0.5 * (log[1] - log[3]) / bend
    return offset, -0.25 * (log[1] - log[3]) * offset


def gaussian(peak, x, y, variance):
    return peak[2] * math.exp(-((x - peak[0]) ** 2 + (y - peak[1]) ** 2) / (2 * variance))


def around(plane, cell, radius):
    steps = range(-radius, radius + 1)
    found = [(cell[0] + dy, cell[1] + dx) for dy in steps for dx in steps]
    return [(y, x) for y, x in found if 0 <= y < plane.shape[0] and 0 <= x < plane.shape[1]]


def gap(plane, cell, peak, variance):
    """The largest difference to a peak's Gaussian in the 3x3 cells around, over its height."""
    cells = around(plane, cell, 1)
    return max(abs(plane[y, x] - gaussian(peak, x, y, variance)) for y, x in cells) / peak[2]


def explain(plane, cell, peak, others, variance, error):
    """The one or two Gaussians that make a patch, or none."""
    if plane[cell] < 0.3:
        return []
    near = [p for p in others if max(abs(p[0] - peak[0]), abs(p[1] - peak[1])) < 5]
    rows = []
    for y, x in around(plane, cell, 2):
        value = float(plane[y, x])
        if value >= 0.3 * plane[cell] and all(gaussian(p, x, y, variance) <= 0.95 * value for p in near):
            rows.append((x - cell[1], y - cell[0], value))
    if len(rows) < 3:
        return []
    rows = np.array(rows)
    logs = np.log(rows[:, 2]) + (rows[:, 0] ** 2 + rows[:, 1] ** 2) / (2 * variance)
    one = plane_through(rows, logs)
    if one is None:
        return []
    single = misfit([one], rows, variance)
    free = any_width(rows, logs, variance)
    if single <= error * peak[2] and (free >= single / 2 or single <= 0.1 * error * peak[2]):
        return to_peaks([one], cell, variance)
    best, lowest = None, min(error * peak[2], single / 2, free / 2)
    for turn in range(4):
        two = two_planes(rows, logs, turn * math.pi / 4)
        if two is not None and misfit(two, rows, variance) < lowest:
            best, lowest = two, misfit(two, rows, variance)
    found = to_peaks(best, cell, variance) if best is not None else []
    if len(found) == 2:
        apart = math.dist(found[0][:2], found[1][:2]) >= 0.3
        if apart and min(p[2] for p in found) >= 0.8 * max(p[2] for p in found):
            return found
    return []


def plane_through(rows, logs):
    """Least squares weighted by value^2; None where the cells do not determine a plane."""
    if len(rows) == 0:
        return None
    share = rows[:, 2] ** 2 / np.sum(rows[:, 2] ** 2)
    middle, level = share @ rows[:, :2], share @ logs
    away, rise = rows[:, :2] - middle, logs - level
    spread = (away.T * share) @ away
    if np.linalg.det(spread) < 1e-4:
        return None
    slope = np.linalg.solve(spread, (away.T * share) @ rise)
    return np.array([level - slope @ middle, *slope])


def any_width(rows, logs, variance):
    """Root mean square error of one Gaussian of any width."""
    square = rows[:, 0] ** 2 + rows[:, 1] ** 2
    design = np.column_stack([np.ones(len(rows)), rows[:, :2], square])
    found = np.linalg.lstsq(design * rows[:, 2:], logs * rows[:, 2], rcond=None)[0]
    model = np.exp(np.minimum(design @ found - square / (2 * variance), 1))
    return float(np.sqrt(np.mean((rows[:, 2] - model) ** 2)))


def heights(plane, rows):
    return plane[0] + plane[1] * rows[:, 0] + plane[2] * rows[:, 1]


def two_planes(rows, logs, angle):
    middle = np.average(rows[:, :2], axis=0, weights=rows[:, 2])
    side = (rows[:, :2] - middle) @ [math.cos(angle), math.sin(angle)] > 0
    for _ in range(12):
        pair = plane_through(rows[~side], logs[~side]), plane_through(rows[side], logs[side])
        if pair[0] is None or pair[1] is None:
            return None
        before, side = side, heights(pair[1], rows) > heights(pair[0], rows)
        if np.array_equal(before, side):
            break
    return pair


def misfit(planes, rows, variance):
    logs = np.max([heights(p, rows) for p in planes], axis=0)
    model = np.exp(np.minimum(logs - (rows[:, 0] ** 2 + rows[:, 1] ** 2) / (2 * variance), 1))
    return float(np.sqrt(np.mean((rows[:, 2] - model) ** 2)))


def to_peaks(planes, cell, variance):
    result = []
    for a, b, c in planes:
        dx, dy = b * variance, c * variance
        if max(abs(dx), abs(dy)) > 2:
            return []
        height = math.exp(min(a + (dx * dx + dy * dy) / (2 * variance), 1))
        result.append((cell[1] + dx, cell[0] + dy, height))
    return result


# --- limbs


def read(plane, x, y, interpolation):
    rows, cols = plane.shape
    x, y = min(max(x, 0.0), cols - 1.0), min(max(y, 0.0), rows - 1.0)
    x0, y0 = int(x), int(y)
    if interpolation == "bilinear":
        wx, wy, first = (1 - (x - x0), x - x0), (1 - (y - y0), y - y0), 0
    else:
        wx, wy, first = keys(x - x0), keys(y - y0), -1
    return sum(
        v * u * float(plane[min(max(y0 + first + i, 0), rows - 1), min(max(x0 + first + j, 0), cols - 1)])
        for i, v in enumerate(wy)
        for j, u in enumerate(wx)
    )


def keys(t, a=-0.75):
    def weight(d):
        d = abs(d)
        if d <= 1:
            return (a + 2) * d**3 - (a + 3) * d**2 + 1
        return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a

    return [weight(t + 1), weight(t), weight(1 - t), weight(2 - t)]


def score_pair(first, second, fields, settings, stride):
    """The score of one pair, None where it is not accepted."""
    dx, dy = second[1] - first[1], second[2] - first[2]
    length = math.hypot(dx, dy)
    score = None
    if length > 1e-6:
        values = []
        for t in np.linspace(0, 1, settings.samples):
            x, y = first[1] + t * dx, first[2] + t * dy
            vx, vy = (read(field, x, y, settings.interpolation) for field in fields)
            values.append((vx * dx + vy * dy) / length)
        passed = sum(v > settings.paf_threshold for v in values)
        if passed > settings.min_ratio * settings.samples + 1e-9:
            score = float(np.mean(values))
            if settings.length_factor > 0:
                score += min(settings.length_factor * fields[0].shape[0] / length - 1, 0)
            score = score if score > 0 else None
    if length * stride < settings.near and settings.near_score > 0:
        score = max(score or 0.0, settings.near_score)
    return score


def find_links(peaks, paf, skeleton, settings, stride):
    """Kept limbs as (score, limb, first, second), best first."""
    result = []
    for limb, ends in enumerate(skeleton.limbs):
        sides = [[i for i, p in enumerate(peaks) if p[0] == end] for end in ends]
        fields = paf[2 * limb], paf[2 * limb + 1]
        found = []
        for a, b in itertools.product(*sides):
            score = score_pair(peaks[a], peaks[b], fields, settings, stride)
            if score is not None:
                found.append((np.float32(score), limb, a, b))
        found.sort(key=lambda link: (-rank(link, peaks, settings), *link[1:]))
        ranks = [rank(link, peaks, settings) for link in found]
        result += best_sum(found, ranks, *sides) if settings.matching == "hungarian" else greedy(found)
    return sorted(result, key=lambda link: (-rank(link, peaks, settings), *link[1:]))


def rank(link, peaks, settings):
    """What decides which limb comes first: its score, and how high its peaks are."""
    if settings.peak_weight == 0:
        return link[0]
    first, second = (peaks[n][3] ** settings.peak_weight for n in link[2:])
    return np.float32(np.float64(link[0]) * (first * second))


def greedy(found):
    kept = []
    for link in found:
        if all(link[2] != other[2] and link[3] != other[3] for other in kept):
            kept.append(link)
    return kept


def best_sum(found, ranks, firsts, seconds):
    gain = np.zeros((len(firsts), len(seconds)))
    for (_, _, a, b), value in zip(found, ranks, strict=True):
        gain[firsts.index(a), seconds.index(b)] = np.float64(value) ** 2
    chosen = {(firsts[i], seconds[j]) for i, j in zip(*linear_sum_assignment(-gain), strict=True)}
    return [link for link in found if link[2:] in chosen]


# --- people


def group(peaks, links):
    """Members and totals of groups."""
    groups = [[i] for i in range(len(peaks))]
    totals = [peak[3] for peak in peaks]
    home = list(range(len(peaks)))
    for score, _, a, b in links:
        p, q = sorted((home[a], home[b]))
        if p != q:
            kinds = [peaks[i][0] for i in groups[p] + groups[q]]
            if len(kinds) != len(set(kinds)):
                continue
            for i in groups[q]:
                home[i] = p
            groups[p] += groups[q]
            totals[p] += totals[q]
            groups[q] = []
        totals[p] += score
    alive = [n for n, members in enumerate(groups) if members]
    return [groups[n] for n in alive], [totals[n] for n in alive]
