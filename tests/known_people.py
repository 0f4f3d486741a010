"""A tiny data set, and a network whose fields are known, whatever view of a photo it is shown.

The pixels say where the network looks: red is half the x and green half the y of the original photo, rounded
down, and blue names the photo. So the network finds its bearings by itself, and an error anywhere on the way
from the file to its input, or from its fields back to the photo, shows in the AP.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pafpose.config import load_config, plain
from pafpose.factory import build_targets
from pafpose.fields import Fields
from pafpose.inference.checkpoint import TrainedNetwork
from tests.data.coco_files import COCO_NAMES, person, write_split

# a standing person of 60 x 160 px: COCO's 17 keypoints
STANDING = np.array(
    [(30, 10), (36, 5), (24, 5), (44, 8), (16, 8), (52, 34), (8, 34), (56, 62), (4, 62), (58, 88), (2, 88),
     (44, 88), (16, 88), (44, 122), (16, 122), (44, 156), (16, 156)], float
)  # fmt: skip
SIZES = {101: (400, 200), 102: (200, 400), 103: (300, 400)}  # photo id: width, height
PEOPLE = {  # photo id: keypoints (17, 2) of everybody, in photo pixels
    101: [STANDING * 1.1 + (40, 10), STANDING * 1.15 + (270, 8)],
    102: [STANDING * 2.0 + (50, 40)],
    103: [],
}
BLUE = {101: 40, 102: 80, 103: 200}  # far from the grey of padding, 128
CONFIG = (
    "data=coco", "data.allow_overlap=true", "data.num_workers=0", "data.val_batch_size=3",
    "evaluate=default", "evaluate.input_size=256", "augment=default", "augment.crop=64",
    "heatmap=default", "paf=default", "mask=default", "decode=default",
    "backbone=tiny", "head=single", "head.stride=8", "precision=32-true",
)  # fmt: skip


def write_photos(root: Path) -> Path:
    """Write the photos as the validation and the training split of a data set in COCO's layout."""
    photos = []
    for image_id, (width, height) in SIZES.items():
        image = np.zeros((height, width, 3), np.uint8)  # BGR, as OpenCV writes it
        image[..., 0] = BLUE[image_id]
        image[..., 1] = np.arange(height)[:, None] / 2
        image[..., 2] = np.arange(width) / 2
        photos.append((image, [_annotation(xy) for xy in PEOPLE[image_id]]))
    for split in ("val", "train"):
        write_split(root, photos, split=split, first_id=101, suffix="png")
    return root


def known_config(root: Path, *overrides: str) -> dict:
    """Return the plain config under which ``write_photos(root)`` is evaluated."""
    return plain(load_config([*CONFIG, f"data.root={root}", *overrides]))


def known_network(config: dict, **how: object) -> TrainedNetwork:
    """Return the network that knows the photos, as if it had been loaded with this config."""
    return TrainedNetwork(KnownNetwork(config, **how), config)  # type: ignore[arg-type]


class KnownNetwork(nn.Module):
    """Predicts the targets of the photos' people in every view, and remembers what it was shown.

    Its first stage predicts zeros; the second is right.
    ``ghosts`` draws one more person into the padding of each picture; ``change`` edits a photo's heatmaps.
    """

    def __init__(
        self, config: dict, *, ghosts: bool = False, change: Callable[[Tensor, int], Tensor] | None = None
    ) -> None:
        super().__init__()
        self.stride = int(config["head"]["stride"])
        self.bias = nn.Parameter(torch.zeros(()))
        self.targets = build_targets(config)
        self.ghosts, self.change = ghosts, change
        self.inputs: list[tuple[tuple[int, ...], torch.dtype | None]] = []  # shape, dtype of autocast

    def forward(self, images: Tensor) -> list[Fields]:
        autocast = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None
        self.inputs.append((tuple(images.shape), autocast))
        fields = [self._fields(image.float().numpy()) for image in images]
        right = Fields(*(torch.cat(maps) + self.bias for maps in zip(*fields, strict=True)))
        return [Fields(*(torch.zeros_like(field) for field in right)), right]

    def _fields(self, image: np.ndarray) -> tuple[Tensor, Tensor]:
        image_id = min(BLUE, key=lambda n: -int((np.abs(image[2] - BLUE[n]) < 1).sum()))
        inside = np.abs(image[2] - BLUE[image_id]) < 1
        rows, columns = np.flatnonzero(inside.any(1))[4:-4], np.flatnonzero(inside.any(0))[4:-4]
        fx, x0 = np.polyfit(2 * image[0, rows[0], columns] + 0.5, columns, 1)
        fy, y0 = np.polyfit(2 * image[1, rows, columns[0]] + 0.5, rows, 1)
        people = [xy * (fx, fy) + (x0, y0) for xy in PEOPLE[image_id]]
        if fx < 0:  # a mirrored view: left and right are exchanged
            people = [xy[list(self.targets.skeleton.flip_keypoints)[:17]] for xy in people]
        if self.ghosts:
            people += _ghost(inside)
        heatmaps, pafs = self.draw(people, (image.shape[1], image.shape[2]))
        return (heatmaps if self.change is None else self.change(heatmaps, image_id)), pafs

    def draw(self, people: list[np.ndarray], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return the targets of people (17, 2) in a picture of ``size`` (height, width)."""
        skeleton = self.targets.skeleton
        keypoints = np.zeros((len(people), skeleton.num_keypoints, 3))
        for n, xy in enumerate(people):
            keypoints[n, :17] = np.c_[xy, np.full(17, 2)]
        targets = self.targets(torch.from_numpy(skeleton.derive(keypoints)).float()[None], size)
        return targets.heatmaps, targets.pafs


def _annotation(xy: np.ndarray) -> dict:
    (left, top), (right, bottom) = xy.min(0), xy.max(0)
    width, height = right - left, bottom - top
    points = {name: tuple(point) for name, point in zip(COCO_NAMES, xy.tolist(), strict=True)}
    return person(points, box=(left, top, width, height), area=0.7 * width * height)


def _ghost(inside: np.ndarray) -> list[np.ndarray]:
    """Return a person in the middle of the padding below the photo or beside it, where there is room."""
    (height, width), (rows, columns) = inside.shape, (inside.any(1).sum(), inside.any(0).sum())
    scale, corner = 0.0, (0.0, 0.0)
    if height - rows > 60:
        scale, corner = 0.7 * (height - rows) / 160, (width / 2, rows + 0.15 * (height - rows))
    elif width - columns > 60:
        scale, corner = 1.0, (columns + (width - columns - 60) / 2, height / 2 - 80)
    return [STANDING * scale + corner] if scale else []
