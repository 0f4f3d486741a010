"""From fields to people in photo pixels: the same functions for validation, evaluation and prediction."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pafpose.decode import Decoder
from pafpose.fields import Fields, People, to_photo
from pafpose.metrics import KeypointAP, people_to_coco


def find_people(
    decoder: Decoder, fields: Fields, *, matrices: Tensor | np.ndarray, valid: Tensor | np.ndarray
) -> list[People]:
    """Decode the fields of a batch and return the people of every photo in photo pixels, best first.

    ``matrices`` (B, 2, 3) map photo pixels to input pixels; ``valid`` (B, 2) is the height and width of the
    photo's part of the input, in input pixels: nothing is decoded in the padding. The people are on the CPU:
    the way to the photo is computed in float64, which MPS lacks.
    """
    assert fields.heatmaps is not None and fields.pafs is not None  # as in the last stage of every network
    people = decoder.decode_batch(fields.heatmaps.float(), fields.pafs.float(), valid)
    matrices = torch.as_tensor(matrices).cpu()
    return [
        to_photo(People(found.keypoints.cpu(), found.scores.cpu()), matrix)
        for found, matrix in zip(people, matrices, strict=True)
    ]


def record_people(
    metric: KeypointAP,
    decoder: Decoder,
    fields: Fields,
    *,
    image_ids: Tensor,
    matrices: Tensor | np.ndarray,
    valid: Tensor | np.ndarray,
) -> None:
    """Find the people of every photo of a batch (``find_people``) and add them to ``metric``."""
    people = find_people(decoder, fields, matrices=matrices, valid=valid)
    for found, image_id in zip(people, image_ids.tolist(), strict=True):
        metric.update(people_to_coco(found, image_id, decoder.skeleton), image_id)
