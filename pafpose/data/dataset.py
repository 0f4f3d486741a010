"""Map-style datasets: random training crops, and whole photos for evaluation."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

from pafpose import geometry
from pafpose.data.annotations.index import PoseIndex
from pafpose.data.batch import Sample
from pafpose.data.photos.augment import AugmentSettings, crop_matrix, sample_affine
from pafpose.data.photos.colour import Photometric, change_colour
from pafpose.data.photos.crop import TrainingCrop
from pafpose.data.photos.fit import PhotoFit
from pafpose.data.photos.ignored import flag_people, ignored_cells
from pafpose.data.photos.images import evaluation_input, read_photo, read_warped
from pafpose.data.photos.occlude import PatchAugmentation
from pafpose.data.photos.paste import PasteAugmentation
from pafpose.data.sampling import SampleGroup
from pafpose.errors import PafposeError
from pafpose.skeleton import Skeleton
from pafpose.targets.settings import MaskSettings

log = logging.getLogger(__name__)

ON_ERROR = ("raise", "skip")
_MAX_WORKERS = 256  # loader processes that count skipped samples separately


class PoseDataset(Dataset[Sample]):
    """What training and evaluation share: labels of a moved photo, and what happens to unreadable photos.

    ``photos`` (S,) is the photo of every sample, as a row of the index.
    """

    def __init__(
        self,
        index: PoseIndex,
        skeleton: Skeleton,
        *,
        photos: np.ndarray,
        mask: MaskSettings,
        stride: int,
        on_error: str = "raise",
    ) -> None:
        if on_error not in ON_ERROR:
            raise PafposeError(f"data.on_error={on_error!r}: choose {' or '.join(ON_ERROR)}")
        self.index, self.skeleton, self.photos = index, skeleton, photos
        self.mask, self.stride, self.on_error = mask, stride, on_error
        self.flags = flag_people(index, skeleton, mask)
        # one counter for this process and one for each loader process; in shared memory, to be summed up here
        self._skip_counts = torch.zeros(1 + _MAX_WORKERS, dtype=torch.int64).share_memory_()
        self._logged: set[str] = set()

    def __len__(self) -> int:
        return len(self.photos)

    @property
    def image_ids(self) -> np.ndarray:
        """Return (S,): the image id of every sample."""
        return self.index.ids[self.photos]

    @property
    def num_photos(self) -> int:
        """Return how many photos the samples come from."""
        return len(np.unique(self.photos))

    @property
    def num_people(self) -> int:
        """Return how many people are annotated."""
        return len(self.index.keypoints)

    @property
    def skipped(self) -> int:
        """Return how many samples were skipped since :meth:`report_skipped`, in all loader processes."""
        return int(self._skip_counts.sum())

    def report_skipped(self, what: str) -> int:
        """Return how many samples were skipped since the last call; log it when there were any."""
        count = self.skipped
        self._skip_counts.zero_()
        if count:
            log.warning("%s: %d unreadable samples were replaced by others (data.on_error=skip)", what, count)
        return count

    def _get(self, item: int, make: Callable[[int], Sample]) -> Sample:
        """Make a sample; with ``data.on_error=skip``, the next readable one replaces an unreadable one."""
        if not -len(self) <= item < len(self):
            raise IndexError(f"sample {item} of {len(self)}")
        for attempt in range(len(self)):
            candidate = (item + attempt) % len(self)
            try:
                return make(candidate)
            except PafposeError as error:
                self._skip(error)
            except (cv2.error, ValueError, ArithmeticError, MemoryError, OSError) as error:
                path = self.index.path(int(self.photos[candidate]))
                failure = PafposeError(
                    f"{path}: no sample can be made of this photo ({type(error).__name__}: {error}); check "
                    "the photo and its annotations with scripts/check_data.py, or leave such photos out with "
                    "data.on_error=skip"
                )
                failure.__cause__ = error
                self._skip(failure)
        raise PafposeError(f"none of the {len(self)} samples in {self.index.folder} can be read")

    def _skip(self, error: PafposeError) -> None:
        """Raise the error or, with ``data.on_error=skip``, count it and log it once in this process."""
        if self.on_error == "raise":
            raise error
        worker = get_worker_info()
        self._skip_counts[0 if worker is None else 1 + worker.id % _MAX_WORKERS] += 1
        if str(error) not in self._logged:
            self._logged.add(str(error))
            log.warning("skipped a photo: %s", error)

    def _crop(
        self, photo: int, image: np.ndarray, matrix: np.ndarray, *, flipped: bool = False
    ) -> TrainingCrop:
        """Add the labels of a photo to its picture, which ``matrix`` has moved into the network's input."""
        people = self.index.people(photo)
        drawn = self.flags.drawn[people]
        keypoints = self.index.keypoints[people][drawn]
        if flipped:
            keypoints = keypoints[:, list(self.skeleton.flip_keypoints)]
        moved = np.zeros_like(keypoints)
        labelled = keypoints[..., 2] != 0
        moved[labelled, :2] = geometry.transform_points(matrix, keypoints[labelled, :2])
        moved[labelled, 2] = keypoints[labelled, 2]
        boxes = geometry.transform_boxes(matrix, self.index.boxes[people][drawn]).astype(np.float32)
        ignore = ignored_cells(
            self.index,
            photo,
            flags=self.flags,
            mask=self.mask,
            matrix=matrix,
            cells=geometry.field_size(image.shape[:2], self.stride),
            stride=self.stride,
        )
        return TrainingCrop(image, moved, boxes, ignore, self.stride)

    def _sample(
        self, photo: int, crop: TrainingCrop, *, matrix: np.ndarray, valid: tuple[int, int]
    ) -> Sample:
        return Sample(
            image=torch.from_numpy(crop.image).permute(2, 0, 1),
            keypoints=torch.from_numpy(crop.keypoints),
            boxes=torch.from_numpy(crop.boxes),
            ignore=torch.from_numpy(crop.ignore),
            image_id=int(self.index.ids[photo]),
            matrix=torch.from_numpy(matrix),
            valid=valid,
            original=self.index.size(photo),
        )


