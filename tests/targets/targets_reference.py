"""Targets of one picture the slow, obvious way: float64, one cell, person and channel at a time.

Written from the meaning of the settings alone; shares no code with the kernels. ``SLACK`` px decides cells
that lie exactly on a border, which rounding would otherwise decide.
"""

# ruff: noqa: PLR0917

from __future__ import annotations

import math

import numpy as np

SLACK = 1e-9


def targets(keypoints, size, boxes=None, ignore=None, *, skeleton, heatmap, paf, mask, stride):
    """Heatmaps, PAFs and their full weights, of ``keypoints (P, K, 3)``; arrays ``(channels, h, w)``."""
    people = [np.asarray(person, np.float64) for person in keypoints]
    boxes = [None] * len(people) if boxes is None else list(np.asarray(boxes, np.float64))
    shown = [[is_target(point, mask) for point in person] for person in people]
    sides = [box_of(*row) for row in zip(people, shown, boxes, strict=True)]
    shape = size[0] // stride, size[1] // stride
    limbs = skeleton.limbs
    heat = np.zeros((skeleton.num_keypoints + (heatmap.background != "none"), *shape))
    pafs = np.zeros((2 * len(limbs), *shape))
    heat_weights, paf_weights = np.ones_like(heat), np.ones_like(pafs)
    for i in range(shape[0]):
        for j in range(shape[1]):
            x, y = stride * j + (stride - 1) / 2, stride * i + (stride - 1) / 2
            heat[:, i, j] = heat_cell(x, y, people, shown, sides, skeleton, heatmap)
            for limb in range(len(limbs)):
                pafs[2 * limb : 2 * limb + 2, i, j] = paf_cell(x, y, people, shown, sides, limbs[limb], paf)
            px, py = stride * j + stride // 2, stride * i + stride // 2
            if ignore is not None and ignore[py, px]:
                heat_weights[:, i, j] = paf_weights[:, i, j] = 0
            if mask.unlabelled_keypoints:
                ignore_missing(
                    px, py, people, shown, sides, limbs, heat_weights[:, i, j], paf_weights[:, i, j]
                )
    return heat, pafs, heat_weights, paf_weights


def is_target(point, mask):
    return point[2] > 0 if mask.occluded_keypoints else point[2] > 1


def box_of(person, shown, box):
    """x0, y0, x1, y1 of a person's own box, else of the labelled keypoints, else None."""
    if box is not None and np.isfinite(box).all() and box[2] > 0 and box[3] > 0:
        return box[0], box[1], box[0] + box[2], box[1] + box[3]
    points = [point for point, yes in zip(person, shown, strict=True) if yes]
    if not points:
        return None
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    return min(xs), min(ys), max(xs), max(ys)


def person_scale(box, settings):
    side = math.sqrt((box[2] - box[0]) * (box[3] - box[1]))
    return min(max(side / settings.scale_ref, settings.scale_min), settings.scale_max)


def heat_cell(x, y, people, shown, boxes, skeleton, settings):
    """All heatmap channels at one place."""
    values = [0.0] * skeleton.num_keypoints
    for person, yes, box in zip(people, shown, boxes, strict=True):
        for k in range(skeleton.num_keypoints):
            if not yes[k]:
                continue
            sigma = settings.sigma
            if settings.scale_by in ("person", "both"):
                sigma *= person_scale(box, settings)
            if settings.scale_by in ("keypoint", "both"):
                sigma *= skeleton.sigmas[k] / (sum(skeleton.sigmas) / len(skeleton.sigmas))
            squared = (x - person[k][0]) ** 2 + (y - person[k][1]) ** 2
            value = math.exp(-squared / (2 * sigma**2)) if sigma > 0 else float(squared == 0)
            if value < settings.truncate:
                continue
            values[k] = max(values[k], value) if settings.merge == "max" else values[k] + value
    values = [min(value, 1.0) for value in values]
    if settings.background == "max":
        return [*values, 1 - max(values)]
    if settings.background == "sum":
        return [*values, min(max(1 - sum(values), 0.0), 1.0)]
    return values


def paf_cell(x, y, people, shown, boxes, limb, settings):
    """The vector of one limb type at one place."""
    found = []  # (distance, magnitude, ux, uy) of those that cover the place, in the order of people
    for person, yes, box in zip(people, shown, boxes, strict=True):
        if yes[limb[0]] and yes[limb[1]]:
            cover = paf_of_one(x, y, person[limb[0]], person[limb[1]], box, settings)
            if cover is not None:
                found.append(cover)
    if not found:
        return 0.0, 0.0
    if settings.merge in ("mean", "sum"):
        n = len(found) if settings.merge == "mean" else 1
        return sum(m * ux for _, m, ux, _ in found) / n, sum(m * uy for _, m, _, uy in found) / n
    best = found[0]
    for one in found[1:]:
        nearer = settings.merge == "nearest" and grains(one[0]) < grains(best[0])
        larger = settings.merge == "max" and grains(one[1]) > grains(best[1])
        if nearer or larger or settings.merge == "last":
            best = one
    return best[1] * best[2], best[1] * best[3]


def grains(value):
    """Distances and magnitudes that round to the same are ties, and the first wins."""
    return round(value * 2**20)


def paf_of_one(x, y, start, end, box, settings):
    length = math.dist(start[:2], end[:2])
    if length == 0:
        return None
    ux, uy = (end[0] - start[0]) / length, (end[1] - start[1]) / length
    width = settings.width
    if settings.scale_by == "limb":
        width *= min(max(length / settings.limb_ref, settings.scale_min), settings.scale_max)
    if settings.scale_by == "person":
        width *= person_scale(box, settings)
    reach = 3 * width if settings.profile == "gaussian" else width
    along = ux * (x - start[0]) + uy * (y - start[1])
    distance = abs(-uy * (x - start[0]) + ux * (y - start[1]))
    if settings.caps == "none" and not -SLACK <= along <= length + SLACK:
        return None
    if settings.caps == "bbox":
        grown = reach + SLACK
        across_x = min(start[0], end[0]) - grown <= x <= max(start[0], end[0]) + grown
        across_y = min(start[1], end[1]) - grown <= y <= max(start[1], end[1]) + grown
        if not (across_x and across_y):
            return None
    if settings.caps == "round":
        nearest = min(max(along, 0.0), length)
        distance = math.hypot(x - start[0] - nearest * ux, y - start[1] - nearest * uy)
    if distance > reach + SLACK:
        return None
    return distance, magnitude(distance, width, settings.profile), ux, uy


def magnitude(distance, width, profile):
    if width == 0:  # covers its axis alone
        return 1.0
    if profile == "linear":
        return max(1 - distance / width, 0.0)
    if profile == "cosine":
        return (1 + math.cos(math.pi * min(distance / width, 1.0))) / 2
    if profile == "gaussian":
        return math.exp(-(distance**2) / (2 * width**2))
    return 1.0


def ignore_missing(px, py, people, shown, boxes, limbs, heat_weights, paf_weights):
    """Clear the weights, at one pixel, of channels that somebody around it has no label for."""
    for person, yes, box in zip(people, shown, boxes, strict=True):
        if box is None or not (person[:, 2] > 0).any():  # padding
            continue
        if not (box[2] > box[0] and box[3] > box[1]):
            continue
        if not (box[0] <= px <= box[2] and box[1] <= py <= box[3]):
            continue
        for k in range(len(yes)):
            if not yes[k]:
                heat_weights[k] = 0
        for limb, (a, b) in enumerate(limbs):
            if not (yes[a] and yes[b]):
                paf_weights[2 * limb : 2 * limb + 2] = 0
