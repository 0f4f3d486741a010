"""What is put over a crop: occluding patches, cutout, and people cut out of other photos.

Labels follow: see :meth:`pafpose.data.photos.crop.Scene.cover`. Pasted people bring their own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import cv2
import numpy as np

from pafpose import geometry
from pafpose.data.annotations.index import PoseIndex
from pafpose.data.photos import images as pictures
from pafpose.data.photos.augment import AugmentSettings, PatchSettings
from pafpose.data.photos.crop import Scene
from pafpose.data.photos.ignored import Roles, segmentation
from pafpose.data.photos.run_lengths import draw_runs, run_ends
from pafpose.errors import PafposeError
from pafpose.skeleton import Skeleton

log = logging.getLogger(__name__)

_TILT = 10.0  # degrees by which a pasted person leans more or less than the crop
_SMALLEST = 64  # px of the crop that a pasted person shows at least


class Overlays:
    """Covers parts of a :class:`Scene` as ``augment.paste``, ``occlusion`` and ``cutout`` say.

    ``complain`` is told of photos that cannot be read; it raises, or the sample goes without them.
    """

    def __init__(
        self,
        index: PoseIndex,
        skeleton: Skeleton,
        roles: Roles,
        *,
        augment: AugmentSettings,
        complain: Callable[[PafposeError], None],
    ) -> None:
        self.index, self.skeleton, self.augment, self.complain = index, skeleton, augment, complain
        self.active = any(part.p > 0 for part in (augment.paste, augment.occlusion, augment.cutout))
        self.photo_of = index.photo_of() if augment.paste.p else np.zeros(0, np.int64)
        self.donors = self._find_donors(roles) if augment.paste.p else np.zeros(0, np.int64)
        self.empty = np.flatnonzero(np.diff(index.first) == 0)
        if augment.paste.p and not len(self.donors):
            log.warning(
                "augment.paste: nobody in %s is labelled, has a mask and is %g px high; nobody is pasted",
                index.folder, augment.paste.min_height,
            )  # fmt: skip

    def lay(self, scene: Scene, rng: np.random.Generator, *, person: int, degrees: float) -> None:
        """Cover parts of the scene; ``person``: the main one, or -1; ``degrees``: how the crop is turned."""
        settings = self.augment
        if settings.paste.p and len(self.donors) and rng.random() < settings.paste.p:
            for _ in range(rng.integers(settings.paste.count[0], settings.paste.count[1] + 1)):
                self._paste(scene, rng, degrees)
        if settings.occlusion.p and rng.random() < settings.occlusion.p:
            self._occlude(scene, rng, person)
        if settings.cutout.p and rng.random() < settings.cutout.p:
            self._cut_out(scene, rng)

    def _find_donors(self, roles: Roles) -> np.ndarray:
        """Rows of the people who can be cut out: labelled, with a mask, and large enough."""
        index = self.index
        masked = np.diff(index.rle.first) > 0
        if len(index.polygon_first) == len(masked) + 1:
            masked |= np.diff(index.polygon_first) > 0
        return np.flatnonzero(
            roles.protected
            & masked
            & (index.boxes[:, 3] >= self.augment.paste.min_height)
            & (index.boxes[:, 2] >= 1)
        )

    def _paste(self, scene: Scene, rng: np.random.Generator, degrees: float) -> None:
        """Put somebody from another photo beside and in front of somebody here."""
        donor = int(self.donors[rng.integers(len(self.donors))])
        flip, tilt = bool(rng.random() < 0.5), degrees + float(rng.uniform(-_TILT, _TILT))
        matrix = self._donor_matrix(scene, donor, rng, flip=flip, degrees=tilt)
        try:
            image, alpha = self._cut(donor, matrix, scene.image.shape[:2])
        except PafposeError as error:
            self.complain(error)
            return
        mask = alpha > 127
        if (
            np.count_nonzero(mask) < _SMALLEST
            or (scene.in_sight().any(1) & ~scene.left_by(mask).any(1)).any()
        ):
            return  # hardly there, or nothing would be left of somebody else
        keypoints = self.index.keypoints[donor].copy()
        keypoints[:, :2] = geometry.transform_points(matrix, keypoints[:, :2])
        keypoints[keypoints[:, 2] == 0] = 0
        if flip:
            keypoints = keypoints[list(self.skeleton.flip_keypoints)]
        _blend(scene.image, image, alpha)
        scene.add(keypoints, geometry.transform_boxes(matrix, self.index.boxes[donor]), mask)

    def _donor_matrix(
        self, scene: Scene, donor: int, rng: np.random.Generator, *, flip: bool, degrees: float
    ) -> np.ndarray:
        """Photo -> crop for a pasted person: as high as the neighbour times ``paste.height``, at one side."""
        crop, (x, y, w, h) = scene.image.shape[0], self.index.boxes[donor].tolist()
        near = np.flatnonzero(scene.in_sight().any(1))
        if len(near):
            nx, ny, nw, nh = scene.boxes[near[rng.integers(len(near))]].tolist()
        else:
            nx, ny = rng.uniform(0, crop, 2).tolist()
            nw = nh = self.augment.target_dist * crop
        scale = max(nh, 1.0) * rng.uniform(*self.augment.paste.height) / h
        side = (
            (nw + w * scale) / 2 * rng.uniform(*self.augment.paste.apart) * (1 if rng.random() < 0.5 else -1)
        )
        centre = (nx + nw / 2 + side, ny + nh / 2 + nh * rng.uniform(-0.15, 0.15))
        turn = (
            geometry.compose(geometry.rotation(degrees), geometry.translation(-x - w / 2, -y - h / 2)) * scale
        )
        if flip:
            turn[0] *= -1
        return geometry.compose(geometry.translation(*centre), turn)

    def _cut(self, donor: int, matrix: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """The photo of a person moved into a crop of that size, and the person's share of each pixel."""
        photo = int(self.photo_of[donor])
        height, width = self.index.size(photo)
        image = pictures.read_moved(self.index.path(photo), (height, width), matrix, size)
        x, y, w, h = self.index.boxes[donor]
        left, top = (min(max(int(v) - 2, 0), n - 1) for v, n in ((x, width), (y, height)))
        window = (left, top, min(int(w) + 5, width - left), min(int(h) + 5, height - top))
        counts = segmentation(self.index, photo, donor)
        assert counts is not None  # donors have masks
        own = draw_runs(run_ends(counts), height, window)
        moved = cv2.warpAffine(own, geometry.compose(matrix, geometry.translation(left, top)), size[::-1])
        return image, cv2.blur(moved, (3, 3))

    def _occlude(self, scene: Scene, rng: np.random.Generator, person: int) -> None:
        """OpenPose's: rectangles around keypoints in sight of one person, fewer when fewer are in sight."""
        settings, seen = self.augment.occlusion, scene.in_sight()
        people = np.flatnonzero(seen.any(1))
        if not len(people):
            return
        chosen = person if person >= 0 and seen[person].any() else int(people[rng.integers(len(people))])
        points = scene.keypoints[chosen, seen[chosen], :2]
        most = rng.integers(settings.count[0], settings.count[1] + 1)
        for _ in range(round(most * len(points) / seen.shape[1])):
            x, y = points[rng.integers(len(points))].tolist()
            w, h = (scene.boxes[chosen, 3] * rng.uniform(*settings.size, 2)).tolist()
            self._cover(scene, (x - w * rng.random(), y - h * rng.random(), w, h), settings, rng)

    def _cut_out(self, scene: Scene, rng: np.random.Generator) -> None:
        """Rectangles anywhere."""
        settings, crop = self.augment.cutout, scene.image.shape[0]
        for _ in range(rng.integers(settings.count[0], settings.count[1] + 1)):
            w, h = (crop * rng.uniform(*settings.size, 2)).tolist()
            x, y = (rng.uniform(0, crop, 2) - (w / 2, h / 2)).tolist()
            self._cover(scene, (x, y, w, h), settings, rng)

    def _cover(
        self,
        scene: Scene,
        box: tuple[float, float, float, float],
        settings: PatchSettings,
        rng: np.random.Generator,
    ) -> None:
        """Fill a rectangle x, y, w, h, cut at the border of the crop, and tell the labels."""
        height, width = scene.image.shape[:2]
        left, right = (min(max(round(v), 0), width) for v in (box[0], box[0] + box[2]))
        top, bottom = (min(max(round(v), 0), height) for v in (box[1], box[1] + box[3]))
        if left >= right or top >= bottom:
            return
        try:
            filling = self._filling((bottom - top, right - left), settings.fill, rng)
        except PafposeError as error:
            self.complain(error)
            return
        scene.image[top:bottom, left:right] = filling
        mask = np.zeros((height, width), bool)
        mask[top:bottom, left:right] = True
        scene.cover(mask)

    def _filling(self, size: tuple[int, int], fill: str, rng: np.random.Generator) -> np.ndarray:
        """What a patch of (height, width) shows."""
        if fill == "grey":
            return np.full((*size, 3), pictures.FILL, np.uint8)
        if fill == "background" and len(self.empty):
            photo = int(self.empty[rng.integers(len(self.empty))])
            stated = self.index.size(photo)
            picture, _ = pictures.read_photo(self.index.path(photo), stated)
            share = rng.uniform(0.3, 1.0) * min(stated[0] / size[0], stated[1] / size[1])
            h, w = (max(1, int(side * share)) for side in size)
            y, x = (int(rng.integers(n - side + 1)) for n, side in zip(stated, (h, w), strict=True))
            return cv2.resize(picture[y : y + h, x : x + w], size[::-1], interpolation=cv2.INTER_AREA)
        coarse = rng.integers(0, 256, (*rng.integers(1, 9, 2), 3), np.uint8)
        return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_LINEAR)


def _blend(image: np.ndarray, front: np.ndarray, alpha: np.ndarray) -> None:
    """Lay ``front`` (H, W, 3) over ``image`` in place, ``alpha`` (H, W) uint8."""
    x, y, w, h = cv2.boundingRect(alpha)
    part = (slice(y, y + h), slice(x, x + w))
    share = alpha[part][..., None].astype(np.uint16)
    mixed = front[part] * share + image[part] * (255 - share) + 127
    image[part] = (mixed // 255).astype(np.uint8)
