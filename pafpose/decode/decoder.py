"""The decoder: fields of one picture, or of a batch, to people in input pixels."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pafpose.decode.pipeline import decode_fields, make_parameters
from pafpose.decode.settings import DecodeSettings
from pafpose.errors import PafposeError
from pafpose.fields import Poses
from pafpose.runtime.jit import njit
from pafpose.skeleton import Skeleton

Field = Tensor | np.ndarray
_LIMIT = 1e6  # fields are trained to values from -1 to 1
_LIMIT_BITS, _NO_SIGN = np.float32(_LIMIT).view(np.int32), np.int32(0x7FFFFFFF)


class Decoder:
    """Turns fields into people; made once, used from any thread.

    ``stride`` is that of the fields, ``heatmap_sigma`` (input px) the width of the Gaussians that the network
    was trained with, and ``background`` says whether the heatmaps end with a background channel.
    """

    def __init__(
        self,
        skeleton: Skeleton,
        settings: DecodeSettings,
        *,
        stride: int,
        heatmap_sigma: float,
        background: bool = True,
    ) -> None:
        if stride < 1 or not heatmap_sigma > 0:
            raise PafposeError(
                f"decoder: stride={stride}, heatmap_sigma={heatmap_sigma}: both must be above 0; take them "
                "from head.stride and heatmap.sigma"
            )
        if settings.min_keypoints > skeleton.num_keypoints:
            raise PafposeError(
                f"decoder: min_keypoints={settings.min_keypoints}: nobody has more than the "
                f"{skeleton.num_keypoints} keypoints of skeleton {skeleton.name}; lower decode.min_keypoints"
            )
        self.skeleton, self.settings, self.stride = skeleton, settings, int(stride)
        self.num_heatmaps = skeleton.num_keypoints + int(background)
        self.num_pafs = 2 * skeleton.num_limbs
        self.parameters = make_parameters(
            skeleton, settings, stride=self.stride, heatmap_sigma=float(heatmap_sigma)
        )

    def __call__(self, heatmaps: Field, pafs: Field) -> Poses:
        """Find the people of one picture: heatmaps ``(K+1, h, w)``, pafs ``(2L, h, w)``.

        Any float type and device will do. Keypoints come in input pixels, on the device of the heatmaps, best
        person first; nobody gives shapes ``(0, K, 3)`` and ``(0,)``. Raises ``PafposeError`` for other
        shapes, and for NaN, infinity and values beyond a million.
        """
        self._check_shapes(heatmaps, pafs, dimensions=3)
        return _on_device_of(heatmaps, self._decode(*_to_host(heatmaps, pafs)))

    def decode_batch(self, heatmaps: Field, pafs: Field, valid: Field | None = None) -> list[Poses]:
        """Find the people of every picture of a batch ``(B, K+1, h, w)``, ``(B, 2L, h, w)``, over threads.

        ``valid`` ``(B, 2)`` is the height and width in input pixels of each picture's part of the input: only
        the first ``ceil(valid / stride)`` cells are decoded. Everything else is as for one picture.
        """
        self._check_shapes(heatmaps, pafs, dimensions=4)
        sizes = self._valid_cells(valid, len(heatmaps), (heatmaps.shape[-2], heatmaps.shape[-1]))
        heat, paf = _to_host(heatmaps, pafs)

        def decode(n: int) -> Poses:
            rows, cols = sizes[n]
            return self._decode(heat[n, :, :rows, :cols], paf[n, :, :rows, :cols])

        return [_on_device_of(heatmaps, people) for people in _in_threads(decode, len(heat))]

    def warm_up(self) -> None:
        """Compile everything, or load it from the cache, so that the first photo does not wait."""
        self(np.zeros((self.num_heatmaps, 4, 4), np.float32), np.zeros((self.num_pafs, 4, 4), np.float32))

    def _decode(self, heatmaps: np.ndarray, pafs: np.ndarray) -> Poses:
        """Find the people of one picture in the host's memory."""
        heatmaps, pafs = np.ascontiguousarray(heatmaps), np.ascontiguousarray(pafs)
        _check_values(heatmaps=heatmaps, pafs=pafs)
        people, scores = decode_fields(heatmaps, pafs, self.parameters)
        return Poses(torch.from_numpy(people), torch.from_numpy(scores))

    def _check_shapes(self, heatmaps: Field, pafs: Field, *, dimensions: int) -> None:
        """Refuse fields that do not belong to the skeleton or to each other."""
        for name, field, channels in (
            ("heatmaps", heatmaps, self.num_heatmaps),
            ("pafs", pafs, self.num_pafs),
        ):
            if field.ndim != dimensions or field.shape[-3] != channels:
                batch = "B, " if dimensions == 4 else ""
                raise PafposeError(
                    f"decoder: {name} of shape {tuple(field.shape)}, expected ({batch}{channels}, h, w): "
                    f"skeleton {self.skeleton.name} has {self.skeleton.num_keypoints} keypoints and "
                    f"{self.skeleton.num_limbs} limbs (paf.limbs={self.skeleton.limb_set}); decode with the "
                    "skeleton, paf.limbs and heatmap.background that the network was trained with"
                )
        heat, paf = tuple(heatmaps.shape), tuple(pafs.shape)
        if heat[:-3] != paf[:-3] or heat[-2:] != paf[-2:] or 0 in heat[-2:]:
            raise PafposeError(
                f"decoder: heatmaps {heat} and pafs {paf} must have the same batch size, height and width, "
                "and at least one cell"
            )

    def _valid_cells(self, valid: Field | None, count: int, size: tuple[int, int]) -> list[tuple[int, int]]:
        """Return the rows and columns to decode of every picture."""
        if valid is None:
            return [size] * count
        pixels = np.asarray(valid.cpu() if isinstance(valid, Tensor) else valid)
        if pixels.shape != (count, 2) or not (pixels > 0).all():
            raise PafposeError(
                f"decoder: valid must be ({count}, 2) = height and width in input pixels above 0, got "
                f"{pixels.tolist()}"
            )
        cells = np.ceil(pixels / self.stride).astype(int)
        return [(min(int(r), size[0]), min(int(c), size[1])) for r, c in cells]


