"""Masks of photos as compressed run lengths (RLE), COCO's own form; pycocotools does all work on pixels."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask


def encode_polygons(polygons: Sequence[np.ndarray], size: tuple[int, int]) -> bytes:
    """Return the union of polygons ``x0, y0, x1, ...``, rasterised by COCO in a photo of (height, width).

    Polygon coordinates are measured from the outer corner of the first pixel, as in COCO's json.
    """
    return coco_mask.merge(coco_mask.frPyObjects(list(polygons), *size))["counts"]


def encode_counts(counts: Sequence[int], size: tuple[int, int]) -> bytes:
    """Compress plain run lengths: pixels outside, then inside, and so on, down the columns of the photo."""
    height, width = size
    return coco_mask.frPyObjects({"size": [height, width], "counts": list(counts)}, height, width)["counts"]


def in_box(box: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return which pixels ``x, y``, broadcast together, are in a box x, y, w, h or on its border.

    >>> in_box(np.array([0.5, 0.0, 2.0, 1.0]), np.arange(4), np.array([[0], [2]]))
    array([[False,  True,  True, False],
           [False, False, False, False]])
    """
    left, top, width, height = box.tolist()
    return (x >= left) & (x <= left + width) & (y >= top) & (y <= top + height)


def decode_union(masks: Sequence[bytes], size: tuple[int, int]) -> np.ndarray:
    """Return (height, width) bool: the pixels that lie in any of the masks.

    >>> decode_union([encode_counts([1, 2, 3], (2, 3))], (2, 3)).astype(int)
    array([[0, 1, 0],
           [1, 0, 0]])
    """
    union = coco_mask.merge([{"size": size, "counts": counts} for counts in masks])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools 2.0.11 on numpy 2
        return coco_mask.decode(union).view(bool)
