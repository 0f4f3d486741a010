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
from pafpose.data.photos import images as pictures
from pafpose.data.photos.augment import AugmentSettings, crop_matrix, draw_geometry
from pafpose.data.photos.colour import Photometric, change_colour
from pafpose.data.photos.crop import Scene
from pafpose.data.photos.ignored import assign_roles, ignored_cells
from pafpose.data.photos.moving import move_people
from pafpose.data.photos.occlude import Overlays
from pafpose.data.sampling import Quota
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
        self._flip = np.array(skeleton.flip_keypoints, np.int64)
        self._keep = np.arange(len(self._flip))

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

    def _moved_people(
        self, photo: int, matrix: np.ndarray, *, flipped: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Keypoints (P, K, 3) and boxes (P, 4), float32, of those who are drawn, moved by ``matrix``."""
        people = self.index.people(photo)
        return move_people(
            self.index.keypoints[people],
            self.index.boxes[people],
            self.roles.drawn[people],
            matrix,
            self._flip if flipped else self._keep,
        )

    def _ignored(self, photo: int, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Cells (h, w) bool that the loss leaves out, for an input of (height, width)."""
        return ignored_cells(
            self.index,
            photo,
            roles=self.roles,
            mask=self.mask,
            matrix=matrix,
            cells=geometry.field_size(size, self.stride),
            stride=self.stride,
        )

    def _sample(self, photo: int, scene: Scene, *, matrix: np.ndarray, valid: tuple[int, int]) -> Sample:
        return Sample(
            image=torch.from_numpy(scene.image).permute(2, 0, 1),
            keypoints=torch.from_numpy(scene.keypoints),
            boxes=torch.from_numpy(scene.boxes),
            ignore=torch.from_numpy(scene.ignore),
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
    without one (-1) the photo is, its long side scaled to the crop. ``quotas`` says how many of which belong
    to an epoch; by default each once.
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
        quotas: Sequence[Quota] | None = None,
    ) -> None:
        super().__init__(index, skeleton, mask=mask, stride=stride, on_error=on_error)
        self.samples = samples
        self.quotas = [Quota(0, len(samples), len(samples))] if quotas is None else list(quotas)
        self.augment = augment
        self._photometric = Photometric(augment.photometric) if augment.photometric else None
        self._overlays = Overlays(index, skeleton, self.roles, augment=augment, complain=self._complain)

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
        photo, person = self.samples[item].tolist()
        settings = self.augment
        centre, scale = self._aim(photo, person)
        draw = draw_geometry(settings, rng)
        matrix = crop_matrix(draw, centre=centre, scale=scale, crop=settings.crop)
        path, square = self.index.file(photo), (settings.crop, settings.crop)
        image = pictures.read_moved(path, self.index.size(photo), matrix, square)
        keypoints, boxes = self._moved_people(photo, matrix, flipped=draw.flip)
        scene = Scene(image, keypoints, boxes, self._ignored(photo, matrix, square), self.stride)
        if self._overlays.active:
            self._overlays.lay(scene, rng, person=self._place(photo, person), degrees=draw.degrees)
        if settings.colour.p and rng.random() < settings.colour.p:
            scene.image = change_colour(scene.image, settings.colour, rng, out=scene.image)
        if self._photometric:
            scene.image = self._photometric(scene.image, rng)
        return self._sample(photo, scene, matrix=matrix, valid=square)

    def _place(self, photo: int, person: int) -> int:
        """Where a person stands among those of the photo who are drawn; -1 for nobody."""
        first = self.index.people(photo).start
        return int(self.roles.drawn[first:person].sum()) if person >= 0 and self.roles.drawn[person] else -1

    def _complain(self, error: PafposeError) -> None:
        """Of a second photo that a sample wanted: stop, or go without it."""
        if self.on_error == "raise":
            raise error
        self._count(str(error))

    def _aim(self, photo: int, person: int) -> tuple[tuple[float, float], float]:
        """The photo pixel to centre, and crop pixels per photo pixel before the random factor."""
        crop = self.augment.crop
        if person < 0:
            height, width = self.index.size(photo)
            return ((width - 1) / 2, (height - 1) / 2), crop / max(height, width)
        x, y, w, h = self.index.boxes[person].tolist()
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
        picture, _ = pictures.read_photo(self.index.file(photo), self.index.size(photo))
        image, matrix, valid = pictures.evaluation_input(
            picture, input_size=self.input_size, fit=self.fit, stride=self.stride
        )
        keypoints, boxes = self._moved_people(photo, matrix)
        ignore = self._ignored(photo, matrix, image.shape[:2])
        scene = Scene(image, keypoints, boxes, ignore, self.stride)
        return self._sample(photo, scene, matrix=matrix, valid=valid)