def _to_host(heatmaps: Field, pafs: Field) -> tuple[np.ndarray, np.ndarray]:
    """Return float32 arrays of both fields in the host's memory, which may be the fields' own.

    Fields on a GPU are copied to pinned memory, one behind the other, and the host waits for both at once.
    """
    arrays = _start_copy(heatmaps), _start_copy(pafs)
    for field in (heatmaps, pafs):
        if isinstance(field, Tensor) and field.is_cuda:
            torch.cuda.current_stream(field.device).synchronize()
    return arrays


def _start_copy(field: Field) -> np.ndarray:
    """Return a field as an array; what comes from a GPU is there when its stream has been synchronized."""
    if not isinstance(field, Tensor):
        return np.require(field, np.float32, "W")  # numba would compile once more for read-only arrays
    field = field.detach()
    if field.dtype is not torch.float32 or not field.is_cpu:
        field = field.to("cpu", torch.float32, non_blocking=field.is_cuda)
    return field.numpy()


def _on_device_of(field: Field, people: Poses) -> Poses:
    """Move people to where a field is."""
    if isinstance(field, Tensor) and not field.is_cpu:
        return Poses(people.keypoints.to(field.device), people.scores.to(field.device))
    return people


def _check_values(**fields: np.ndarray) -> None:
    """Refuse NaN, infinity and values that no field has, by the name of the field."""
    for name, field in fields.items():
        if not within_limit(field):
            what = f"values beyond {_LIMIT:,.0f}" if np.isfinite(field).all() else "NaN or infinity"
            raise PafposeError(
                f"decoder: {what} in {name}: the network has diverged or its input was bad; lower "
                "optimizer.lr, or train with precision=32-true"
            )


@njit
def within_limit(field: np.ndarray) -> bool:
    """Whether no value of a float32 array is NaN, infinite or beyond a million.

    Compares the bits without sign as whole numbers, which orders them like the values, NaN last.
    """
    bits, top = field.ravel().view(np.int32), np.int32(0)
    for i in range(len(bits)):
        top = max(top, np.int32(bits[i] & _NO_SIGN))
    return bool(top <= _LIMIT_BITS)


@cache
def _pool() -> ThreadPoolExecutor:
    """Start the threads of this process when they are first needed."""
    return ThreadPoolExecutor(os.cpu_count() or 1, "pafpose-decode")


if hasattr(os, "register_at_fork"):  # a fork has none of its parent's threads
    os.register_at_fork(after_in_child=_pool.cache_clear)


def _in_threads(job: Callable[[int], Any], count: int) -> list[Any]:
    """Return ``job(0)`` to ``job(count - 1)``, run on as many threads as the machine has cores."""
    if min(count, os.cpu_count() or 1) < 2:
        return [job(index) for index in range(count)]
    return list(_pool().map(job, range(count)))
