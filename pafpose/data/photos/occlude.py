"""Rectangular patches over a crop: OpenPose's occlusions of one person, and cutout anywhere."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from pafpose.data.annotations.index import PoseIndex
from pafpose.data.photos.augment import AugmentSettings, PatchSettings
from pafpose.data.photos.crop import TrainingCrop
from pafpose.data.photos.images import FILL, read_photo
from pafpose.errors import PafposeError
from pafpose.geometry import box_to_corner_frame

Box = tuple[float, float, float, float]  # x, y, w, h in crop pixels, geometry's frame


class PatchAugmentation:
    """Covers parts of crops as ``augment.occlusion`` and ``augment.cutout`` say.

    ``on_unreadable`` is called with the error of a background photo that cannot be read. If it returns, the
    patch is left out.
    """

    def __init__(
        self, index: PoseIndex, augment: AugmentSettings, on_unreadable: Callable[[PafposeError], None]
    ) -> None:
        self.index, self.augment, self.on_unreadable = index, augment, on_unreadable
        self.background_photos = index.without_people()

    def __call__(self, crop: TrainingCrop, rng: np.random.Generator, *, person: int) -> None:
        """Cover parts of the crop; ``person`` is the row of the main person in it, or -1."""
        occlusion, cutout = self.augment.occlusion, self.augment.cutout
        if occlusion.p and rng.random() < occlusion.p:
            self._occlude(crop, occlusion, rng, person)
        if cutout.p and rng.random() < cutout.p:
            self._cut_out(crop, cutout, rng)

    def _occlude(
        self, crop: TrainingCrop, settings: PatchSettings, rng: np.random.Generator, person: int
    ) -> None:
        """Put patches around visible keypoints of one person; the fewer are visible, the fewer patches."""
        visible = crop.visible()
        people = np.flatnonzero(visible.any(1))
        if not len(people):
            return
        chosen = person if person >= 0 and visible[person].any() else int(people[rng.integers(len(people))])
        points = crop.keypoints[chosen, visible[chosen], :2]
        most = rng.integers(settings.count[0], settings.count[1] + 1)
        for _ in range(round(most * len(points) / visible.shape[1])):
            x, y = points[rng.integers(len(points))].tolist()
            w, h = (crop.boxes[chosen, 3] * rng.uniform(*settings.size, 2)).tolist()
            self._cover(crop, (x - w * rng.random(), y - h * rng.random(), w, h), settings.fill, rng)

    def _cut_out(self, crop: TrainingCrop, settings: PatchSettings, rng: np.random.Generator) -> None:
        """Put patches anywhere."""
        side = crop.image.shape[0]
        for _ in range(rng.integers(settings.count[0], settings.count[1] + 1)):
            w, h = (side * rng.uniform(*settings.size, 2)).tolist()
            x, y = (rng.uniform(-0.5, side - 0.5, 2) - (w / 2, h / 2)).tolist()
            self._cover(crop, (x, y, w, h), settings.fill, rng)

    def _cover(self, crop: TrainingCrop, box: Box, fill: str, rng: np.random.Generator) -> None:
        """Paint a box, clipped to the crop, and update the labels."""
        height, width = crop.image.shape[:2]
        x, y, w, h = box_to_corner_frame(np.array(box))  # where whole numbers lie between pixels
        left, right = (min(max(round(v), 0), width) for v in (x, x + w))
        top, bottom = (min(max(round(v), 0), height) for v in (y, y + h))
        if left >= right or top >= bottom:
            return
        try:
            patch = self._patch((bottom - top, right - left), fill, rng)
        except PafposeError as error:
            self.on_unreadable(error)
            return
        crop.image[top:bottom, left:right] = patch
        mask = np.zeros((height, width), bool)
        mask[top:bottom, left:right] = True
        crop.cover(mask)

    def _patch(self, size: tuple[int, int], fill: str, rng: np.random.Generator) -> np.ndarray:
        """Return the picture of a patch of (height, width)."""
        if fill == "grey":
            return np.full((*size, 3), FILL, np.uint8)
        if fill == "background" and len(self.background_photos):
            return self._background(size, rng)
        coarse = rng.integers(0, 256, (*rng.integers(1, 9, 2), 3), np.uint8)
        return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_LINEAR)

    def _background(self, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        """Return a random part of a random photo without people, resized to (height, width)."""
        photo = int(self.background_photos[rng.integers(len(self.background_photos))])
        photo_size = self.index.size(photo)
        picture, _ = read_photo(self.index.photo(photo))
        scale = rng.uniform(0.3, 1.0) * min(photo_size[0] / size[0], photo_size[1] / size[1])
        h, w = (max(1, int(side * scale)) for side in size)
        y, x = (int(rng.integers(n - side + 1)) for n, side in zip(photo_size, (h, w), strict=True))
        return cv2.resize(picture[y : y + h, x : x + w], size[::-1], interpolation=cv2.INTER_AREA)
