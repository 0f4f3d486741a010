"""Both kernels against the slow reference, for every option and many kinds of people."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from target_cases import (
    HEATMAPS,
    KERNELS,
    PAFS,
    SIZE,
    build,
    check,
    compare,
    crowd,
    expected,
    one_limb,
    random_boxes,
    toy,
)

from pafpose.fields import Targets
from pafpose.targets import HeatmapSettings, MaskSettings, PafSettings


def test_every_option_of_heatmaps(rng):
    for heatmap in HEATMAPS:
        keypoints, boxes = crowd(rng, 3, size=(32, 40)), random_boxes(rng, 1, 3)
        compare(lambda kernel, h=heatmap: build(kernel, heatmap=h), keypoints, (32, 40), boxes, note=heatmap)


def test_every_option_of_pafs(rng):
    for n, paf in enumerate(PAFS):
        keypoints, boxes = crowd(rng, 4, grid=(None, 0.5, 1, 4)[n % 4]), random_boxes(rng, 1, 4)
        compare(lambda kernel, p=paf: build(kernel, paf=p), keypoints, boxes=boxes, note=paf)


@pytest.mark.parametrize("stride", [1, 2, 4, 8])
def test_strides(stride, rng):
    size = (4 * stride, 6 * stride)
    keypoints = crowd(rng, 3, batch=2, size=size, grid=0.5)
    for caps in ("bbox", "none", "round"):
        paf = PafSettings(caps=caps, width=3)
        compare(lambda kernel, p=paf: build(kernel, paf=p, stride=stride), keypoints, size, note=caps)


@pytest.mark.parametrize("limits", [(0, float("inf")), (0, 1), (2, 2)])
def test_unbounded_and_vanishing_scales(limits, rng):
    low, high = limits
    heatmap = HeatmapSettings(scale_by="person", scale_min=low, scale_max=high)
    for scale_by in ("limb", "person"):
        paf = PafSettings(scale_by=scale_by, scale_min=low, scale_max=high, limb_ref=20, scale_ref=20)
        keypoints = crowd(rng, 5)
        keypoints[:, 0, :, 2] = [0, 2, 0, 2, 0, 0]  # one limb only: its box may be thin
        compare(lambda kernel, p=paf: build(kernel, paf=p, heatmap=heatmap), keypoints)


def test_a_person_of_one_keypoint_without_size(rng):
    keypoints = np.zeros((1, 1, toy.num_keypoints, 3))
    keypoints[0, 0, 0] = 19.5, 11.5, 2  # the centre of a cell
    heatmap = HeatmapSettings(scale_by="person", scale_min=0)
    for kernel in KERNELS:
        heat = build(kernel, heatmap=heatmap)(torch.from_numpy(keypoints), SIZE).heatmaps[0, 0]
        assert heat[1, 2] == 1 and heat.sum() == 1


@pytest.mark.parametrize("grid", [0.5, 1, 4])
def test_ties_on_borders(grid, rng):
    """Coordinates on a raster put many cells exactly on a limb's border: 3-4-5 triangles and the like."""
    for caps, merge in itertools.product(("bbox", "none", "round"), ("mean", "nearest", "max")):
        paf = PafSettings(caps=caps, merge=merge, width=4, profile="linear" if merge == "max" else "rigid")
        keypoints = crowd(rng, 6, grid=grid)
        compare(lambda kernel, p=paf: build(kernel, paf=p, stride=4), keypoints, note=(caps, merge))


@pytest.mark.parametrize("people", [0, 1, 200])
def test_nobody_one_and_many(people, rng):
    for merge in ("mean", "sum", "nearest", "last"):
        paf, heatmap = PafSettings(merge=merge), HeatmapSettings(merge="sum")
        keypoints = crowd(rng, people, size=(24, 32))
        settings = {"paf": paf, "heatmap": heatmap}
        compare(lambda kernel, s=settings: build(kernel, **s), keypoints, (24, 32))


def test_nobody_is_background_only():
    for kernel in KERNELS:
        fields = build(kernel)(torch.zeros(2, 0, toy.num_keypoints, 3), SIZE)
        assert fields.heatmaps[:, :-1].count_nonzero() == 0 and (fields.heatmaps[:, -1] == 1).all()
        assert fields.pafs.shape == (2, 12, 6, 8) and fields.pafs.count_nonzero() == 0


def test_many_people_are_drawn_in_parts(rng, monkeypatch):
    from pafpose.targets import heatmaps_torch

    keypoints = torch.from_numpy(crowd(rng, 30, batch=2))
    for merge, profile in itertools.product(PafSettings.choices["merge"], ("linear", "rigid")):
        builder = build("torch", paf=PafSettings(merge=merge, profile=profile))
        monkeypatch.setattr(heatmaps_torch, "CELLS_AT_ONCE", 2**22)
        want = builder(keypoints, SIZE)
        monkeypatch.setattr(heatmaps_torch, "CELLS_AT_ONCE", 700)
        check(builder(keypoints, SIZE), want, (merge, profile))


