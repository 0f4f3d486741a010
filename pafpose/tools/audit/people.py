"""Checks of single people and their keypoints, in pixels of their photos."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pafpose.tools.audit.findings import Finding
from pafpose.tools.audit.split import Split
from pafpose.tools.audit.swapped_sides import find_swapped_sides

SAME = 0.8  # similarity (OKS) of two annotations of one person
FAR = 0.25  # of the longer side of a person's box: how far outside it a keypoint is suspicious


def audit_people(split: Split, margin: float) -> Iterator[Finding]:
    """Run all checks of people; points and boxes may lie ``margin`` px outside their photo."""
    yield from _bad_visibility(split)
    yield from _outside_photo(split, margin)
    yield from _boxes(split, margin)
    yield from _collapsed(split)
    yield from _never_labelled(split)
    yield from _wrong_num_keypoints(split)
    yield from _same_people(split)
    yield from _swapped_sides(split)


def _bad_visibility(split: Split) -> Iterator[Finding]:
    v = split.keypoints[:, list(split.skeleton.scored), 2]
    odd = ~np.isin(v, (0, 1, 2))
    for m in _indices(np.any(odd, axis=-1)):
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


def _same_people(split: Split) -> Iterator[Finding]:
    """Find pairs in one photo whose keypoints are so close that they must be one person, annotated twice.

    The measure is COCO's similarity over the keypoints that both have, three or more.
    """
    xy, labelled = _scored_points(split)
    eligible = ~split.crowd & (labelled.sum(-1) >= 3)
    sigmas = np.array(split.skeleton.sigmas)[list(split.skeleton.scored)]
    rows = np.flatnonzero(eligible)
    rows = rows[np.argsort(split.photo_of[rows], kind="stable")]
    for members in np.split(rows, np.flatnonzero(np.diff(split.photo_of[rows])) + 1):
        for n, m in enumerate(members[1:], 1):
            others = members[:n]
            shared = labelled[others] & labelled[m]
            extent = np.ptp(xy[m, labelled[m]], axis=0).prod()
            squares = ((xy[others] - xy[m]) ** 2).sum(-1) / (2 * max(extent, 1.0) * (2 * sigmas) ** 2)
            likeness = (np.exp(-squares) * shared).sum(-1) / np.maximum(shared.sum(-1), 1)
            likeness[2 * shared.sum(-1) < labelled[m].sum()] = 0
            best = int(likeness.argmax())
            if likeness[best] > SAME:
                text = f"nearly the same keypoints as annotation {split.people[others[best]]['id']}"
                yield split.about("same_person", int(m), text, likeness[best])


def _swapped_sides(split: Split) -> Iterator[Finding]:
    rows = _indices(~split.crowd)
    for m, pairs, strength in find_swapped_sides(split.keypoints[rows], split.labelled[rows], split.skeleton):
        yield split.about("swapped_sides", rows[m], pairs.replace("_", " "), strength)


def _indices(mask: np.ndarray) -> list[int]:
    return np.flatnonzero(mask).tolist()


def _scored_points(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Return places ``(M, K, 2)`` and labels ``(M, K)`` of the scored keypoints."""
    scored = list(split.skeleton.scored)
    return split.keypoints[:, scored, :2], split.labelled[:, scored]


def _beyond_photo(low: np.ndarray, high: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the px by which corners ``(..., 2)`` leave a photo of (width, height); 0 where unknown.

    The pixels of a photo cover -0.5 to its side - 0.5.
    """
    beyond = np.maximum(-0.5 - low, high - (sizes - 0.5)).max(-1)
    return np.maximum(np.nan_to_num(beyond), 0)
