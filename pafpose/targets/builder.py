"""Keypoints to targets: heatmaps, PAFs and weights of a whole batch, on the batch's device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from pafpose.errors import PafposeError
from pafpose.fields import Targets
from pafpose.geometry import field_size
from pafpose.skeleton import Skeleton
from pafpose.targets import cpu, device
from pafpose.targets.buffers import Buffer, Pool
from pafpose.targets.settings import HeatmapSettings, MaskSettings, PafSettings

KERNELS = ("auto", "numba", "torch")
FIXED_POINT = 2.0**40


class TargetBuilder(nn.Module):
    """Render targets from keypoints; no learned weights.

    ``kernel``: ``auto`` takes numba for CPU tensors and torch elsewhere and under ``torch.compile``;
    ``numba`` and ``torch`` insist. Both mean the same.

    >>> import pafpose.config as config, pafpose.api as api
    >>> targets = api.build_targets(config.load_config())
    >>> targets(torch.zeros(1, 0, 18, 3), size=(64, 128)).pafs.shape
    torch.Size([1, 38, 8, 16])
    """

    limbs: Tensor
    ratios: Tensor

    def __init__(
        self,
        skeleton: Skeleton,
        *,
        heatmap: HeatmapSettings,
        paf: PafSettings,
        mask: MaskSettings,
        stride: int,
        kernel: str = "auto",
    ) -> None:
        super().__init__()
        if kernel not in KERNELS:
            raise PafposeError(f"kernel={kernel}: choose one of {', '.join(KERNELS)}")
        if stride != int(stride) or stride < 1:
            raise PafposeError(f"head.stride={stride}: must be a whole number of pixels, 1 or more")
        self.skeleton, self.heatmap, self.paf, self.mask = skeleton, heatmap, paf, mask
        self.stride, self.kernel = int(stride), kernel
        ratios = np.ones(skeleton.num_keypoints)
        if heatmap.by_keypoint:
            ratios = np.asarray(skeleton.sigmas) / np.mean(skeleton.sigmas)
        self._ratios = ratios
        self._limbs = np.asarray(skeleton.limbs, np.int64)
        self._pool = Pool()
        self._unit = np.ones((1, 1))  # scales of people when all are 1
        self._wants_boxes = heatmap.by_person or paf.by_person or mask.unlabelled_keypoints
        self._max_scale = float(ratios.max()) * (heatmap.scale_max if heatmap.by_person else 1.0)
        # whole numbers: .half() and .double() of a surrounding module leave them alone
        fixed = torch.from_numpy(np.rint(ratios * FIXED_POINT).astype(np.int64))
        self.register_buffer("ratios", fixed, persistent=False)
        self.register_buffer("limbs", torch.from_numpy(self._limbs.copy()), persistent=False)

    @property
    def num_heatmaps(self) -> int:
        """Heatmap channels: K and the background, unless there is none."""
        return self.skeleton.num_keypoints + (self.heatmap.background != "none")

    @property
    def num_pafs(self) -> int:
        """PAF channels: x and y of every limb."""
        return 2 * self.skeleton.num_limbs

    def forward(
        self,
        keypoints: Tensor,
        size: tuple[int, int],
        boxes: Tensor | None = None,
        ignore: Tensor | None = None,
    ) -> Targets:
        """Targets of ``keypoints (B, P, K, 3)``, in pixels of an input of ``size`` (H, W).

        Derived keypoints are filled already; padding people have v = 0 throughout, whatever their
        coordinates. A labelled keypoint whose coordinates are not finite counts as unlabelled.
        ``boxes (B, P, 4)``: x, y, w, h in px; a row of zeros or NaN gives way to the box of the labelled
        keypoints. ``ignore`` bool: ``(B, H, W)`` in pixels or ``(B, h, w)`` in cells, where the loss does
        not count. Any float dtype and device; the result is float32 on the device of the keypoints, and the
        caller's alone: on the CPU its memory serves again only after all of its tensors are gone.
        Raises ``PafposeError`` on shapes that do not fit and a size that is not a multiple of the stride.
        """
        cells = field_size(size, self.stride)
        self._check(keypoints, boxes)
        numba, ones = self._use_numba(keypoints), None
        keypoints = keypoints.detach()
        if not numba or self._wants_boxes or keypoints.dtype != torch.float32:
            keypoints = keypoints.to(device.real_dtype(keypoints.device))
        boxes = self._boxes(keypoints, boxes)  # the numba kernel reads single precision and counts in double
        if numba:
            heatmaps, pafs, ones = self._numba(keypoints, boxes, cells)
        else:
            heatmaps, pafs = self._torch(keypoints, boxes, cells)
        heatmap_weights, paf_weights = self._weights(
            keypoints, boxes, ignore, size=size, cells=cells, ones=ones
        )
        return Targets(heatmaps, pafs, heatmap_weights, paf_weights)

    def extra_repr(self) -> str:
        """Settings, for print."""
        return f"{self.heatmap}, {self.paf}, stride={self.stride}"

    def _check(self, keypoints: Tensor, boxes: Tensor | None) -> None:
        count = self.skeleton.num_keypoints
        if keypoints.ndim != 4 or keypoints.shape[2:] != (count, 3):
            raise PafposeError(
                f"keypoints: got shape {tuple(keypoints.shape)}, expected (B, P, {count}, 3) for skeleton "
                f"{self.skeleton.name}: x, y, v of each keypoint, people padded with v = 0"
            )
        if boxes is not None and boxes.shape != (*keypoints.shape[:2], 4):
            raise PafposeError(
                f"boxes: got shape {tuple(boxes.shape)}, expected {(*keypoints.shape[:2], 4)}: x, y, w, h in "
                "input pixels for each person in keypoints"
            )

    def _use_numba(self, keypoints: Tensor) -> bool:
        on_cpu = keypoints.device.type == "cpu"
        if self.kernel == "numba" and not on_cpu:
            raise PafposeError(f"kernel=numba: keypoints are on {keypoints.device}; use kernel=auto")
        if self.kernel == "auto":
            return on_cpu and not torch.compiler.is_compiling()
        return self.kernel == "numba"

    @property
    def _threshold(self) -> float:
        """A keypoint is a target when its v is above this."""
        return 0.0 if self.mask.occluded_keypoints else 1.0

    def _labelled(self, keypoints: Tensor) -> Tensor:
        return (keypoints[..., 2] > self._threshold) & keypoints[..., :2].isfinite().all(-1)

    def _boxes(self, keypoints: Tensor, boxes: Tensor | None) -> Tensor | None:
        """Boxes ``(B, P, 4)`` that every person with a labelled keypoint has; None when nobody asks."""
        if not self._wants_boxes:
            return None
        labelled = self._labelled(keypoints)[..., None]
        low = torch.where(labelled, keypoints[..., :2], torch.inf).amin(2)
        high = torch.where(labelled, keypoints[..., :2], -torch.inf).amax(2)
        around = torch.where(labelled.any(2), torch.cat([low, high - low], -1), 0)
        if boxes is None:
            return around
        boxes = boxes.detach().to(keypoints)
        given = boxes.isfinite().all(-1) & (boxes[..., 2] > 0) & (boxes[..., 3] > 0)
        return torch.where(given[..., None], boxes, around)

    def _scales(
        self, keypoints: Tensor, boxes: Tensor | None, settings: HeatmapSettings | PafSettings
    ) -> Tensor:
        """The factor ``(B, P)`` that a person's size makes of sigma or width."""
        if boxes is None or not settings.by_person:
            return keypoints.new_ones(keypoints.shape[:2])
        side = (boxes[..., 2] * boxes[..., 3]).sqrt()
        return (side / settings.scale_ref).clamp(settings.scale_min, settings.scale_max)

    def _scales_array(
        self, keypoints: Tensor, boxes: Tensor | None, settings: HeatmapSettings | PafSettings
    ) -> np.ndarray:
        """The same for the numba kernel, without torch where all are 1."""
        if boxes is None or not settings.by_person:
            unit = self._unit  # read once: other threads draw other batches
            if unit.shape != keypoints.shape[:2]:
                unit = self._unit = np.ones(keypoints.shape[:2])
            return unit
        return self._scales(keypoints, boxes, settings).contiguous().numpy()

    def _numba(
        self, keypoints: Tensor, boxes: Tensor | None, cells: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Heatmaps, PAFs and weights of ones, in memory that is drawn again when nobody holds it any more."""
        batch = len(keypoints)
        buffer = self._pool.take((batch, self.num_heatmaps, *cells), (batch, self.num_pafs, *cells))
        self._draw(buffer, keypoints, boxes)
        lent = buffer.heatmaps.lend(), buffer.pafs.lend(), buffer.ones()
        self._pool.give(buffer)
        return lent

    def _draw(self, buffer: Buffer, keypoints: Tensor, boxes: Tensor | None) -> None:
        array = keypoints.contiguous().numpy()
        people, kinds = array.shape[0] * array.shape[1], array.shape[2]
        heatmap, paf = self.heatmap, self.paf
        count = cpu.draw_heatmaps(
            array,
            self._scales_array(keypoints, boxes, heatmap),
            self._ratios,
            buffer.heatmaps.array,
            buffer.peaks.held,
            buffer.peaks.room(people * kinds),
            known=not buffer.heatmaps.changed,
            threshold=self._threshold,
            sigma=heatmap.sigma,
            truncate=heatmap.truncate,
            merge_sum=heatmap.merge == "sum",
            background=cpu.BACKGROUND[heatmap.background],
            stride=self.stride,
        )
        buffer.peaks.keep(count)
        count = cpu.draw_pafs(
            array,
            self._scales_array(keypoints, boxes, paf),
            self._limbs,
            buffer.pafs.array,
            buffer.limbs.held,
            buffer.limbs.room(people * len(self._limbs)),
            buffer.owner,
            buffer.count,
            buffer.state,
            known=not buffer.pafs.changed,
            turn=buffer.turns(len(array) * len(self._limbs)),
            threshold=self._threshold,
            width=paf.width,
            limb_scale=(paf.limb_ref if paf.by_limb else 0.0, paf.scale_min, paf.scale_max),
            caps=cpu.CAPS[paf.caps],
            profile=cpu.PROFILE[paf.profile],
            merge=cpu.MERGE[paf.merge],
            stride=self.stride,
        )
        buffer.limbs.keep(count)

    def _torch(
        self, keypoints: Tensor, boxes: Tensor | None, cells: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        labelled = self._labelled(keypoints)
        xy = torch.where(labelled[..., None], keypoints[..., :2], 0)
        ratios = self.ratios.to(keypoints.device).to(xy.dtype) / FIXED_POINT
        heatmaps = device.draw_heatmaps(
            xy,
            labelled,
            self._scales(keypoints, boxes, self.heatmap),
            ratios,
            settings=self.heatmap,
            max_scale=self._max_scale,
            stride=self.stride,
            size=cells,
        )
        pafs = device.draw_pafs(
            xy,
            labelled,
            self._scales(keypoints, boxes, self.paf),
            self.limbs.to(keypoints.device),
            settings=self.paf,
            stride=self.stride,
            size=cells,
        )
        return heatmaps, pafs

    def _weights(
        self,
        keypoints: Tensor,
        boxes: Tensor | None,
        ignore: Tensor | None,
        *,
        size: tuple[int, int],
        cells: tuple[int, int],
        ones: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Weights of heatmaps and PAFs: one channel for all, or one each when single channels are ignored."""
        if ones is not None and ignore is None:
            weights = ones
        else:
            weights = self._counted(keypoints, ignore, size=size, cells=cells)
        if not self.mask.unlabelled_keypoints or boxes is None:
            return weights, weights
        # raw v: a person whose keypoints are all occluded is still a person, padding is not
        missing = ~self._labelled(keypoints) & (keypoints[..., 2] > 0).any(-1, keepdim=True)  # (B, P, K)
        ends = self.limbs.to(keypoints.device)
        inside = self._inside(boxes, cells)
        lost = _any_person(missing, inside)
        if self.heatmap.background != "none":
            lost = torch.cat([lost, torch.zeros_like(lost[:, :1])], 1)
        lost_limbs = _any_person(missing[..., ends].any(-1), inside).repeat_interleave(2, 1)
        return weights * ~lost, weights * ~lost_limbs

    def _counted(
        self, keypoints: Tensor, ignore: Tensor | None, *, size: tuple[int, int], cells: tuple[int, int]
    ) -> Tensor:
        """1 where the loss counts, ``(B, 1, h, w)``; a cell looks at the pixel ``stride*j + stride//2``."""
        batch = len(keypoints)
        if ignore is None:
            return torch.ones(batch, 1, *cells, device=keypoints.device)
        if ignore.shape == (batch, *size):
            ignore = ignore[:, self.stride // 2 :: self.stride, self.stride // 2 :: self.stride]
        elif ignore.shape != (batch, *cells):
            raise PafposeError(
                f"ignore: got shape {tuple(ignore.shape)}, expected {(batch, *size)} in input pixels or "
                f"{(batch, *cells)} in field cells"
            )
        return (~ignore.detach().to(keypoints.device, torch.bool))[:, None].float()

    def _inside(self, boxes: Tensor, cells: tuple[int, int]) -> Tensor:
        """Whether a cell's pixel lies in each person's box ``(B, P, h, w)``; boxes without area hold none."""
        rows, columns = (torch.arange(n, device=boxes.device) * self.stride + self.stride // 2 for n in cells)
        x, y, width, height = (value[..., None] for value in boxes.unbind(-1))
        across = (columns >= x) & (columns <= x + width) & (width > 0)
        down = (rows >= y) & (rows <= y + height) & (height > 0)
        return down[..., :, None] & across[..., None, :]


def _any_person(wanted: Tensor, inside: Tensor) -> Tensor:
    """Cells ``(B, C, h, w)`` inside the region ``(B, P, h, w)`` of any person with ``wanted (B, P, C)``."""
    hits = wanted.float().transpose(1, 2) @ inside.float().flatten(2)
    return (hits > 0).unflatten(2, inside.shape[2:])
