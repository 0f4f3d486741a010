"""The torch kernel: no waiting for the device, no loops, compiled, on a GPU."""

from __future__ import annotations

import pytest
import torch
from target_cases import HEATMAPS, PAFS, SIZE, build, check, crowd, expected, random_boxes
from torch.utils._python_dispatch import TorchDispatchMode

from pafpose.fields import Targets
from pafpose.targets import HeatmapSettings, MaskSettings, PafSettings


class NoSync(TorchDispatchMode):
    """Fails on operations that make the host wait for the device."""

    BAD = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "equal", "is_nonzero")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.__name__.split(".")[0]
        assert name not in self.BAD, f"{name} waits for the device"
        indices = args[1] if name in ("index", "index_put", "index_put_") else ()
        assert not any(i is not None and i.dtype == torch.bool for i in indices), "boolean index"
        return func(*args, **(kwargs or {}))


def test_the_torch_kernel_never_waits(rng):
    keypoints, boxes = torch.from_numpy(crowd(rng, 4)), torch.from_numpy(random_boxes(rng, 1, 4))
    ignore = torch.from_numpy(rng.random((1, *SIZE)) < 0.3)
    mask = MaskSettings(unlabelled_keypoints=True, occluded_keypoints=False)
    for heatmap, paf in zip(HEATMAPS[::5] * 2, PAFS[::7], strict=False):  # meets every value of every key
        builder = build("torch", heatmap=heatmap, paf=paf, mask=mask)
        with NoSync():
            builder(keypoints, SIZE, boxes, ignore)


def test_the_number_of_operations_does_not_depend_on_people(rng):
    class Count(TorchDispatchMode):
        calls = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.calls += 1
            return func(*args, **(kwargs or {}))

    def calls(people):
        with Count() as count:
            build("torch")(torch.from_numpy(crowd(rng, people)), SIZE)
        return count.calls

    assert calls(1) == calls(2) == calls(50)


def test_the_work_does_not_grow_with_the_width(rng):
    class Cells(TorchDispatchMode):
        most = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            self.most = max(self.most, out.numel() if isinstance(out, torch.Tensor) else 0)
            return out

    def most(**changes):
        with Cells() as cells:
            build("torch", paf=PafSettings(scale_by="limb", **changes))(
                torch.from_numpy(crowd(rng, 30)), SIZE
            )
        return cells.most

    assert most(scale_min=0, scale_max=float("inf")) == most(width=500) == most(width=2)


def compiled_like(merge: str, backend: str, rng, *, profile: str = "linear") -> None:
    paf = PafSettings(merge=merge, profile=profile, caps="round", scale_by="person")
    mask = MaskSettings(unlabelled_keypoints=True)
    builder = build("auto", heatmap=HeatmapSettings(scale_by="both"), paf=paf, mask=mask)
    compiled = torch.compile(builder, fullgraph=True, backend=backend)
    for people in (3, 5):
        keypoints = torch.from_numpy(crowd(rng, people, batch=2))
        boxes = torch.from_numpy(random_boxes(rng, 2, people))
        check(compiled(keypoints, SIZE, boxes), expected(builder, keypoints.numpy(), boxes=boxes.numpy()))


@pytest.mark.parametrize(("merge", "profile"), [("mean", "linear"), ("mean", "rigid"), ("nearest", "linear")])
def test_traced_as_one_graph(merge, profile, rng):
    compiled_like(merge, "eager", rng, profile=profile)


@pytest.mark.slow
@pytest.mark.parametrize(("merge", "profile"), [("mean", "linear"), ("mean", "rigid"), ("nearest", "linear")])
@pytest.mark.filterwarnings("ignore")
def test_compiled(merge, profile, rng):
    compiled_like(merge, "inductor", rng, profile=profile)


@pytest.mark.gpu
def test_on_the_device(rng):
    keypoints, boxes = crowd(rng, 20, batch=3), random_boxes(rng, 3, 20)
    for heatmap, paf in zip(HEATMAPS * 3, PAFS, strict=False):
        want = build("numba", heatmap=heatmap, paf=paf)(
            torch.from_numpy(keypoints), SIZE, torch.from_numpy(boxes)
        )
        builder = build("auto", heatmap=heatmap, paf=paf)
        got = builder(torch.from_numpy(keypoints).cuda(), SIZE, torch.from_numpy(boxes).cuda())
        assert got.pafs.device.type == "cuda"
        check(Targets(*(field.cpu() for field in got)), want, (heatmap, paf))
