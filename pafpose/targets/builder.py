"""From keypoints to targets: heatmaps, PAFs and loss weights of a whole batch, on the batch's device."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pafpose.errors import PafposeError
from pafpose.fields import Targets
from pafpose.geometry import field_size
from pafpose.skeleton import Skeleton
from pafpose.targets import heatmaps_numba, heatmaps_torch, pafs_numba, pafs_torch
from pafpose.targets.heatmaps_numba import Background, HeatmapMerge
from pafpose.targets.pafs_numba import Caps, PafMerge, Profile, reach_in_half_widths
from pafpose.targets.people import complete_boxes, labelled_keypoints, person_scale
from pafpose.targets.settings import HeatmapSettings, MaskSettings, PafSettings
from pafpose.targets.weights import cell_weights, missing_cells

KERNELS = ("auto", "numba", "torch")
FIXED_POINT = 2.0**40
WITHOUT_FLOAT64 = ("mps",)  # types of devices


class TargetBuilder(nn.Module):
    """Draws targets from keypoints; it has no learned weights.

    ``kernel``: ``auto`` takes numba for CPU tensors, and torch on other devices and under ``torch.compile``;
    ``numba`` and ``torch`` insist. All give the same targets.

    >>> import pafpose
    >>> targets = pafpose.build_targets(pafpose.load_config())
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
        ratios = np.asarray(skeleton.sigmas) / np.mean(skeleton.sigmas)
        self._max_sigma = heatmap.sigma
        self._max_sigma *= heatmap.scale_max if heatmap.by_person else 1.0
        self._max_sigma *= float(ratios.max()) if heatmap.by_keypoint else 1.0
        self._limbs = np.asarray(skeleton.limbs, np.int64)
        self._heatmap_options, self._paf_options = self._numba_options()
        # buffers of whole numbers: .half() and .double() of a surrounding module leave them alone
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
        """Return the targets of ``keypoints (B, P, K, 3)``, in pixels of an input of ``size`` (H, W).

        Derived keypoints must be filled in. Padding people have v = 0 throughout, whatever their coordinates.
        A labelled keypoint whose coordinates are not finite counts as unlabelled. ``boxes (B, P, 4)`` are
        x, y, w, h in the frame of the keypoints; a row of zeros or NaN is replaced by the box of the labelled
        keypoints. ``ignore`` is bool, ``(B, H, W)`` in pixels or ``(B, h, w)`` in cells: the loss does not
        count there. Any float dtype and any device; the result is float32 on the device of the keypoints.

        Raises ``PafposeError`` on shapes that do not fit and on a size that is not a multiple of the stride.
        """
        cells = field_size(size, self.stride)
        self._check(keypoints, boxes)
        numba, keypoints = self._use_numba(keypoints), keypoints.detach()
        wants_boxes = self.heatmap.by_person or self.paf.by_person or self.mask.unlabelled_keypoints
        if not numba or wants_boxes or keypoints.dtype != torch.float32:  # numba reads float32 as it is
            keypoints = keypoints.to(_real_dtype(keypoints.device))
        boxes = complete_boxes(boxes, keypoints, self._threshold) if wants_boxes else None
        draw = self._draw_numba if numba else self._draw_torch
        heatmaps, pafs = draw(keypoints, boxes, cells)
        return Targets(heatmaps, pafs, *self._weights(keypoints, boxes, ignore, size))

    def extra_repr(self) -> str:
        """Return the settings, for print."""
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

    def _sigmas(self, keypoints: Tensor, boxes: Tensor | None) -> Tensor:
        """Return the sigma of every Gaussian in pixels, ``(B, P, K)``."""
        sigmas = torch.full(
            keypoints.shape[:3],
            self.heatmap.sigma,
            dtype=_real_dtype(keypoints.device),
            device=keypoints.device,
        )
        if self.heatmap.by_person and boxes is not None:
            sigmas = sigmas * person_scale(boxes, self.heatmap)[..., None]
        if self.heatmap.by_keypoint:
            sigmas = sigmas * (self.ratios.to(keypoints.device).to(sigmas.dtype) / FIXED_POINT)
        return sigmas

    def _half_widths(self, keypoints: Tensor, boxes: Tensor | None) -> Tensor:
        """Return the half width of every person's limbs in pixels, ``(B, P)``, before ``scale_by=limb``."""
        if self.paf.by_person and boxes is not None:
            return self.paf.width * person_scale(boxes, self.paf)
        dtype = _real_dtype(keypoints.device)
        return torch.full(keypoints.shape[:2], self.paf.width, dtype=dtype, device=keypoints.device)

    def _draw_numba(
        self, keypoints: Tensor, boxes: Tensor | None, cells: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        points = keypoints.contiguous().numpy()
        sigmas = self._sigmas(keypoints, boxes).numpy()
        half_widths = self._half_widths(keypoints, boxes).numpy()
        heatmaps = torch.empty(len(points), self.num_heatmaps, *cells)
        pafs = torch.empty(len(points), self.num_pafs, *cells)
        heatmaps_numba.draw_heatmaps(points, sigmas, heatmaps.numpy(), **self._heatmap_options)
        pafs_numba.draw_pafs(points, half_widths, self._limbs, pafs.numpy(), **self._paf_options)
        return heatmaps, pafs

    def _numba_options(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the settings as the numba kernels take them."""
        heatmap, paf = self.heatmap, self.paf
        common = {"threshold": self._threshold, "stride": self.stride}
        heatmap_options = {
            "truncate": heatmap.truncate,
            "merge": int(HeatmapMerge[heatmap.merge]),
            "background": int(Background[heatmap.background]),
        }
        paf_options = {
            "length_scale": (paf.limb_ref if paf.by_limb else 0.0, paf.scale_min, paf.scale_max),
            "caps": int(Caps[paf.caps]),
            "profile": int(Profile[paf.profile]),
            "reach": reach_in_half_widths(Profile[paf.profile]),
            "merge": int(PafMerge[paf.merge]),
        }
        return common | heatmap_options, common | paf_options

    def _draw_torch(
        self, keypoints: Tensor, boxes: Tensor | None, cells: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        labelled = labelled_keypoints(keypoints, self._threshold)
        heatmaps = heatmaps_torch.draw_heatmaps(
            keypoints,
            labelled,
            self._sigmas(keypoints, boxes),
            settings=self.heatmap,
            max_sigma=self._max_sigma,
            stride=self.stride,
            size=cells,
        )
        pafs = pafs_torch.draw_pafs(
            keypoints,
            labelled,
            self._half_widths(keypoints, boxes),
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
        size: tuple[int, int],
    ) -> tuple[Tensor, Tensor]:
        """Return weights of heatmaps and PAFs: one channel for all unless single channels are ignored."""
        batch, device = len(keypoints), keypoints.device
        weights = cell_weights(ignore, batch=batch, size=size, stride=self.stride, device=device)
        if not self.mask.unlabelled_keypoints or boxes is None:
            return weights, weights
        # padding has nothing that could be missing, unlike a person whose keypoints are all occluded
        person = (keypoints[..., 2] > 0).any(-1, keepdim=True)
        missing = ~labelled_keypoints(keypoints, self._threshold) & person
        missing_limbs = missing[..., self.limbs.to(device)].any(-1)
        cells = field_size(size, self.stride)
        lost = missing_cells(missing, boxes, cells=cells, stride=self.stride)
        if self.heatmap.background != "none":
            lost = torch.cat([lost, torch.zeros_like(lost[:, :1])], 1)
        lost_limbs = missing_cells(missing_limbs, boxes, cells=cells, stride=self.stride)
        return weights * ~lost, weights * ~lost_limbs.repeat_interleave(2, 1)


def _real_dtype(device: torch.device) -> torch.dtype:
    """Return the precision to compute in."""
    return torch.float32 if device.type in WITHOUT_FLOAT64 else torch.float64