@pytest.mark.parametrize("kernel", KERNELS)
def test_padding_people_change_nothing(kernel, rng):
    keypoints, boxes = crowd(rng, 3), random_boxes(rng, 1, 3)
    padding = np.full((1, 4, toy.num_keypoints, 3), np.nan)
    padding[..., 2] = 0
    padding[:, 1:, :, :2] = 20
    padding[:, 2, :, 0] = np.inf
    padded = torch.from_numpy(np.concatenate([padding[:, :2], keypoints, padding[:, 2:]], 1))
    builder = build(
        kernel,
        heatmap=HeatmapSettings(scale_by="both"),
        paf=PafSettings(scale_by="person"),
        mask=MaskSettings(unlabelled_keypoints=True),
    )
    want = builder(torch.from_numpy(keypoints), SIZE, torch.from_numpy(boxes))
    filler = torch.full((1, 2, 4), 20.0, dtype=torch.float64)
    all_boxes = torch.cat([filler, torch.from_numpy(boxes), filler * torch.nan], 1)
    check(builder(padded, SIZE, all_boxes), want)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_keypoint_that_is_not_finite_counts_as_unlabelled(kernel, rng):
    keypoints = crowd(rng, 2)
    broken, without = keypoints.copy(), keypoints.copy()
    broken[0, 0, 0] = np.nan, 3, 2
    broken[0, 1, 4] = 3, np.inf, 2
    without[0, 0, 0] = without[0, 1, 4] = 0
    builder = build(kernel)
    check(builder(torch.from_numpy(broken), SIZE), builder(torch.from_numpy(without), SIZE))


def test_limbs_from_far_outside(rng):
    keypoints = crowd(rng, 4)
    keypoints[0, 0, 1] = 1e6, 20, 2
    keypoints[0, 1, 3] = 10, -1e6, 2
    keypoints[0, 2, 0] = -1e6, 1e6, 2
    for caps in PafSettings.choices["caps"]:
        compare(lambda kernel, c=caps: build(kernel, paf=PafSettings(caps=c)), keypoints, note=caps)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_limb_whose_length_overflows_is_not_drawn(kernel):
    pafs = build(kernel)(one_limb(((20, 20), (-1e300, 1e300))), SIZE).pafs
    assert pafs.count_nonzero() == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_input_precisions(dtype, rng):
    keypoints = torch.from_numpy(crowd(rng, 3, batch=2)).to(dtype)
    boxes = torch.from_numpy(random_boxes(rng, 2, 3)).to(dtype)
    heatmap, paf = HeatmapSettings(scale_by="both"), PafSettings(scale_by="person")
    want = expected(build(heatmap=heatmap, paf=paf), keypoints.double().numpy(), boxes=boxes.double().numpy())
    for kernel in KERNELS:
        check(build(kernel, heatmap=heatmap, paf=paf)(keypoints, SIZE, boxes), want)


def test_precision_of_a_surrounding_module_and_autocast_change_nothing(rng):
    keypoints = torch.from_numpy(crowd(rng, 3))
    mask = MaskSettings(unlabelled_keypoints=True)
    for kernel in KERNELS:
        builder = build(kernel, heatmap=HeatmapSettings(scale_by="keypoint"), mask=mask)
        want = builder(keypoints, SIZE)
        with torch.autocast("cpu", torch.bfloat16):
            check(torch.nn.Sequential(builder).half()[0](keypoints, SIZE), want)
        assert not builder.state_dict() and not list(builder.parameters())


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_batch_is_its_pictures(kernel, rng):
    keypoints = torch.from_numpy(crowd(rng, 4, batch=5))
    boxes = torch.from_numpy(random_boxes(rng, 5, 4))
    ignore = torch.from_numpy(rng.random((5, *SIZE)) < 0.3)
    paf = PafSettings(scale_by="person", merge="nearest")
    builder = build(kernel, paf=paf, mask=MaskSettings(unlabelled_keypoints=True))
    together = builder(keypoints, SIZE, boxes, ignore)
    for b in range(5):
        one = slice(b, b + 1)
        alone = builder(keypoints[one], SIZE, boxes[one], ignore[one])
        check(alone, Targets(*(field[one] for field in together)))


@pytest.mark.parametrize("kernel", KERNELS)
def test_flipping_keypoints_flips_the_maps(kernel, rng, coco18):
    keypoints = crowd(rng, 5, skeleton=coco18, size=(64, 96))
    flipped = keypoints[:, :, list(coco18.flip_keypoints)]
    flipped[..., 0] = 95 - flipped[..., 0]
    permutation, signs = coco18.flip_pafs
    for caps, merge in itertools.product(("bbox", "none", "round"), ("mean", "sum", "last")):
        builder = build(kernel, skeleton=coco18, paf=PafSettings(caps=caps, merge=merge))
        plain, mirror = (builder(torch.from_numpy(k), (64, 96)) for k in (keypoints, flipped))
        heat = plain.heatmaps.flip(-1)[:, [*coco18.flip_keypoints, 18]]
        pafs = plain.pafs.flip(-1)[:, list(permutation)] * torch.tensor(signs)[:, None, None]
        assert torch.allclose(mirror.heatmaps, heat, atol=1e-5)
        assert torch.allclose(mirror.pafs, pafs, atol=1e-5)
