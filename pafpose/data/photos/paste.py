"""Copy-paste augmentation: people cut out of other photos are put in front of those in a crop."""

from __future__ import annotations

import logging
from collections.abc import Callable

import cv2
import numpy as np

from pafpose import geometry
from pafpose.data.annotations.index import PoseIndex
from pafpose.data.masks import decode_union
from pafpose.data.photos.augment import AugmentSettings
from pafpose.data.photos.crop import TrainingCrop
from pafpose.data.photos.images import read_warped
from pafpose.errors import PafposeError
from pafpose.skeleton import Skeleton

log = logging.getLogger(__name__)

_TILT = 10.0  # degrees: the largest rotation of a pasted person relative to the crop
_MIN_PIXELS = 64  # of the crop that a pasted person must show


class PasteAugmentation:
    """Pastes people into crops as ``augment.paste`` says.

    ``eligible`` (M,) bool are the people of the index who may be pasted, if they have a mask and are large
    enough. ``on_unreadable`` is called with the error of a photo that cannot be read. If it returns, nobody
    is pasted.
    """

    def __init__(
        self,
        index: PoseIndex,
        skeleton: Skeleton,
        eligible: np.ndarray,
        *,
        augment: AugmentSettings,
        on_unreadable: Callable[[PafposeError], None],
    ) -> None:
        self.index, self.skeleton, self.on_unreadable = index, skeleton, on_unreadable
        self.settings, self.target_dist = augment.paste, augment.target_dist
        large = (index.boxes[:, 3] >= self.settings.min_height) & (index.boxes[:, 2] >= 1)
        self.donors = np.flatnonzero(eligible & index.has_mask() & large)
        self.photo_of = index.photo_of()
        if not len(self.donors):
            log.warning(
                "augment.paste: nobody in %s is labelled, has a mask and is %g px high, so nobody is pasted",
                index.folder, self.settings.min_height,
            )  # fmt: skip

    def __call__(self, crop: TrainingCrop, rng: np.random.Generator, *, degrees: float) -> None:
        """Paste people into a crop that is rotated by ``degrees``."""
        if not len(self.donors) or rng.random() >= self.settings.p:
            return
        for _ in range(rng.integers(self.settings.count[0], self.settings.count[1] + 1)):
            self._paste(crop, rng, degrees)

    def _paste(self, crop: TrainingCrop, rng: np.random.Generator, degrees: float) -> None:
        """Put one person beside and in front of somebody in the crop."""
        donor = int(self.donors[rng.integers(len(self.donors))])
        flip, tilt = bool(rng.random() < 0.5), degrees + float(rng.uniform(-_TILT, _TILT))
        matrix = self._donor_matrix(crop, donor, rng, flip=flip, degrees=tilt)
        try:
            image, alpha = self._cut_out(donor, matrix, crop.image.shape[:2])
        except PafposeError as error:
            self.on_unreadable(error)
            return
        mask = alpha > 127
        hides_somebody = (crop.visible().any(1) & ~crop.visible_beside(mask).any(1)).any()
        if np.count_nonzero(mask) < _MIN_PIXELS or hides_somebody:
            return
        keypoints = self.index.keypoints[donor].copy()
        keypoints[:, :2] = geometry.transform_points(matrix, keypoints[:, :2])
        keypoints[keypoints[:, 2] == 0] = 0
        if flip:
            keypoints = keypoints[list(self.skeleton.flip_keypoints)]
        _blend(crop.image, image, alpha)
        crop.add_person(keypoints, geometry.transform_boxes(matrix, self.index.boxes[donor]), mask)

    def _donor_matrix(
        self, crop: TrainingCrop, donor: int, rng: np.random.Generator, *, flip: bool, degrees: float
    ) -> np.ndarray:
        """Return the matrix from the donor's photo to a place beside somebody in the crop."""
        side, (x, y, w, h) = crop.image.shape[0], self.index.boxes[donor].tolist()
        visible = np.flatnonzero(crop.visible().any(1))
        if len(visible):
            near_x, near_y, near_w, near_h = crop.boxes[visible[rng.integers(len(visible))]].tolist()
        else:
            near_x, near_y = rng.uniform(0, side, 2).tolist()
            near_w = near_h = self.target_dist * side
        scale = max(near_h, 1.0) * rng.uniform(*self.settings.height) / h
        apart = (near_w + w * scale) / 2 * rng.uniform(*self.settings.apart)
        apart *= 1 if rng.random() < 0.5 else -1
        centre_x = near_x + near_w / 2 + apart
        centre_y = near_y + near_h / 2 + near_h * rng.uniform(-0.15, 0.15)
        to_origin = geometry.translation(-x - w / 2, -y - h / 2)
        around_origin = geometry.compose(geometry.rotation(degrees), to_origin) * scale
        if flip:
            around_origin[0] *= -1
        return geometry.compose(geometry.translation(centre_x, centre_y), around_origin)

    def _cut_out(
        self, donor: int, matrix: np.ndarray, size: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the donor's photo moved into a crop of that size, and the opacity 0 to 255 of the donor."""
        photo = int(self.photo_of[donor])
        photo_size = self.index.size(photo)
        image = read_warped(self.index.photo(photo), matrix, size)
        mask = decode_union([self.index.mask(donor)], photo_size).astype(np.uint8) * 255
        return image, cv2.blur(cv2.warpAffine(mask, matrix, size[::-1]), (3, 3))


def _blend(image: np.ndarray, front: np.ndarray, alpha: np.ndarray) -> None:
    """Paint ``front`` (H, W, 3) over ``image`` in place with the opacity ``alpha`` (H, W) uint8."""
    x, y, w, h = cv2.boundingRect(alpha)
    part = (slice(y, y + h), slice(x, x + w))
    opacity = alpha[part][..., None].astype(np.uint16)
    mixed = front[part] * opacity + image[part] * (255 - opacity) + 127
    image[part] = (mixed // 255).astype(np.uint8)