class TrainDataset(PoseDataset):
    """Random square crops: ``dataset[i, seed]``, or ``dataset[i]`` with a seed from torch's generator.

    ``samples`` (S, 2) are rows of photo and person. The person is centred and scaled to ``target_dist`` of
    the crop; with -1 instead of a person the photo is centred, and its long side is scaled to the crop.
    ``groups`` say how many samples of which range an epoch has; by default it has each sample once.
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
        groups: Sequence[SampleGroup] | None = None,
    ) -> None:
        super().__init__(index, skeleton, photos=samples[:, 0], mask=mask, stride=stride, on_error=on_error)
        self.samples = samples
        self.groups = [SampleGroup(0, len(samples), len(samples))] if groups is None else list(groups)
        self.augment = augment
        self._photometric = Photometric(augment.photometric) if augment.photometric else None
        self._patches = PatchAugmentation(index, augment, self._skip)
        self._paste = None
        if augment.paste.p:
            eligible = self.flags.protected
            self._paste = PasteAugmentation(
                index, skeleton, eligible, augment=augment, on_unreadable=self._skip
            )

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        item, seed = key if isinstance(key, tuple) else (key, int(torch.randint(2**62, ())))
        return self._get(item, lambda i: self._make(i, np.random.default_rng(seed)))

    def _make(self, item: int, rng: np.random.Generator) -> Sample:
        photo, person = self.samples[item].tolist()
        settings = self.augment
        size = (settings.crop, settings.crop)
        centre, scale = self._aim(photo, person)
        params = sample_affine(settings, rng)
        matrix = crop_matrix(params, centre=centre, scale=scale, crop=settings.crop)
        image = read_warped(self.index.photo(photo), matrix, size)
        crop = self._crop(photo, image, matrix, flipped=params.flip)
        if self._paste:
            self._paste(crop, rng, degrees=params.degrees)
        self._patches(crop, rng, person=self._row_in_crop(photo, person))
        if settings.colour.p and rng.random() < settings.colour.p:
            crop.image = change_colour(crop.image, settings.colour, rng)
        if self._photometric:
            crop.image = self._photometric(crop.image, rng)
        return self._sample(photo, crop, matrix=matrix, valid=size)

    def _row_in_crop(self, photo: int, person: int) -> int:
        """Return the row of a person among the people drawn in a photo; -1 for nobody."""
        if person < 0 or not self.flags.drawn[person]:
            return -1
        return int(self.flags.drawn[self.index.people(photo).start : person].sum())

    def _aim(self, photo: int, person: int) -> tuple[tuple[float, float], float]:
        """Return the photo pixel to centre, and crop pixels per photo pixel before the random factor."""
        crop = self.augment.crop
        if person < 0:
            height, width = self.index.size(photo)
            return ((width - 1) / 2, (height - 1) / 2), crop / max(height, width)
        x, y, w, h = self.index.boxes[person].tolist()
        return (x + w / 2, y + h / 2), self.augment.target_dist * crop / h


class EvalDataset(PoseDataset):
    """Whole photos fitted into the network's input, ordered by shape, so that batches need little padding."""

    def __init__(
        self,
        index: PoseIndex,
        skeleton: Skeleton,
        *,
        fit: PhotoFit,
        mask: MaskSettings,
        stride: int,
        on_error: str = "raise",
    ) -> None:
        by_shape = np.argsort(index.sizes[:, 1] / index.sizes[:, 0], kind="stable")
        super().__init__(index, skeleton, photos=by_shape, mask=mask, stride=stride, on_error=on_error)
        self.input_size = fit.input_size
        self.fit = fit.fit

    def __getitem__(self, item: int) -> Sample:
        return self._get(item, self._make)

    def _make(self, item: int) -> Sample:
        photo = int(self.photos[item])
        picture, _ = read_photo(self.index.photo(photo))
        image, matrix, valid = evaluation_input(
            picture, input_size=self.input_size, fit=self.fit, stride=self.stride
        )
        return self._sample(photo, self._crop(photo, image, matrix), matrix=matrix, valid=valid)
