"""Fields of a split saved on disk, to be decoded again without network and photos (``evaluate.fields``).

A folder holds one npz file per photo, the ground truth, and the config that the fields were made under.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pafpose.data.annotations.faults import Faults
from pafpose.data.annotations.segmentation import encode_segmentation
from pafpose.data.annotations.tidy import tidy
from pafpose.data.batch import Batch
from pafpose.errors import PafposeError, shown
from pafpose.fields import Fields
from pafpose.runtime.files import write_json
from pafpose.runtime.invocation import spell

CONFIG, TRUTH = "config.json", "ground_truth.json"


class SavedPhoto(NamedTuple):
    """The fields of one photo and how the photo lies in the network's input."""

    heatmaps: Tensor  # (C, h, w) float32, cut to the cells that the photo covers
    pafs: Tensor  # (2L, h, w) float32
    matrix: np.ndarray  # (2, 3), photo to input pixels
    valid: np.ndarray  # (2,) height and width of the photo in input pixels


def save_photos(folder: Path, batch: Batch, fields: Fields, *, stride: int) -> None:
    """Write the fields of a batch in float32, so that they decode to exactly the same people."""
    assert fields.heatmaps is not None and fields.pafs is not None
    folder.mkdir(parents=True, exist_ok=True)
    for n, image_id in enumerate(batch.image_id.tolist()):
        valid = batch.valid[n].cpu().numpy()
        rows, cols = np.ceil(valid / stride).astype(int)
        np.savez(
            folder / f"{image_id}.npz",
            heatmaps=fields.heatmaps[n, :, :rows, :cols].float().cpu().numpy(),
            pafs=fields.pafs[n, :, :rows, :cols].float().cpu().numpy(),
            matrix=batch.matrix[n].cpu().numpy(),
            valid=valid,
        )


def finish_saving(folder: Path, config: Mapping[str, Any], ground_truth: Mapping[str, Any]) -> None:
    """Complete the folder: write the plain config and the COCO ground truth, which lists its photos."""
    write_json(folder / CONFIG, config)
    write_json(folder / TRUTH, ground_truth)


class SavedFields:
    """A folder written under ``evaluate.save_fields=true``.

    Raises ``PafposeError`` when it is not such a folder, or is incomplete.
    """

    def __init__(self, folder: str | Path) -> None:
        folder = Path(str(folder))
        self.folder = folder if (folder / TRUTH).is_file() else folder / "fields"
        try:
            self.config: dict[str, Any] = _mapping(self.folder / CONFIG)
            self.ground_truth: dict[str, Any] = _mapping(self.folder / TRUTH)
        except (OSError, ValueError, RecursionError) as error:
            raise PafposeError(
                f"evaluate.fields={folder}: not a folder of saved fields, or an incomplete one "
                f"({type(error).__name__}: {error}); make one with {spell('evaluate')} "
                "ckpt_path=RUN evaluate.save_fields=true"
            ) from error

    def checked_truth(self) -> dict[str, Any]:
        """Return the ground truth; raise ``PafposeError`` for any value that pycocotools cannot score."""
        return _checked(self.ground_truth, self.folder / TRUTH)

    def read(self, photo: int) -> SavedPhoto:
        """Read the fields of one photo, given its id."""
        path = self.folder / f"{photo}.npz"
        try:
            with np.load(path, allow_pickle=False) as file:
                heatmaps, pafs = torch.from_numpy(file["heatmaps"]), torch.from_numpy(file["pafs"])
                return SavedPhoto(heatmaps, pafs, file["matrix"], file["valid"])
        except Exception as error:  # numpy and zipfile raise errors of a dozen kinds on damaged files
            raise PafposeError(
                f"{path}: unreadable fields ({type(error).__name__}: {shown(str(error))}); save them again "
                "with evaluate.save_fields=true"
            ) from error


def _mapping(path: Path) -> dict[str, Any]:
    """Return the mapping in a json file; raise ``ValueError`` when it holds something else."""
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} holds a {type(content).__name__}")
    return content


def _checked(truth: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return a ground truth that pycocotools can score; raise ``PafposeError`` for any other value."""
    faults = Faults(path)
    content = tidy(truth, path, faults)
    sizes = {photo["id"]: (photo.get("height"), photo.get("width")) for photo in content["images"]}
    for person in content["annotations"]:
        size = sizes.get(person["image_id"], (None, None))
        complete = {"keypoints", "bbox", "num_keypoints"} <= set(person) and math.isfinite(person["area"])
        if not (complete and all(size) and person.get("category_id") == 1):
            raise PafposeError(f"{path}: annotation {person['id']} is incomplete; save the fields again")
        try:
            encode_segmentation(person.get("segmentation"), size)
        except ValueError as error:
            faults.report("bad_mask", person, str(error))
        person["iscrowd"] = int(person.get("iscrowd") or 0)
    return content
