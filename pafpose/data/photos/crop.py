"""A training crop under construction: picture, people, and what covering a part does to the labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Scene:
    """All in pixels of the crop; a cell of ``ignore`` stands for pixel ``stride * cell + stride // 2``."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    keypoints: np.ndarray  # (P, K, 3) float32 x, y, v
    boxes: np.ndarray  # (P, 4) float32 x, y, w, h
    ignore: np.ndarray  # (h, w) bool
    stride: int

    def in_sight(self) -> np.ndarray:
        """(P, K) bool: inside the crop with v = 2."""
        x, y = self._pixels()
        height, width = self.image.shape[:2]
        return (self.keypoints[..., 2] == 2) & (x >= 0) & (x < width) & (y >= 0) & (y < height)

    def left_by(self, mask: np.ndarray) -> np.ndarray:
        """(P, K) bool: what stays in sight when the pixels of ``mask`` (H, W) bool are covered."""
        x, y = self._pixels()
        height, width = mask.shape
        return self.in_sight() & ~mask[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]

    def cover(self, mask: np.ndarray) -> None:
        """Let the labels know that the pixels of ``mask`` (H, W) bool are covered; the picture stays.

        A keypoint in sight there is occluded now (v = 1). Somebody of whom no keypoint is left in sight
        loses the labels, and the loss leaves out what the box still shows of that person.
        """
        seen, left = self.in_sight(), self.left_by(mask)
        self.keypoints[seen & ~left, 2] = 1
        lost = np.flatnonzero(seen.any(1) & ~left.any(1))
        for person in lost:
            self._ignore_box(self.boxes[person], mask)
        self.keypoints[lost] = 0

    def add(self, keypoints: np.ndarray, box: np.ndarray, mask: np.ndarray) -> None:
        """One more person, ``keypoints`` (K, 3), in front of all: ``mask`` (H, W) bool counts again."""
        self.cover(mask)
        self.ignore &= ~self._at_cells(mask)
        self.keypoints = np.concatenate([self.keypoints, keypoints[None].astype(np.float32)])
        self.boxes = np.concatenate([self.boxes, box[None].astype(np.float32)])

    def _pixels(self) -> tuple[np.ndarray, np.ndarray]:
        """(P, K) column and row of the pixel that each keypoint lies in."""
        xy = np.rint(np.clip(self.keypoints[..., :2], -1e6, 1e6)).astype(np.int64)
        return xy[..., 0], xy[..., 1]

    def _at_cells(self, mask: np.ndarray) -> np.ndarray:
        return mask[self.stride // 2 :: self.stride, self.stride // 2 :: self.stride]

    def _ignore_box(self, box: np.ndarray, mask: np.ndarray) -> None:
        """Leave out the cells of a box, but for those that ``mask`` covers."""
        x0, y0, w, h = box.tolist()
        rows, columns = (np.arange(n) * self.stride + self.stride // 2 for n in self.ignore.shape)
        inside = ((rows >= y0) & (rows < y0 + h))[:, None] & (columns >= x0) & (columns < x0 + w)
        self.ignore |= inside & ~self._at_cells(mask)
