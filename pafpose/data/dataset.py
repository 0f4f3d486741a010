"""Map-style datasets: random training crops, and whole photos for evaluation."""

from __future__ import annotations

import logging
from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

from pafpose import geometry
from pafpose.data import images as pictures
from pafpose.data.augment import AugmentSettings, Photometric, crop_matrix, draw_geometry, matrix_scale
from pafpose.data.index import PoseIndex
from pafpose.data.records import Sample
from pafpose.data.regions import assign_roles, ignored_cells
from pafpose.errors import PafposeError
from pafpose.skeleton import Skeleton
from pafpose.targets.settings import MaskSettings

log = logging.getLogger(__name__)

ON_ERROR = ("raise", "skip")
MOST_WORKERS = 256  # that are counted apart


class PoseDataset(Dataset[Sample]):
    """What training and evaluation share: from a moved picture to a :class:`Sample`."""

    def __init__(
        self,
        index: PoseIndex,
        skeleton: Skeleton,
        *,
        mask: MaskSettings,
        stride: int,
        on_error: str = "raise",
    ) -> None:
        if on_error not in ON_ERROR:
            raise PafposeError(f"data.on_error={on_error!r}: choose {' or '.join(ON_ERROR)}")
        self.index = index
        self.skeleton = skeleton
        self.mask = mask
        self.stride = stride
        self.on_error = on_error
        # how often a photo was skipped: in this process, then in each worker; shared, so that all can be told
        self._skipped = torch.zeros(1 + MOST_WORKERS, dtype=torch.int64).share_memory_()
        self._told: set[str] = set()
        self.roles = assign_roles(index, skeleton, mask)

    def __len__(self) -> int:
        raise NotImplementedError

    @property
    def skipped(self) -> int:
        """How often an unreadable photo was skipped since :meth:`report_skipped`, in all workers."""
        return int(self._skipped.sum())

    def report_skipped(self, what: str) -> int:
        """Say how often a photo was skipped since the last call, if ever; the number."""
        count = self.skipped
        self._skipped.zero_()
        if count:
            log.warning(
                "%s: %d of the samples could not be made and others stood in (data.on_error=skip)",
                what,
                count,
            )
        return count

    def _sample(
        self,
        photo: int,
        image: np.ndarray,
        *,
        matrix: np.ndarray,
        valid: tuple[int, int],
        flipped: bool = False,
    ) -> Sample:
        """People and ignored cells of a photo that ``matrix`` moved into ``image`` (H, W, 3)."""
        people = self.index.people(photo)
        drawn = self.roles.drawn[people]
        keypoints = self.index.keypoints[people][drawn]
        moved = keypoints.copy()
        moved[..., :2] = geometry.transform_points(matrix, keypoints[..., :2])
        moved[keypoints[..., 2] == 0] = 0
        if flipped:
            moved = moved[:, list(self.skeleton.flip_keypoints)]
        boxes = geometry.transform_boxes(matrix, self.index.boxes[people][drawn]).astype(np.float32)
        ignore = ignored_cells(
            self.index,
            photo,
            roles=self.roles,
            mask=self.mask,
            matrix=matrix,
            cells=geometry.field_size(image.shape[:2], self.stride),
            stride=self.stride,
        )
        return Sample(
            image=torch.from_numpy(image).permute(2, 0, 1),
            keypoints=torch.from_numpy(moved),
            boxes=torch.from_numpy(boxes),
            ignore=torch.from_numpy(ignore),
            image_id=int(self.index.ids[photo]),
            matrix=torch.from_numpy(matrix),
            valid=valid,
            original=self.index.size(photo),
        )

    def _guarded(self, make: Callable[[int], Sample], item: int) -> Sample:
        """Make an item; with ``data.on_error=skip`` the next readable one stands in for a bad one."""
        for attempt in range(len(self)):
            try:
                return self._named(make, (item + attempt) % len(self))
            except PafposeError as error:
                if self.on_error == "raise":
                    raise
                self._count(str(error))
        raise PafposeError(f"none of the {len(self)} samples in {self.index.folder} can be read")

    def _named(self, make: Callable[[int], Sample], item: int) -> Sample:
        """Make an item; whatever goes wrong in it names the photo."""
        try:
            return make(item)
        except PafposeError:
            raise
        except (cv2.error, ValueError, ArithmeticError, MemoryError, OSError) as error:
            path = self.index.path(self._photo(item))
            raise PafposeError(
                f"{path}: no sample can be made of this photo ({type(error).__name__}: {error}); look at it "
                "and its annotations (scripts/check_data.py), or leave such photos out: data.on_error=skip"
            ) from error

    def _photo(self, item: int) -> int:
        raise NotImplementedError

    def _count(self, reason: str) -> None:
        """Count a skipped sample; log each reason once in this process."""
        worker = get_worker_info()
        self._skipped[0 if worker is None else 1 + worker.id % MOST_WORKERS] += 1
        if reason not in self._told:
            self._told.add(reason)
            log.warning("skipped a photo: %s", reason)


