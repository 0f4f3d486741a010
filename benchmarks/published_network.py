"""Save the fields of a published network, to judge decoding by: ``evaluate.fields`` decodes them.

``python -m benchmarks.published_network NETWORK OUT data=coco_mini data.root=DIR evaluate.input_size=432``

NETWORK is a folder with ``realnet.py``. Its ``Network()`` maps a BGR picture ``(1, 3, H, W)``, 0 to 255, to
19 heatmaps and 38 fields of stride 8 in OpenPose's order; ``ORDER`` is the place of coco18's keypoints there.
``evaluate.flip`` and ``evaluate.scales`` average views as for any network. OUT becomes a folder of saved
fields; a second run into it, for another split, adds its photos.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from pafpose import factory
from pafpose.config import load_config, plain
from pafpose.config import settings as read_settings
from pafpose.data.batch import Batch
from pafpose.data.photos.images import load_image
from pafpose.fields import Fields
from pafpose.geometry import resize
from pafpose.inference.saved_fields import TRUTH, SavedFields, finish_saving, save_photos
from pafpose.inference.settings import EvaluateSettings
from pafpose.inference.views import predict_fields
from pafpose.runtime.log import quiet_known_warnings

log = logging.getLogger(__name__)

STRIDE = 8
FIELDS = (
    "heatmap=default",
    "paf=default",
    "head.stride=8",
    "head.shuffle=1",
)  # what the network was trained on


class PublishedNetwork:
    """The network of a folder, called like one of pafpose: RGB in, the fields of one stage out."""

    def __init__(self, folder: Path) -> None:
        spec = importlib.util.spec_from_file_location("realnet", folder / "realnet.py")
        assert spec is not None and spec.loader is not None
        module: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.network, self.order = module.Network(), [*module.ORDER, 18]

    def __call__(self, images: Tensor) -> list[Fields]:
        """Return the fields of one picture ``(1, 3, H, W)``; its BatchNorm wants pictures one by one."""
        maps = self.network(images.flip(1).float())
        return [Fields(maps[None, self.order], maps[None, 19:])]


def fit(photo: np.ndarray, long: int) -> tuple[Tensor, np.ndarray]:
    """Resize a photo to a long side of about ``long`` px, in whole cells: input and matrix from the photo."""
    height, width = photo.shape[:2]
    factor = long / max(height, width)
    rows, cols = (max(2, round(side * factor / STRIDE)) * STRIDE for side in (height, width))
    picture = cv2.resize(photo, (cols, rows), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(picture).permute(2, 0, 1)[None], resize(cols / width, rows / height)


def save_fields(folder: Path, out: Path, overrides: Sequence[str]) -> tuple[int, float]:
    """Save the fields of the validation photos; return their number and the seconds of one core."""
    cfg = load_config([*overrides, *FIELDS], name="evaluate")
    settings = read_settings(EvaluateSettings, plain(cfg.evaluate), "evaluate")
    data, network = factory.build_datamodule(cfg), PublishedNetwork(folder)
    data.setup("validate")
    truth, skeleton, seconds = data.val_ground_truth(), factory.build_skeleton(cfg), 0.0
    index = data.read_split("val")
    for number, image in enumerate(truth["images"]):
        inputs, matrix = fit(load_image(index.path(number)), settings.input_size)
        started = time.process_time()
        fields = predict_fields(
            network, inputs, skeleton=skeleton, stride=STRIDE, flip=settings.flip, scales=settings.scales
        )
        seconds += time.process_time() - started
        save_photos(out, _batch(inputs, image["id"], matrix), fields, stride=STRIDE)
    count = len(truth["images"])
    if (out / TRUTH).is_file():
        before = SavedFields(out).ground_truth
        truth |= {key: before[key] + truth[key] for key in ("images", "annotations")}
    finish_saving(out, plain(cfg), truth)
    return count, seconds


def _batch(inputs: Tensor, image_id: int, matrix: np.ndarray) -> Batch:
    """Wrap one picture, without people, as a batch."""
    size, nothing = torch.tensor([inputs.shape[-2:]]), torch.empty(1, 0)
    return Batch(
        image=inputs, keypoints=nothing, boxes=nothing, ignore=nothing, image_id=torch.tensor([image_id]),
        matrix=torch.from_numpy(matrix[None]), valid=size, original=size,
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Save the fields and print what they cost."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("network", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("overrides", nargs="*", help="data=coco_mini data.root=DIR evaluate.input_size=432")
    given = parser.parse_intermixed_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    quiet_known_warnings()
    photos, seconds = save_fields(given.network, given.out, given.overrides)
    log.info("%d photos, %.2f s of a core each -> %s", photos, seconds / photos, given.out)


if __name__ == "__main__":
    main()
