"""From fields to people in photo pixels: the same functions for validation, evaluation and prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pafpose.decode import Decoder
from pafpose.errors import PafposeError
from pafpose.fields import Fields, Poses, to_photo
from pafpose.inference.photo import Photo, as_rgb
from pafpose.metrics import KeypointAP, people_to_coco
from pafpose.skeleton import Skeleton
from pafpose.viz import draw_people


def find_people(
    decoder: Decoder, fields: Fields, *, matrices: Tensor | np.ndarray, valid: Tensor | np.ndarray
) -> list[Poses]:
    """Decode the fields of a batch and return the people of every photo in photo pixels, best first.

    ``matrices`` (B, 2, 3) map photo pixels to input pixels; ``valid`` (B, 2) is the height and width of the
    photo's part of the input, in input pixels: nothing is decoded in the padding. The people are on the CPU:
    the way to the photo is computed in float64, which MPS lacks.
    """
    assert fields.heatmaps is not None and fields.pafs is not None  # as in the last stage of every network
    people = decoder.decode_batch(fields.heatmaps.float(), fields.pafs.float(), valid)
    matrices = torch.as_tensor(matrices).cpu()
    return [
        to_photo(Poses(found.keypoints.cpu(), found.scores.cpu()), matrix)
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


@dataclass(frozen=True, repr=False, eq=False)
class People:
    """The people found in one photo, best score first; tensors on the CPU. ``len`` is their number N.

    A score is the sum of a person's keypoint confidences and limb scores, as a share of the sum of a
    complete person, who has 1 for each. So 1 is a person seen whole and clearly, and 0.5 half a person seen
    clearly, or a whole one dimly.
    """

    keypoints: Tensor  # (N, K, 3): x, y in pixels of the photo, confidence 0..1; 0, 0, 0 when not found
    scores: Tensor  # (N,) from 0 to 1
    skeleton: Skeleton
    ids: Tensor | None = None  # (N,) in videos: the same for the same person, from 1; 0 for nobody known

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the K keypoints."""
        return self.skeleton.keypoints

    def __len__(self) -> int:
        return len(self.scores)

    def __repr__(self) -> str:
        scores = " ".join(f"{score:.2f}" for score in self.scores[:8].tolist())
        more = " ..." if len(self) > 8 else ""
        return f"People({len(self)}{': scores ' if scores else ''}{scores}{more})"

    def at_least(self, score: float) -> People:
        """Return the people whose score is at least ``score``, from 0 to 1."""
        if not 0 <= score <= 1:
            raise PafposeError(f"a lowest score of {score}: give one from 0 (everybody) to 1")
        kept = self.scores >= score
        ids = None if self.ids is None else self.ids[kept]
        return People(self.keypoints[kept], self.scores[kept], self.skeleton, ids)

    def to_coco(self, image_id: int = 0) -> list[dict[str, Any]]:
        """Return the people as COCO results, with the box of the keypoints that were found and its area.

        As in COCO, only scored keypoints are listed; one that was not found is 0, 0, 0. In videos,
        ``track_id`` is the person's id, and None without one.
        """
        results = people_to_coco(Poses(self.keypoints, self.scores), image_id, self.skeleton)
        results = [person | _extent(np.array(person["keypoints"]).reshape(-1, 3)) for person in results]
        if self.ids is None:
            return results
        return [
            person | {"track_id": n or None} for person, n in zip(results, self.ids.tolist(), strict=True)
        ]

    def draw(self, photo: Photo, *, bgr: bool = False) -> np.ndarray:
        """Draw everybody on a copy of the photo, with scores; return RGB uint8, or BGR with ``bgr``."""
        image = as_rgb(photo, bgr=bgr)
        drawn = draw_people(image, self.keypoints, self.skeleton, scores=self.scores, ids=self.ids)
        return np.ascontiguousarray(drawn[..., ::-1]) if bgr else drawn


def _extent(keypoints: np.ndarray) -> dict[str, Any]:
    """Return bbox (x, y, width, height), area and number of the keypoints that were found."""
    found = keypoints[keypoints[:, 2] > 0, :2]
    corner, size = (found.min(0), np.ptp(found, axis=0)) if len(found) else (np.zeros(2), np.zeros(2))
    box = np.round([*corner, *size], 3).tolist()
    return {"bbox": box, "area": box[2] * box[3], "num_keypoints": len(found), "iscrowd": 0}
