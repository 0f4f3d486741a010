"""Make the YAML of a skeleton from the nodes, edges and symmetries of labels."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import minimum_spanning_tree

from pafpose.errors import PafposeError
from pafpose.skeleton import Skeleton

SIGMA = 0.05  # of every keypoint: labels do not say how precisely people agree
Pair = tuple[int, int]
_RIGHT = {"left": "right", "Left": "Right", "LEFT": "RIGHT", "L": "R", "l": "r"}
_LEFT = re.compile(r"left|Left|LEFT|L|(?<![^\W_])l(?![^\W\d_])")  # a small l only as a word: leg_l, l_leg


def skeleton_config(
    name: str, keypoints: Sequence[str], edges: Sequence[Pair], pairs: Sequence[Pair], animals: np.ndarray
) -> dict[str, Any]:
    """Return the content of a skeleton YAML; ``animals (M, K, 2)`` are labels, NaN where there is none.

    Limbs are the edges, and their mirror images. Where those do not join all keypoints, the shortest limbs
    that do so are added, by the median distance on labelled animals.
    """
    if len(keypoints) < 2:
        raise PafposeError(
            f"labels of {name}: their skeleton has {len(keypoints)} keypoints, and a limb joins two; add "
            "keypoints where the labels were made"
        )
    pairs = list(pairs) or sides_by_name(keypoints)
    limbs = _with_mirror_images(edges, pairs)
    limbs = _with_mirror_images([*limbs, *joining_limbs(limbs, animals)], pairs)
    config: dict[str, Any] = {
        "name": name,
        "keypoints": list(keypoints),
        "pairs": [[keypoints[a], keypoints[b]] for a, b in pairs],
        "sigmas": [SIGMA] * len(keypoints),
        "default_limbs": "labels",
        "limb_sets": {"labels": [[keypoints[a], keypoints[b]] for a, b in limbs]},
    }
    Skeleton.from_config(config)  # raises when names or pairs cannot be used
    return config


def sides_by_name(keypoints: Sequence[str]) -> list[Pair]:
    """Return left/right pairs: names that differ in one place, ``left`` and ``right`` or ``L`` and ``R``.

    >>> sides_by_name(["head", "wingL", "wingR", "left_leg1", "right_leg1"])
    [(1, 2), (3, 4)]
    """
    pairs = []
    for n, name in enumerate(keypoints):
        for word in _LEFT.finditer(name):
            mirror = name[: word.start()] + _RIGHT[word.group()] + name[word.end() :]
            if mirror in keypoints:
                pairs.append((n, keypoints.index(mirror)))
                break
    return pairs


def joining_limbs(limbs: Sequence[Pair], animals: np.ndarray) -> list[Pair]:
    """Return the shortest limbs that join what ``limbs`` leave apart; none if they join everything."""
    count = animals.shape[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # two keypoints that no animal has both of
        lengths = np.nanmedian(np.linalg.norm(animals[:, :, None] - animals[:, None], axis=-1), axis=0)
    unknown = 10 * np.nanmax(np.nan_to_num(lengths)) + 10
    lengths = np.where(np.isnan(lengths), unknown, lengths + 1)
    for a, b in limbs:
        lengths[a, b] = lengths[b, a] = 1e-6
    tree = minimum_spanning_tree(csr_array(np.triu(lengths, 1))).tocoo()
    found = [(int(a), int(b)) for a, b in zip(*tree.coords, strict=True)]
    assert len(found) == count - 1
    known = {frozenset(limb) for limb in limbs}
    return [limb for limb in found if frozenset(limb) not in known]


def _with_mirror_images(limbs: Sequence[Pair], pairs: Sequence[Pair]) -> list[Pair]:
    flip = dict(pairs) | {b: a for a, b in pairs}
    result: dict[frozenset[int], Pair] = {}
    for a, b in limbs:
        for limb in ((a, b), (flip.get(a, a), flip.get(b, b))):
            if limb[0] != limb[1]:
                result.setdefault(frozenset(limb), limb)
    return list(result.values())
