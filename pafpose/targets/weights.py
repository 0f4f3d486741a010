"""Loss weights: 1 in cells where the loss counts, 0 where it does not.

A cell asks one pixel of the network input, see :func:`pafpose.geometry.cell_to_mask_px`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pafpose.errors import PafposeError
from pafpose.geometry import cell_to_mask_px, field_size


def cell_weights(
    ignore: Tensor | None, *, batch: int, size: tuple[int, int], stride: int, device: torch.device
) -> Tensor:
    """Return weights ``(B, 1, h, w)`` float32 that are 0 where ``ignore`` says so; None ignores nothing.

    ``ignore`` is ``(B, H, W)`` in pixels of an input of ``size`` (H, W), or ``(B, h, w)`` in cells. Raises
    ``PafposeError`` on any other shape.
    """
    cells = field_size(size, stride)
    if ignore is None:
        return torch.ones(batch, 1, *cells, device=device)
    if ignore.shape == (batch, *size):
        first = cell_to_mask_px(0, stride)
        ignore = ignore[:, first::stride, first::stride]
    elif ignore.shape != (batch, *cells):
        raise PafposeError(
            f"ignore: got shape {tuple(ignore.shape)}, expected {(batch, *size)} in input pixels or "
            f"{(batch, *cells)} in field cells"
        )
    return (~ignore.detach().to(device, torch.bool))[:, None].float()


def missing_cells(missing: Tensor, boxes: Tensor, *, cells: tuple[int, int], stride: int) -> Tensor:
    """Return ``(B, C, h, w)`` bool: cells in the box of anybody of whom channel C is missing.

    ``missing`` is ``(B, P, C)`` bool, ``boxes`` are ``(B, P, 4)``; a box without area holds no cell.
    """
    rows, columns = (cell_to_mask_px(torch.arange(n, device=boxes.device), stride) for n in cells)
    x, y, width, height = (value[..., None] for value in boxes.unbind(-1))
    across = (columns >= x) & (columns <= x + width) & (width > 0)
    down = (rows >= y) & (rows <= y + height) & (height > 0)
    inside = down[..., :, None] & across[..., None, :]  # (B, P, h, w)
    people = missing.float().transpose(1, 2) @ inside.float().flatten(2)  # how many, (B, C, h*w)
    return (people > 0).unflatten(2, cells)
