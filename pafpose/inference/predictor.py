"""The predictor: photos in, people in photo pixels out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from pafpose.data.photos.images import evaluation_input
from pafpose.errors import PafposeError
from pafpose.fields import Fields
from pafpose.inference.batches import in_batches, in_order
from pafpose.inference.checkpoint import TrainedNetwork
from pafpose.inference.people import People, find_people
from pafpose.inference.photo import Photo, as_rgb
from pafpose.skeleton import Skeleton


@dataclass(frozen=True)
class Frame:
    """A photo or a picture of a video, and where it comes from."""

    image: np.ndarray  # RGB uint8 (H, W, 3)
    source: str = ""  # the name of the photo or video
    number: int = 0  # in a video, from 0
    seconds: float | None = None  # since the start of a video


@dataclass(frozen=True)
class Found:
    """The people of a frame, and the fields they were read from, if those are wanted."""

    frame: Frame
    people: People
    fields: Fields | None  # (K + 1, h, w) and (2L, h, w) on the CPU
    covered: tuple[float, float]  # by the fields, as shares of the height and width of the frame; 1 or more


@dataclass(frozen=True)
class _Fitted:
    """A frame as the network sees it."""

    frame: Frame
    image: np.ndarray  # (H, W, 3)
    matrix: np.ndarray  # (2, 3), from pixels of the frame to those of the image
    valid: tuple[int, int]  # (height, width) of the frame's part of the image


class Predictor:
    """Find people in photos with a trained network, under the evaluation settings of its config."""

    def __init__(self, trained: TrainedNetwork) -> None:
        self.trained = trained
        trained.decoder.warm_up()

    @property
    def skeleton(self) -> Skeleton:
        """The skeleton of the people that are found."""
        return self.trained.skeleton

    @property
    def default_batch_size(self) -> int:
        """How many inputs of one size the network sees at once: 8 on a GPU, 4 on a CPU."""
        return 8 if self.trained.device.type == "cuda" else 4

    def __call__(self, photo: Photo, *, bgr: bool = False) -> People:
        """Find the people in a photo: a path, bytes, a PIL picture, or RGB uint8 (H, W, 3).

        ``bgr=True`` takes an array in OpenCV's order of colours. Keypoints are in pixels of the photo.
        """
        return next(self.stream([photo], bgr=bgr))

    def stream(
        self, photos: Iterable[Photo], *, bgr: bool = False, batch_size: int | None = None
    ) -> Iterator[People]:
        """Find the people of many photos of any form and size; yield the results in order.

        Photos are taken from ``photos`` up to three batches ahead. ``batch_size`` is how many inputs of one
        size the network sees at once, by default ``default_batch_size``; 1 answers each photo at once. The
        result does not depend on it: on a CPU it is the same to the last bit.
        """
        frames = (Frame(as_rgb(photo, bgr=bgr)) for photo in photos)
        return (found.people for found in self.find(frames, batch_size=batch_size))

    def find(
        self, frames: Iterable[Frame], *, batch_size: int | None = None, keep_fields: bool = False
    ) -> Iterator[Found]:
        """Find the people of frames as :meth:`stream` does; yield them with their frame, in order."""
        size = self.default_batch_size if batch_size is None else batch_size
        if size < 1:
            raise PafposeError(f"batch_size={size}: give 1 or more")
        fitted = (self._fit(frame) for frame in frames)
        batches = in_batches(fitted, size, key=lambda item: item.image.shape)
        return in_order(
            (numbers, self._find_batch(batch, keep_fields=keep_fields)) for numbers, batch in batches
        )

    def _fit(self, frame: Frame) -> _Fitted:
        settings = self.trained.settings
        image, matrix, valid = evaluation_input(
            frame.image, input_size=settings.input_size, fit=settings.fit, stride=self.trained.stride
        )
        return _Fitted(frame, image, matrix, valid)

    def _find_batch(self, batch: list[_Fitted], *, keep_fields: bool) -> list[Found]:
        images = torch.from_numpy(np.stack([item.image for item in batch])).permute(0, 3, 1, 2)
        fields = self.trained.predict_fields(images)
        poses = find_people(
            self.trained.decoder,
            fields,
            matrices=np.stack([item.matrix for item in batch]),
            valid=np.array([item.valid for item in batch]),
        )
        found = []
        for n, (item, pose) in enumerate(zip(batch, poses, strict=True)):
            rows, columns = (side / part for side, part in zip(item.image.shape, item.valid, strict=False))
            people = People(pose.keypoints, pose.scores, self.skeleton)
            kept = _of_photo(fields, n) if keep_fields else None
            found.append(Found(item.frame, people, kept, (rows, columns)))
        return found


def _of_photo(fields: Fields, n: int) -> Fields:
    """Return the fields of one photo of a batch, on the CPU."""
    assert fields.heatmaps is not None and fields.pafs is not None
    return Fields(fields.heatmaps[n].float().cpu(), fields.pafs[n].float().cpu())
