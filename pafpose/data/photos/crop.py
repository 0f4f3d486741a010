"""A training crop while it is being made, and how covering a part of it changes the labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pafpose.data.masks import in_box
from pafpose.geometry import cell_to_mask_px


@dataclass
class TrainingCrop:
    """A picture and its people, in pixels of the crop."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    keypoints: np.ndarray  # (P, K, 3) float32 x, y, v
    boxes: np.ndarray  # (P, 4) float32 x, y, w, h
    ignore: np.ndarray  # (h, w) bool: cells that the loss ignores
    stride: int

    def visible(self) -> np.ndarray:
        """Return (P, K) bool: the keypoints inside the crop with v = 2."""
        x, y = self._keypoint_pixels()
        height, width = self.image.shape[:2]
        return (self.keypoints[..., 2] == 2) & (x >= 0) & (x < width) & (y >= 0) & (y < height)

    def visible_beside(self, mask: np.ndarray) -> np.ndarray:
        """Return (P, K) bool: the visible keypoints that lie outside ``mask`` (H, W) bool."""
        x, y = self._keypoint_pixels()
        height, width = mask.shape
        return self.visible() & ~mask[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]

    def cover(self, mask: np.ndarray) -> None:
        """Update the labels after the pixels of ``mask`` (H, W) bool have been painted over.

        Visible keypoints in the mask become occluded (v = 1). People who keep no visible keypoint become
        unlabelled, and the loss ignores the part of their boxes that the mask leaves uncovered.
        """
        before, after = self.visible(), self.visible_beside(mask)
        self.keypoints[before & ~after, 2] = 1
        hidden = np.flatnonzero(before.any(1) & ~after.any(1))
        for person in hidden:
            self._ignore_box(self.boxes[person], mask)
        self.keypoints[hidden] = 0

    def add_person(self, keypoints: np.ndarray, box: np.ndarray, mask: np.ndarray) -> None:
        """Add somebody in front, ``keypoints`` (K, 3); cells in ``mask`` (H, W) bool count again."""
        self.cover(mask)
        self.ignore &= ~self._at_cells(mask)
        self.keypoints = np.concatenate([self.keypoints, keypoints[None].astype(np.float32)])
        self.boxes = np.concatenate([self.boxes, box[None].astype(np.float32)])

    def _keypoint_pixels(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (P, K) column and row of the pixel that each keypoint lies in."""
        xy = np.rint(np.clip(self.keypoints[..., :2], -1e6, 1e6)).astype(np.int64)
        return xy[..., 0], xy[..., 1]

    def _at_cells(self, mask: np.ndarray) -> np.ndarray:
        """Return the mask at the pixels that stand for the field's cells."""
        rows, columns = self._cell_pixels()
        return mask[np.ix_(rows, columns)]

    def _ignore_box(self, box: np.ndarray, mask: np.ndarray) -> None:
        """Ignore the cells of a box outside the mask."""
        rows, columns = self._cell_pixels()
        self.ignore |= in_box(box, columns, rows[:, None]) & ~self._at_cells(mask)

    def _cell_pixels(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows and the columns of the pixels at which masks are read for the field's cells."""
        rows, columns = (cell_to_mask_px(np.arange(count), self.stride) for count in self.ignore.shape)
        return rows, columns
