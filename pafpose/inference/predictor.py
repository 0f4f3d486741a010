"""The predictor: a photo in, people in photo pixels out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from pafpose.data.photos.images import evaluation_input, load_image
from pafpose.errors import PafposeError
from pafpose.fields import People
from pafpose.inference.checkpoint import TrainedNetwork
from pafpose.inference.people import find_people
from pafpose.skeleton import Skeleton


class Predictor:
    """Find people in photos with a trained network, under the evaluation settings of its config."""

    def __init__(self, trained: TrainedNetwork) -> None:
        self.trained = trained
        trained.decoder.warm_up()

    @property
    def skeleton(self) -> Skeleton:
        """The skeleton of the people that are found."""
        return self.trained.skeleton

    def __call__(self, photo: str | Path | np.ndarray) -> People:
        """Find the people in a photo: a file, or RGB uint8 (H, W, 3).

        Keypoints are in pixels of the photo, on the CPU, the person with the best score first.
        """
        settings = self.trained.settings
        image, matrix, valid = evaluation_input(
            as_rgb(photo), input_size=settings.input_size, fit=settings.fit, stride=self.trained.stride
        )
        fields = self.trained.predict_fields(torch.from_numpy(image).permute(2, 0, 1)[None])
        return find_people(self.trained.decoder, fields, matrices=matrix[None], valid=np.array([valid]))[0]


def as_rgb(photo: str | Path | np.ndarray) -> np.ndarray:
    """Return a photo as RGB uint8 (H, W, 3); files are turned upright as their EXIF tag says."""
    if isinstance(photo, str | Path):
        return load_image(photo)
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8 or 0 in photo.shape:
        raise PafposeError(
            f"photo: expected RGB uint8 (height, width, 3), got {photo.dtype} {photo.shape}; convert it first"
        )
    return photo
