"""The predictor: a photo in, people in photo pixels out.

Frames: *photo* (original pixels), *input* (letterboxed pixels that the network sees), field cells.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from pafpose.data.photos.images import evaluation_input, load_image
from pafpose.decode import Decoder
from pafpose.errors import PafposeError
from pafpose.fields import Fields, People, to_photo
from pafpose.inference.checkpoint import TrainedNetwork
from pafpose.inference.settings import EvaluateSettings
from pafpose.inference.views import predict_fields
from pafpose.skeleton import Skeleton


class Predictor:
    """A trained network with all that stands around it: a photo in, people in photo pixels out."""

    def __init__(
        self,
        network: torch.nn.Module,
        decoder: Decoder,
        *,
        skeleton: Skeleton,
        settings: EvaluateSettings,
        stride: int,
        device: str | torch.device | None = None,
        precision: str = "32-true",
    ) -> None:
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.network = network.to(self.device).eval()
        self.decoder, self.skeleton, self.settings, self.stride = decoder, skeleton, settings, stride
        self.precision = precision
        decoder.warm_up()

    @classmethod
    def from_trained(cls, trained: TrainedNetwork, *, device: str | torch.device | None = None) -> Predictor:
        """Build a predictor from a loaded checkpoint, with the settings that it was trained with."""
        return cls(
            trained.network,
            trained.build_decoder(),
            skeleton=trained.skeleton,
            settings=trained.evaluate_settings,
            stride=trained.stride,
            device=device,
            precision=trained.precision,
        )

    def __call__(self, photo: str | Path | np.ndarray) -> People:
        """People in a photo: a file, or RGB uint8 (H, W, 3); pixels of the photo, best first, on the CPU."""
        fields, matrix, valid = self.fields(photo)
        assert fields.heatmaps is not None and fields.pafs is not None
        people = self.decoder.decode_batch(fields.heatmaps, fields.pafs, torch.tensor([valid]))[0]
        return to_photo(People(people.keypoints.cpu(), people.scores.cpu()), matrix)

    def fields(self, photo: str | Path | np.ndarray) -> tuple[Fields, np.ndarray, tuple[int, int]]:
        """Averaged fields (1, ...), the matrix from photo to input, and the photo's (height, width) there."""
        views = self.settings.at_largest_scale()
        image, matrix, valid = evaluation_input(
            as_rgb(photo), input_size=views.input_size, fit=views.fit, stride=self.stride
        )
        tensor = torch.from_numpy(image).permute(2, 0, 1)[None].to(self.device)
        fields = predict_fields(
            self.network,
            tensor,
            skeleton=self.skeleton,
            stride=self.stride,
            flip=views.flip,
            scales=views.scales,
            precision=self.precision,
        )
        return fields, matrix, valid


def as_rgb(photo: str | Path | np.ndarray) -> np.ndarray:
    """A photo as RGB uint8 (H, W, 3); files are turned upright as their EXIF tag says."""
    if isinstance(photo, str | Path):
        return load_image(photo)
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8 or 0 in photo.shape:
        raise PafposeError(
            f"photo: expected RGB uint8 (height, width, 3), got {photo.dtype} {photo.shape}; convert it first"
        )
    return photo
