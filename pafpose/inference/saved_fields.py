"""Fields of a split on disk, to be decoded again without the network and the photos (``evaluate.fields``).

A folder holds one npz per photo, the ground truth, and the config under which the fields were made.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pafpose.data.batch import Batch
from pafpose.decode import Decoder
from pafpose.errors import PafposeError
from pafpose.fields import Fields, to_photo
from pafpose.metrics.coco_ap import Detection, coco_ap, people_to_coco
from pafpose.skeleton import Skeleton

ABOUT, TRUTH = "about.json", "ground_truth.json"


class SavedPhoto(NamedTuple):
    """What is kept of one photo."""

    heatmaps: Tensor  # (C, h, w) float32, the cells that hold photo
    pafs: Tensor  # (2L, h, w) float32
    matrix: np.ndarray  # (2, 3) photo -> input
    valid: np.ndarray  # (2,) height and width in input px of the photo's part


def save_photos(folder: Path, batch: Batch, fields: Fields, *, stride: int) -> None:
    """Write the fields of a batch in full precision, so that they decode to the same people bit by bit."""
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


def finish_saving(
    folder: Path, photos: Sequence[int], config: Mapping[str, Any], ground_truth: Mapping[str, Any]
) -> None:
    """Write what makes the folder whole: ids of the photos in order, plain config and COCO ground truth."""
    (folder / TRUTH).write_text(json.dumps(ground_truth))
    (folder / ABOUT).write_text(json.dumps({"photos": list(photos), "config": config}))


class SavedFields:
    """A folder that ``evaluate.save_fields=true`` left; ``PafposeError`` when it is none, or not whole."""

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        self.folder = folder if (folder / ABOUT).is_file() else folder / "fields"
        try:
            about = json.loads((self.folder / ABOUT).read_text())
            self.photos: list[int] = about["photos"]
            self.config: dict[str, Any] = about["config"]
            self.ground_truth: dict[str, Any] = json.loads((self.folder / TRUTH).read_text())
        except (OSError, ValueError, KeyError) as error:
            raise PafposeError(
                f"evaluate.fields={folder}: no folder of saved fields, or their evaluation was stopped "
                f"before its end ({type(error).__name__}: {error}); make one with python scripts/evaluate.py "
                "ckpt_path=RUN evaluate.save_fields=true"
            ) from error

    def read(self, photo: int) -> SavedPhoto:
        """The fields of one photo, by its id."""
        path = self.folder / f"{photo}.npz"
        try:
            with np.load(path) as file:
                heatmaps, pafs = torch.from_numpy(file["heatmaps"]), torch.from_numpy(file["pafs"])
                return SavedPhoto(heatmaps, pafs, file["matrix"], file["valid"])
        except (OSError, ValueError, KeyError) as error:
            raise PafposeError(
                f"{path}: unreadable fields ({type(error).__name__}: {error}); save them again with "
                "evaluate.save_fields=true"
            ) from error

    def detect(
        self, decoder: Decoder, skeleton: Skeleton, *, device: torch.device | str = "cpu"
    ) -> Iterator[list[Detection]]:
        """COCO results of every photo, in the order in which they were evaluated; over threads."""

        def decode(photo: int) -> list[Detection]:
            saved = self.read(photo)
            heatmaps, pafs = saved.heatmaps[None].to(device), saved.pafs[None].to(device)
            people = decoder.decode_batch(heatmaps, pafs, saved.valid[None])[0]
            return people_to_coco(to_photo(people, saved.matrix), photo, skeleton)

        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            yield from pool.map(decode, self.photos)


def evaluate_saved(
    saved: SavedFields,
    decoder: Decoder,
    *,
    skeleton: Skeleton,
    device: torch.device | str = "cpu",
) -> tuple[dict[str, float], list[Detection]]:
    """What ``evaluate_network`` returns, from fields on disk; ``seconds_decode`` includes reading them."""
    decoder.warm_up()
    started = time.perf_counter()
    found = list(saved.detect(decoder, skeleton, device=device))
    detections = [detection for photo in found for detection in photo]
    decoded = time.perf_counter()
    metrics = coco_ap(detections, saved.ground_truth, skeleton)
    metrics |= {"photos": float(len(found)), "people": float(len(detections))}
    metrics |= {"seconds_decode": decoded - started, "seconds_metrics": time.perf_counter() - decoded}
    return metrics, detections