class TrainDataset(PoseDataset):
    """Random square crops. ``dataset[i]`` draws from torch's RNG, ``dataset[i, seed]`` from the seed.

    ``samples`` (S, 2) names photo and person; a person is centred and scaled to ``target_dist`` of the crop,
    without one (-1) the photo is, its long side scaled to the crop.
    """

    def __init__(
        self,
        index: PoseIndex,
        skeleton: Skeleton,
        *,
        samples: np.ndarray,
        augment: AugmentSettings,
        mask: MaskSettings,
        stride: int,
        on_error: str = "raise",
    ) -> None:
        super().__init__(index, skeleton, mask=mask, stride=stride, on_error=on_error)
        self.samples = samples
        self.augment = augment
        self._photometric = Photometric(augment.photometric) if augment.photometric else None

    def __len__(self) -> int:
        return len(self.samples)

    def _photo(self, item: int) -> int:
        return int(self.samples[item, 0])

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        item, seed = key if isinstance(key, tuple) else (key, int(torch.randint(2**62, ())))
        if not -len(self) <= item < len(self):
            raise IndexError(f"sample {item} of {len(self)}")
        return self._guarded(lambda i: self._make(i, np.random.default_rng(seed)), item)

    def _make(self, item: int, rng: np.random.Generator) -> Sample:
        photo, person = (int(n) for n in self.samples[item])
        settings = self.augment
        centre, scale = self._aim(photo, person)
        draw = draw_geometry(settings, rng)
        matrix = crop_matrix(draw, centre=centre, scale=scale, crop=settings.crop)
        path, size = self.index.path(photo), self.index.size(photo)
        picture, shrunk = pictures.read_photo(path, size, scale=matrix_scale(matrix))
        square = (settings.crop, settings.crop)
        image = pictures.warp(picture, geometry.compose(matrix, geometry.invert(shrunk)), square)
        if self._photometric:
            image = self._photometric(image, rng)
        return self._sample(photo, image, matrix=matrix, valid=square, flipped=draw.flip)

    def _aim(self, photo: int, person: int) -> tuple[tuple[float, float], float]:
        """The photo pixel to centre, and crop pixels per photo pixel before the random factor."""
        crop = self.augment.crop
        if person < 0:
            height, width = self.index.size(photo)
            return ((width - 1) / 2, (height - 1) / 2), crop / max(height, width)
        x, y, w, h = self.index.boxes[person]
        return (x + w / 2, y + h / 2), self.augment.target_dist * crop / h


class EvalDataset(PoseDataset):
    """Whole photos, scaled to the evaluation size; similar shapes follow each other for small padding."""

    def __init__(
        self,
        index: PoseIndex,
        skeleton: Skeleton,
        *,
        input_size: int,
        fit: str,
        mask: MaskSettings,
        stride: int,
        on_error: str = "raise",
    ) -> None:
        super().__init__(index, skeleton, mask=mask, stride=stride, on_error=on_error)
        self.input_size = input_size
        self.fit = fit
        self.order = np.argsort(index.sizes[:, 1] / index.sizes[:, 0], kind="stable")

    def __len__(self) -> int:
        return len(self.order)

    def _photo(self, item: int) -> int:
        return int(self.order[item])

    def __getitem__(self, item: int) -> Sample:
        if not -len(self) <= item < len(self):
            raise IndexError(f"sample {item} of {len(self)}")
        return self._guarded(self._make, item)

    def _make(self, item: int) -> Sample:
        photo = int(self.order[item])
        picture, _ = pictures.read_photo(self.index.path(photo), self.index.size(photo))
        image, matrix, valid = pictures.evaluation_input(
            picture, input_size=self.input_size, fit=self.fit, stride=self.stride
        )
        return self._sample(photo, image, matrix=matrix, valid=valid)
