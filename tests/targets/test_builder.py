"""Both kernels against the slow reference, for every option; meaning by hand; shapes and errors."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import reference
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pafpose.errors import PafposeError
from pafpose.fields import Targets
from pafpose.skeleton import Skeleton
from pafpose.targets import HeatmapSettings, MaskSettings, PafSettings, TargetBuilder

KERNELS = ("numba", "torch")
SIZE = (48, 64)

TOY = {
    "name": "toy",
    "keypoints": ["head", "left_hand", "right_hand", "left_foot", "right_foot"],
    "derived": {"middle": ["left_hand", "right_hand"]},
    "pairs": [["left_hand", "right_hand"], ["left_foot", "right_foot"]],
    "sigmas": [0.03, 0.05, 0.05, 0.09, 0.09],
    "default_limbs": "all",
    "limb_sets": {
        "all": [
            ["head", "middle"],
            ["middle", "left_hand"],
            ["middle", "right_hand"],
            ["left_foot", "left_hand"],
            ["right_foot", "right_hand"],
            ["left_foot", "right_foot"],
        ]
    },
}
toy = Skeleton.from_config(TOY)

HEATMAPS = [
    HeatmapSettings(scale_by=scale_by, merge=merge, truncate=truncate, background=background, scale_ref=30)
    for scale_by, merge, truncate, background in itertools.product(
        *(HeatmapSettings.choices[key] for key in ("scale_by", "merge")),
        (0, 0.01, 0.3),
        HeatmapSettings.choices["background"],
    )
]
PAFS = [
    PafSettings(scale_by=scale_by, caps=caps, profile=profile, merge=merge, scale_ref=30, limb_ref=20)
    for scale_by, caps, profile, merge in itertools.product(
        *(PafSettings.choices[key] for key in ("scale_by", "caps", "profile", "merge")),
    )
]


def build(kernel="numba", *, skeleton=toy, heatmap=None, paf=None, mask=None, stride=8) -> TargetBuilder:
    return TargetBuilder(
        skeleton,
        heatmap=heatmap or HeatmapSettings(),
        paf=paf or PafSettings(),
        mask=mask or MaskSettings(),
        stride=stride,
        kernel=kernel,
    )


def crowd(rng, people, *, batch=1, size=SIZE, skeleton=toy, grid=None) -> np.ndarray:
    """Random people, partly outside, partly unlabelled; on multiples of ``grid`` px when given (ties)."""
    k = np.zeros((batch, people, skeleton.num_keypoints, 3))
    k[..., 0] = rng.uniform(-20, size[1] + 20, k.shape[:3])
    k[..., 1] = rng.uniform(-20, size[0] + 20, k.shape[:3])
    if grid:
        k[..., :2] = np.round(k[..., :2] / grid) * grid
    k[..., 2] = rng.choice([0, 1, 2], k.shape[:3], p=[0.2, 0.3, 0.5])
    k[..., 1, :] = np.where(rng.random(k.shape[:2])[..., None] < 0.1, k[..., 3, :], k[..., 1, :])  # length 0
    return skeleton.derive(k)


def random_boxes(rng, batch, people) -> np.ndarray:
    boxes = rng.uniform(5, 50, (batch, people, 4))
    missing = rng.random((batch, people))
    boxes[missing < 0.3] = 0
    boxes[missing > 0.8] = np.nan
    return boxes


def expected(builder, keypoints, size=SIZE, boxes=None, ignore=None) -> Targets:
    pictures = [
        reference.targets(
            keypoints[b],
            size,
            None if boxes is None else boxes[b],
            None if ignore is None else ignore[b],
            skeleton=builder.skeleton,
            heatmap=builder.heatmap,
            paf=builder.paf,
            mask=builder.mask,
            stride=builder.stride,
        )
        for b in range(len(keypoints))
    ]
    return Targets(*(torch.from_numpy(np.stack(field)) for field in zip(*pictures, strict=True)))


def check(got: Targets, want: Targets, note: object = "") -> None:
    for name, a, b in zip(Targets._fields, got, want, strict=True):
        assert a.dtype == torch.float32, name
        error = (a.double() - b.double()).abs()
        assert bool((error <= 1e-5 + 1e-6 * b.double().abs()).all()), (name, note, error.max())


def compare(builder_of, keypoints, size=SIZE, boxes=None, ignore=None, *, note="") -> None:
    """Reference == numba == torch."""
    want = expected(builder_of("numba"), keypoints, size, boxes, ignore)
    arguments = [None if a is None else torch.from_numpy(a) for a in (boxes, ignore)]
    for kernel in KERNELS:
        check(builder_of(kernel)(torch.from_numpy(keypoints), size, *arguments), want, (kernel, note))


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
    for merge in ("mean", "nearest", "max", "last"):
        builder = build("torch", paf=PafSettings(merge=merge, profile="linear"))
        monkeypatch.setattr(heatmaps_torch, "CELLS_AT_ONCE", 2**22)
        want = builder(keypoints, SIZE)
        monkeypatch.setattr(heatmaps_torch, "CELLS_AT_ONCE", 700)
        check(builder(keypoints, SIZE), want, merge)


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


# --- meaning, by hand ------------------------------------------------------------------------------------


def two_people(*positions, skeleton=toy) -> torch.Tensor:
    """People of whom only the head is labelled."""
    keypoints = torch.zeros(1, len(positions), skeleton.num_keypoints, 3)
    for p, (x, y) in enumerate(positions):
        keypoints[0, p, 0] = torch.tensor([x, y, 2.0])
    return keypoints


def one_limb(*segments) -> torch.Tensor:
    """People of whom only left hand -> left foot ends are labelled; limb 3 runs from foot to hand."""
    keypoints = torch.zeros(1, len(segments), toy.num_keypoints, 3)
    for p, (start, end) in enumerate(segments):
        keypoints[0, p, 3] = torch.tensor([*start, 2.0])
        keypoints[0, p, 1] = torch.tensor([*end, 2.0])
    return keypoints


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("order", [1, -1])
def test_neighbours_do_not_erase_each_other(kernel, order):
    """Two heads 10 px apart, both on cell centres of stride 2: both peaks are 1, whoever comes last."""
    positions = [(20.5, 30.5), (30.5, 30.5)][::order]
    heat = build(kernel, stride=2)(two_people(*positions), (64, 64)).heatmaps[0, 0]
    assert heat[15, 10] == pytest.approx(1) and heat[15, 15] == pytest.approx(1)


@pytest.mark.parametrize("kernel", KERNELS)
def test_gaussian_by_hand(kernel):
    heat = build(kernel)(two_people((12.5, 11.5)), SIZE).heatmaps[0]
    assert heat[0, 1, 1] == pytest.approx(np.exp(-1 / 98))
    assert heat[0, 1, 2] == pytest.approx(np.exp(-49 / 98))
    assert heat[0, 2, 2] == pytest.approx(np.exp(-(49 + 64) / 98))
    assert heat[0, 1, 4] == 0  # 23 px away: exp(-5.4) is below 0.01
    assert heat[-1, 1, 1] == pytest.approx(1 - np.exp(-1 / 98), abs=1e-6)


@pytest.mark.parametrize("kernel", KERNELS)
def test_background_none_has_no_channel(kernel):
    builder = build(kernel, heatmap=HeatmapSettings(background="none"))
    assert builder.num_heatmaps == 6 and builder.num_pafs == 12
    assert builder(two_people((12.5, 11.5)), SIZE).heatmaps.shape == (1, 6, 6, 8)


@pytest.mark.parametrize("kernel", KERNELS)
def test_width_is_half_the_width(kernel):
    """A ruler: a level limb at y = 31.5 with width 8 covers cells of stride 1 from 23.5 to 39.5 px: 17."""
    keypoints = one_limb(((10, 32), (50, 32)))
    paf = build(kernel, stride=1)(keypoints, (64, 64)).pafs[0, 6]
    assert paf[:, 30].nonzero().flatten().tolist() == list(range(24, 41))
    assert (paf[24:41, 30] == 1).all()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("caps", "first", "last"), [("bbox", 12, 48), ("none", 20, 40), ("round", 12, 48)])
def test_ends(kernel, caps, first, last):
    keypoints = one_limb(((20, 32), (40, 32)))
    paf = build(kernel, stride=1, paf=PafSettings(caps=caps))(keypoints, (64, 64)).pafs[0, 6]
    assert paf[32].nonzero().flatten().tolist() == list(range(first, last + 1))
    corner = paf[32 + 7, first]
    assert corner == (0 if caps == "round" else 1)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    ("profile", "value"),
    [("rigid", 1), ("linear", 0.5), ("cosine", 0.5), ("gaussian", np.exp(-1 / 8))],
)
def test_profiles(kernel, profile, value):
    keypoints = one_limb(((10, 32), (50, 32)))
    paf = build(kernel, stride=1, paf=PafSettings(profile=profile))(keypoints, (64, 64)).pafs[0]
    assert paf[6, 36, 30] == pytest.approx(value) and paf[7, 36, 30] == 0
    assert paf[6, 32, 30] == 1


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    ("merge", "vector"),
    [("mean", (0, 1 / 3)), ("sum", (0, 1)), ("last", (-1, 0)), ("nearest", (1, 0)), ("max", (1, 0))],
)
def test_merges(kernel, merge, vector):
    """Three limbs through one point: right, down, left; all equally near, so the first wins."""
    keypoints = one_limb(((10, 32), (50, 32)), ((30, 10), (30, 50)), ((50, 32), (10, 32)))
    paf = build(kernel, stride=1, paf=PafSettings(merge=merge))(keypoints, (64, 64)).pafs[0, 6:8, 32, 30]
    assert paf.tolist() == pytest.approx(vector, abs=1e-6)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("merge", "profile"), [("nearest", "rigid"), ("max", "linear")])
def test_the_nearer_limb_wins(kernel, merge, profile):
    keypoints = one_limb(((10, 30), (50, 30)), ((50, 35), (10, 35)))
    paf = build(kernel, stride=1, paf=PafSettings(merge=merge, profile=profile))(keypoints, (64, 64)).pafs
    assert (paf[0, 6, 27:33, 30] > 0).all() and (paf[0, 6, 33:38, 30] < 0).all()


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_limb_of_no_length_is_not_drawn(kernel):
    pafs = build(kernel)(one_limb(((20, 20), (20, 20))), SIZE).pafs
    assert pafs.count_nonzero() == 0


@pytest.mark.parametrize("kernel", KERNELS)
def test_points_outside_still_draw_what_falls_inside(kernel):
    pafs = build(kernel, stride=1)(one_limb(((-300, 20), (500, 20))), (40, 40)).pafs
    assert (pafs[0, 6, 20] == 1).all()
    heat = build(kernel, stride=1)(two_people((-3, 20)), (40, 40)).heatmaps
    assert heat[0, 0, 20, 0] == pytest.approx(np.exp(-9 / 98))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("stride", [2, 4, 8])
def test_heatmaps_and_pafs_share_one_grid(kernel, stride):
    """The centres of mass of a keypoint's blob and of limbs about the same point agree."""
    x, y = 67.0, 61.0
    keypoints = torch.zeros(1, 1, toy.num_keypoints, 3)
    keypoints[0, 0, 0] = torch.tensor([x, y, 2])
    level, upright = one_limb(((x - 30, y), (x + 30, y))), one_limb(((x, y - 30), (x, y + 30)))
    builder = build(kernel, stride=stride, paf=PafSettings(profile="gaussian"))
    cells = torch.arange(128 // stride) * stride + (stride - 1) / 2
    heat = builder(keypoints, (128, 128)).heatmaps[0, 0]
    rows = builder(level, (128, 128)).pafs[0, 6].sum(1)
    columns = builder(upright, (128, 128)).pafs[0, 7].sum(0)
    for weights, centre in ((heat.sum(0), x), (columns, x), (heat.sum(1), y), (rows, y)):
        assert float((weights * cells).sum() / weights.sum()) == pytest.approx(centre, abs=0.25)


# --- masks -----------------------------------------------------------------------------------------------


def test_masks_against_the_reference(rng):
    for occluded, missing in itertools.product((True, False), (True, False)):
        mask = MaskSettings(occluded_keypoints=occluded, unlabelled_keypoints=missing)
        keypoints, boxes = crowd(rng, 4, batch=2), random_boxes(rng, 2, 4)
        ignore = rng.random((2, *SIZE)) < 0.3
        compare(lambda kernel, m=mask: build(kernel, mask=m), keypoints, SIZE, boxes, ignore, note=mask)


@pytest.mark.parametrize("stride", [1, 2, 4, 8])
def test_ignore_in_pixels_and_in_cells(stride, rng):
    keypoints = torch.from_numpy(crowd(rng, 2, batch=2))
    pixels = torch.from_numpy(rng.random((2, *SIZE)) < 0.5)
    cells = pixels[:, stride // 2 :: stride, stride // 2 :: stride]
    builder = build(stride=stride)
    check(builder(keypoints, SIZE, ignore=cells), builder(keypoints, SIZE, ignore=pixels))
    assert torch.equal(builder(keypoints, SIZE, ignore=pixels).paf_weights[:, 0] == 0, cells)


def test_weights_are_ones_without_masks(rng):
    fields = build()(torch.from_numpy(crowd(rng, 2)), SIZE)
    assert fields.heatmap_weights.shape == (1, 1, 6, 8) and (fields.heatmap_weights == 1).all()
    assert (fields.paf_weights == 1).all()


def test_unlabelled_keypoints_are_ignored_inside_the_box_only():
    keypoints = torch.zeros(1, 1, toy.num_keypoints, 3)
    keypoints[0, 0, 0] = torch.tensor([20.0, 20.0, 2])
    boxes = torch.tensor([[[8.0, 8.0, 24.0, 24.0]]])
    fields = build(mask=MaskSettings(unlabelled_keypoints=True))(keypoints, SIZE, boxes)
    lost = torch.zeros(6, 8, dtype=torch.bool)
    lost[1:4, 1:4] = True  # pixels 12, 20, 28
    weights = fields.heatmap_weights[0]
    assert (weights[0] == 1).all() and (weights[-1] == 1).all()
    assert all(torch.equal(weights[k] == 0, lost) for k in range(1, 6))
    assert all(torch.equal(fields.paf_weights[0, c] == 0, lost) for c in range(12))


def test_occluded_keypoints_can_be_left_out(rng):
    keypoints = crowd(rng, 4)
    hidden = keypoints.copy()
    hidden[hidden[..., 2] == 1] = 0
    for kernel in KERNELS:
        without = build(kernel, mask=MaskSettings(occluded_keypoints=False))
        check(without(torch.from_numpy(keypoints), SIZE), build(kernel)(torch.from_numpy(hidden), SIZE))


# --- torch: compiled, and without waiting for the device ----------------------------------------------------


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


# --- errors ------------------------------------------------------------------------------------------------


def test_errors_name_what_was_given():
    builder = build()
    with pytest.raises(PafposeError, match=r"keypoints: got shape \(1, 2, 17, 3\), expected \(B, P, 6, 3\)"):
        builder(torch.zeros(1, 2, 17, 3), SIZE)
    with pytest.raises(PafposeError, match=r"\(50, 64\) is not a multiple of the field stride 8"):
        builder(torch.zeros(1, 2, 6, 3), (50, 64))
    with pytest.raises(PafposeError, match=r"boxes: got shape \(1, 3, 4\), expected \(1, 2, 4\)"):
        builder(torch.zeros(1, 2, 6, 3), SIZE, torch.zeros(1, 3, 4))
    with pytest.raises(PafposeError, match=r"ignore: got shape \(1, 5, 5\), expected \(1, 48, 64\)"):
        builder(torch.zeros(1, 2, 6, 3), SIZE, ignore=torch.zeros(1, 5, 5, dtype=torch.bool))
    with pytest.raises(PafposeError, match="kernel=fast"):
        build("fast")
    with pytest.raises(PafposeError, match=r"head.stride=0"):
        build(stride=0)


def test_settings_are_kept_apart(rng):
    """Two builders with different choices live side by side."""
    keypoints = torch.from_numpy(crowd(rng, 2))
    narrow, wide = build(paf=PafSettings(width=2)), build(paf=replace(PafSettings(), width=20))
    first = narrow(keypoints, SIZE).pafs
    wide(keypoints, SIZE)
    assert torch.equal(narrow(keypoints, SIZE).pafs, first)
