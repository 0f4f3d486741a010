"""Checks of single people and their keypoints, in pixels of their photos."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pafpose.tools.audit.findings import Finding
from pafpose.tools.audit.split import Split
from pafpose.tools.audit.swapped_sides import find_swapped_sides

FAR = 0.25  # of the longer side of a person's box: how far outside it a keypoint is suspicious


def audit_people(split: Split, margin: float) -> Iterator[Finding]:
    """Run all checks of people; points and boxes may lie ``margin`` px outside their photo."""
    yield from _invalid_numbers(split)
    yield from _outside_photo(split, margin)
    yield from _boxes(split, margin)
    yield from _collapsed(split)
    yield from _never_labelled(split)
    yield from _wrong_num_keypoints(split)
    yield from _duplicate_people(split)
    yield from _bad_masks(split)
    yield from _swapped_sides(split)


def _invalid_numbers(split: Split) -> Iterator[Finding]:
    points = split.keypoints[:, list(split.skeleton.scored)]
    xy, v = points[..., :2], points[..., 2]
    broken = np.isnan(v) | (~np.isfinite(xy).all(-1) & (np.nan_to_num(v, nan=1) != 0))
    for m in _indices(broken.any(-1)):
        count = int(broken[m].sum())
        yield split.about("not_finite", m, f"{count} keypoints are not finite", count)
    odd = np.isfinite(v) & ~np.isin(v, (0, 1, 2))
    for m in _indices(odd.any(-1)):
        count = int(odd[m].sum())
        yield split.about("bad_visibility", m, f"{count} keypoints with v other than 0, 1, 2", count)


def _outside_photo(split: Split, margin: float) -> Iterator[Finding]:
    xy, labelled = _scored_points(split)
    beyond = np.where(labelled, _beyond_photo(xy, xy, split.sizes[:, None]), 0)
    worst = beyond.max(-1, initial=0)
    for m in _indices((worst > margin) & ~split.crowd):
        name = split.scored_names[int(beyond[m].argmax())]
        yield split.about("outside_photo", m, f"{name} lies {worst[m]:.1f} px outside", worst[m])


def _boxes(split: Split, margin: float) -> Iterator[Finding]:
    xy, labelled = _scored_points(split)
    given = np.isfinite(split.boxes).all(-1) & ~split.crowd
    low, sides = split.boxes[:, :2], np.where(given[:, None], split.boxes[:, 2:], 1)
    flat = (sides <= 0).any(-1)
    for m in _indices(given & flat):
        yield split.about("no_area", m, f"a box side of {sides[m].min():.1f} px", sides[m].min())
    excess = _beyond_photo(low, low + sides, split.sizes)
    for m in _indices(given & (excess > margin)):
        yield split.about("box_outside_photo", m, f"the box reaches {excess[m]:.1f} px beyond", excess[m])
    outside = np.maximum(low[:, None] - xy, xy - (low + sides)[:, None]).max(-1)
    outside = np.where(labelled & (outside > 0), outside, 0)
    share = outside.max(-1, initial=0) / np.maximum(sides.max(-1), 1e-9)
    for m in _indices(given & ~flat & (share > FAR)):
        text = f"a keypoint lies {share[m]:.2f} box sides outside the box"
        yield split.about("far_from_box", m, text, share[m])


def _collapsed(split: Split) -> Iterator[Finding]:
    """Find people with three or more labelled keypoints of which at least half lie on top of others."""
    xy, labelled = _scored_points(split)
    for m in _indices((labelled.sum(-1) >= 3) & ~split.crowd):
        own = xy[m, labelled[m]]
        if np.ptp(own, axis=0).max() < 2 or len(np.unique(own.round(1), axis=0)) <= len(own) / 2:
            yield split.about("collapsed", m, f"{len(own)} keypoints in one place", len(own))


def _never_labelled(split: Split) -> Iterator[Finding]:
    _, labelled = _scored_points(split)
    if labelled[~split.crowd].any():
        for k in _indices(labelled.sum(0) == 0):
            text = f"{split.scored_names[k]} is never labelled in this split"
            yield Finding("never_labelled", split.name, text)


def _wrong_num_keypoints(split: Split) -> Iterator[Finding]:
    for m, person in enumerate(split.people):
        if "num_keypoints" in person:
            stated = person["num_keypoints"] or 0
            count = sum(v > 0 for v in (person.get("keypoints") or [])[2::3])
            if count != stated:
                text = f"num_keypoints is {person['num_keypoints']}, {count} are labelled"
                yield split.about("wrong_num_keypoints", m, text, abs(count - stated))


def _duplicate_people(split: Split) -> Iterator[Finding]:
    """Find pairs in one photo with the same three or more labelled keypoints, to the pixel."""
    xy, labelled = _scored_points(split)
    first: dict[tuple[int, bytes], int] = {}
    for m in _indices(~split.crowd & (labelled.sum(-1) >= 3)):
        places = np.where(labelled[m, :, None], xy[m], -1).round()
        key = (int(split.photo_of[m]), places.tobytes())
        if key in first:
            text = f"the same as annotation {split.people[first[key]]['id']}"
            yield split.about("duplicate_person", m, text, 1.0)
        first.setdefault(key, m)


def _bad_masks(split: Split) -> Iterator[Finding]:
    for m, person in enumerate(split.people):
        mask, photo = person.get("segmentation"), split.photos[split.photo_of[m]]
        stated = [photo.get("height"), photo.get("width")]
        if isinstance(mask, dict) and all(stated) and list(mask.get("size", stated)) != stated:
            text = f"mask of {mask['size']}, photo of {stated} (height, width)"
            yield split.about("bad_mask", m, text, 1.0)


def _swapped_sides(split: Split) -> Iterator[Finding]:
    rows = _indices(~split.crowd)
    points = np.nan_to_num(split.keypoints[rows], posinf=0, neginf=0)
    for m, pairs, strength in find_swapped_sides(points, split.labelled[rows], split.skeleton):
        yield split.about("swapped_sides", rows[m], pairs.replace("_", " "), strength)


def _indices(mask: np.ndarray) -> list[int]:
    return np.flatnonzero(mask).tolist()


def _scored_points(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Return places ``(M, K, 2)``, finite where labelled, and labels ``(M, K)`` of the scored keypoints."""
    scored = list(split.skeleton.scored)
    return np.nan_to_num(split.keypoints[:, scored, :2], posinf=0, neginf=0), split.labelled[:, scored]


def _beyond_photo(low: np.ndarray, high: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the px by which corners ``(..., 2)`` leave a photo of (width, height); 0 where unknown.

    The pixels of a photo cover -0.5 to its side - 0.5.
    """
    beyond = np.maximum(-0.5 - low, high - (sizes - 0.5)).max(-1)
    return np.maximum(np.nan_to_num(beyond), 0)
