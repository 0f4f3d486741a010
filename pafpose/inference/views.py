"""Average fields over views of a picture: its mirror image and other sizes, exact to the half pixel."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as nnf
from torch import Tensor

from pafpose.data.photos.images import FILL
from pafpose.fields import Fields
from pafpose.geometry import field_size, pad_to_multiple
from pafpose.runtime.precision import network_precision
from pafpose.skeleton import Skeleton

Network = Callable[[Tensor], Sequence[Fields]]


@torch.no_grad()
def predict_fields(
    network: Network,
    images: Tensor,
    *,
    skeleton: Skeleton,
    stride: int,
    flip: bool = False,
    scales: Sequence[float] = (1.0,),
    precision: str = "32-true",
) -> Fields:
    """Predict the last stage's fields, averaged over scaled and mirrored views.

    ``images`` (B, 3, H, W) are RGB, uint8 or float 0..255; H and W are multiples of ``stride``. The fields
    are float32 and have (H / stride, W / stride) cells, whatever the scales. The network runs in
    ``precision`` (32-true, bf16-mixed, 16-mixed or auto, as in training), everything else in float32.
    """
    heatmaps, pafs = [], []
    size = field_size((images.shape[-2], images.shape[-1]), stride)
    for scale in scales:
        view, factors = _rescale(images, scale, stride)
        for mirrored in (False, True) if flip else (False,):
            with network_precision(precision, images.device):
                last = network(view.flip(-1) if mirrored else view)[-1]
            fields = mirror_fields(last, skeleton) if mirrored else last
            fields = _to_frame(fields, factors, size)
            assert fields.heatmaps is not None and fields.pafs is not None
            heatmaps.append(fields.heatmaps)
            pafs.append(fields.pafs)
    return Fields(_mean(heatmaps), _mean(pafs))


def mirror_fields(fields: Fields, skeleton: Skeleton) -> Fields:
    """Turn the fields of a mirrored picture into those of the picture: cells, channels and signs."""
    heatmaps, pafs = fields.heatmaps, fields.pafs
    assert heatmaps is not None and pafs is not None
    background = range(skeleton.num_keypoints, heatmaps.shape[1])
    channels, signs = skeleton.flip_pafs
    return Fields(
        heatmaps.flip(-1)[:, [*skeleton.flip_keypoints, *background]],
        pafs.flip(-1)[:, list(channels)] * pafs.new_tensor(signs)[:, None, None],
    )


def _mean(maps: Sequence[Tensor]) -> Tensor:
    return maps[0] if len(maps) == 1 else torch.stack(list(maps)).mean(0)


def _rescale(images: Tensor, scale: float, stride: int) -> tuple[Tensor, tuple[float, float]]:
    """Resize pictures and pad them to whole cells; return the exact factors (vertical, horizontal) too."""
    height, width = images.shape[-2:]
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    if (rows, columns) == (height, width):
        return images, (1.0, 1.0)
    view = nnf.interpolate(
        images.float(), (rows, columns), mode="bilinear", align_corners=False, antialias=True
    )
    below, right = pad_to_multiple(rows, stride) - rows, pad_to_multiple(columns, stride) - columns
    return nnf.pad(view, (0, right, 0, below), value=FILL), (rows / height, columns / width)


def _to_frame(fields: Fields, factors: tuple[float, float], size: tuple[int, int]) -> Fields:
    """Resample the fields of a resized view to the ``size`` cells of the frame, bicubically, in float32.

    By the half-pixel rule, which holds for cells as for pixels, the centre of cell ``j`` of the frame lies
    at cell ``(j + 0.5) * factor - 0.5`` of the view, whatever padding the view has.
    """
    assert fields.heatmaps is not None and fields.pafs is not None
    heatmaps, pafs = fields.heatmaps.float(), fields.pafs.float()
    if factors == (1.0, 1.0):
        return Fields(heatmaps, pafs)
    axes = [
        (torch.arange(n, device=pafs.device, dtype=torch.float32) + 0.5) * (2 * factor / cells) - 1
        for n, factor, cells in zip(size, factors, pafs.shape[-2:], strict=True)
    ]
    y, x = torch.meshgrid(*axes, indexing="ij")
    grid = torch.stack([x, y], -1).expand(len(pafs), -1, -1, -1)
    read = {"mode": "bicubic", "padding_mode": "border", "align_corners": False}
    return Fields(nnf.grid_sample(heatmaps, grid, **read), nnf.grid_sample(pafs, grid, **read))  # type: ignore[arg-type]
