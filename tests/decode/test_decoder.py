"""The decoder: right on perfect maps, equal to a plain one on any maps, clear about bad input."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import decode_reference as reference
import decode_scenes as scenes
import numpy as np
import pytest
import torch

from benchmarks.decode_pictures import decode_steps
from pafpose.decode import Decoder, DecodeSettings
from pafpose.decode.decoder import within_limit
from pafpose.errors import PafposeError


def make(skeleton, *, stride=8, sigma=7.0, background=True, **settings):
    return Decoder(
        skeleton,
        DecodeSettings(**settings),
        stride=stride,
        heatmap_sigma=sigma,
        background=background,
    )


def crowd(skeleton, count, rng, size=368):
    """People side by side, not overlapping."""
    places = [(x, y) for y in range(16, size - 100, 112) for x in range(40, size - 40, 64)]
    chosen = rng.permutation(len(places))[:count]
    return np.array([scenes.figure(skeleton, *(places[i] + rng.uniform(-3, 3, 2)), 90) for i in chosen])


def distance(found, person):
    """Largest keypoint error, px, of the person found nearest to this one."""
    return np.linalg.norm(found.keypoints[..., :2].numpy() - person[:, :2], axis=-1).max(-1).min()


@pytest.mark.parametrize("stride", [4, 8])
@pytest.mark.parametrize("count", [0, 1, 12])
def test_perfect_maps_give_the_people_back(coco18, rng, stride, count):
    people = crowd(coco18, count, rng)
    heat, paf = scenes.fields(coco18, people, (368, 368), stride=stride)
    found = make(coco18, stride=stride)(heat, paf)
    assert found.keypoints.shape == (count, 18, 3)
    assert found.scores.shape == (count,)
    for person in people:
        assert distance(found, person) < 0.02 * stride
    assert torch.all(found.scores.diff() <= 0)


def test_overlapping_people_stay_apart(coco18):
    people = [scenes.figure(coco18, 150, 40, 260), scenes.figure(coco18, 178, 52, 250)]
    found = make(coco18)(*scenes.fields(coco18, people, (368, 368)))
    assert len(found.scores) == 2
    for person in people:
        assert distance(found, person) < 0.5


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"refine": "quadratic", "interpolation": "cubic", "near": 0, "min_support": 0},
        {"refine": "none", "matching": "hungarian", "min_keypoints": 1, "min_sum_per_keypoint": 0},
        {"min_score": 0.1, "min_keypoints": 1, "complete": 0},
        {"max_peaks": 2, "samples": 7, "min_ratio": 0.4, "length_factor": 0},
        {"split_error": 0.5, "matching": "hungarian", "near": 12, "min_keypoints": 2},
    ],
)
def test_random_maps_give_what_the_reference_finds(coco18, rng, settings):
    decoder = make(coco18, **{"complete": 0, **settings})
    for size in ((9, 12), (6, 5), (1, 7), (3, 1), (12, 9)):
        heat, paf = scenes.random_fields(coco18, rng, size)
        keypoints, scores = reference.decode(heat, paf, coco18, decoder.settings, 8, 7.0)
        found = decoder(heat, paf)
        assert found.keypoints.shape == keypoints.shape
        np.testing.assert_allclose(found.scores, scores, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(found.keypoints, keypoints, rtol=1e-4, atol=1e-3)


def test_noisy_people_are_those_that_the_reference_finds(coco18, rng):
    people = [scenes.figure(coco18, 60, 10, 110), scenes.figure(coco18, 66, 14, 100)]
    heat, paf = scenes.fields(coco18, people, (128, 128))
    decoder = make(coco18, complete=0)
    for noise in (0, 0.02, 0.1):
        noisy = [f.numpy() + rng.normal(0, noise, f.shape).astype(np.float32) for f in (heat, paf)]
        keypoints, scores = reference.decode(*noisy, coco18, decoder.settings, 8, 7.0)
        found = decoder(*noisy)
        np.testing.assert_allclose(found.scores, scores, rtol=1e-4)
        np.testing.assert_allclose(found.keypoints, keypoints, atol=1e-3)


def test_a_batch_is_its_pictures_and_valid_is_a_crop(coco18, rng):
    decoder = make(coco18)
    pairs = [scenes.random_fields(coco18, rng, (14, 16)) for _ in range(4)]
    heat, paf = (torch.from_numpy(np.stack(part)) for part in zip(*pairs, strict=True))
    valid = torch.tensor([[112, 128], [57, 128], [96, 41], [1, 1]])
    cells = [(14, 16), (8, 16), (12, 6), (1, 1)]
    for found, h, p, (rows, cols) in zip(
        decoder.decode_batch(heat, paf, valid), heat, paf, cells, strict=True
    ):
        alone = decoder(h[:, :rows, :cols], p[:, :rows, :cols])
        assert torch.equal(found.keypoints, alone.keypoints)
        assert torch.equal(found.scores, alone.scores)
    whole = decoder.decode_batch(heat, paf)
    assert torch.equal(whole[1].keypoints, decoder(heat[1], paf[1]).keypoints)
    assert decoder.decode_batch(heat[:0], paf[:0]) == []


def test_batches_share_threads_and_do_not_collect_them(coco18, rng):
    decoder = make(coco18)
    heat, paf = (torch.from_numpy(np.stack(part)) for part in zip(*[
        scenes.random_fields(coco18, rng, (14, 16)) for _ in range(6)
    ], strict=True))  # fmt: skip
    first = decoder.decode_batch(heat, paf)
    for _ in range(20):
        for again, before in zip(decoder.decode_batch(heat, paf), first, strict=True):
            assert torch.equal(again.keypoints, before.keypoints)
            assert torch.equal(again.scores, before.scores)
    threads = [t for t in threading.enumerate() if t.name.startswith("pafpose-decode")]
    assert len(threads) <= (os.cpu_count() or 1)
    fields = heat.clone()
    fields[3, 0, 0, 0] = float("nan")
    with pytest.raises(PafposeError, match="NaN"):
        decoder.decode_batch(fields, paf)
    assert len(decoder.decode_batch(heat, paf)) == 6


FORK = """
import os, sys, warnings
warnings.simplefilter("ignore")
from pafpose import build_decoder, load_config
import numpy as np
decoder = build_decoder(load_config([]))
heat = np.zeros((4, decoder.num_heatmaps, 8, 8), np.float32)
paf = np.zeros((4, decoder.num_pafs, 8, 8), np.float32)
os.cpu_count = lambda: 2
assert len(decoder.decode_batch(heat, paf)) == 4
child = os.fork()
if child == 0:
    assert len(decoder.decode_batch(heat, paf)) == 4
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_a_fork_has_threads_of_its_own():
    done = subprocess.run(
        [sys.executable, "-c", FORK], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == ["7"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_float_type(coco18, dtype):
    people = [scenes.figure(coco18, 90, 20, 140)]
    heat, paf = scenes.fields(coco18, people, (184, 184))
    found = make(coco18)(heat.to(dtype), paf.to(dtype))
    assert found.keypoints.shape == (1, 18, 3)
    assert found.keypoints.dtype == torch.float32
    assert distance(found, people[0]) < 1.5


def test_fields_may_lie_in_memory_as_they_like(coco18, rng):
    """Views, transposed, read-only or with a gradient: they are read, never changed."""
    heat, paf = scenes.random_fields(coco18, rng, (14, 16))
    decoder = make(coco18)
    expected = decoder(heat.copy(), paf.copy())
    sealed = heat.copy(), paf.copy()
    for field in sealed:
        field.flags.writeable = False
    torches = [torch.from_numpy(f.copy()) for f in (heat, paf)]
    for fields in (
        sealed,
        [np.ascontiguousarray(f[:, ::-1])[:, ::-1] for f in (heat, paf)],
        [f.clone().requires_grad_() for f in torches],
        [f.permute(1, 2, 0).contiguous().permute(2, 0, 1) for f in torches],
        [f.double() for f in torches],
    ):
        found = decoder(*fields)
        assert torch.equal(found.keypoints, expected.keypoints)
        assert torch.equal(found.scores, expected.scores)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("which", ["heatmaps", "pafs"])
def test_nan_and_infinity_are_named(coco18, bad, which):
    fields = {"heatmaps": torch.zeros(19, 6, 7), "pafs": torch.zeros(38, 6, 7)}
    fields[which][3, 2, 5] = bad
    with pytest.raises(PafposeError, match=f"NaN or infinity in {which}"):
        make(coco18)(**fields)


@pytest.mark.parametrize("value", [0.0, -3.0, 0.1])
def test_flat_maps_hold_nobody(coco18, value):
    found = make(coco18)(torch.full((19, 8, 8), value), torch.full((38, 8, 8), value))
    assert found.keypoints.shape == (0, 18, 3)
    assert found.scores.shape == (0,)


def test_plateaus_and_ties_are_decided_the_same_way_every_time(coco18):
    heat, paf = torch.zeros(19, 10, 10), torch.zeros(38, 10, 10)
    heat[5, 2:4, 2:4] = heat[6, 2:4, 6:8] = heat[17, 2:4, 4:6] = 0.8  # shoulders and neck: flat tops
    heat[5, 7, 3] = heat[6, 7, 7] = heat[17, 7, 5] = 0.8
    paf[2 * 6], paf[2 * 10] = 1.0, -1.0  # neck-right shoulder and neck-left shoulder
    settings = {"split_error": 0, "near": 0}
    first = make(coco18, **settings)(heat, paf)
    keypoints, scores = reference.decode(
        heat.numpy(), paf.numpy(), coco18, DecodeSettings(**settings), 8, 7.0
    )
    assert len(scores) == 2
    for _ in range(3):
        assert torch.equal(make(coco18, **settings)(heat, paf).keypoints, first.keypoints)
    np.testing.assert_allclose(first.keypoints, keypoints, atol=1e-4)


def test_a_noise_map_of_many_peaks_ends_soon(coco18, rng):
    heat, paf = rng.uniform(0.1, 1, (19, 64, 64)), rng.uniform(-1, 1, (38, 64, 64))
    decoder = make(coco18, max_peaks=500)
    decoder.warm_up()
    start = time.perf_counter()
    people = decoder(heat, paf)
    assert time.perf_counter() - start < 20  # half a second on an idle core
    assert torch.isfinite(people.keypoints).all()


def test_max_peaks_bounds_what_is_kept_where_every_pair_passes(coco18, rng):
    heat, paf = rng.uniform(0.1, 1, (19, 64, 64)).astype(np.float32), np.full((38, 64, 64), 0.7, np.float32)
    decoder = make(coco18, max_peaks=20)
    steps = decode_steps(decoder, heat, paf)
    assert 20 <= np.diff(steps.starts).max() <= 2 * 20
    assert 1000 < len(steps.scores) <= coco18.num_limbs * (2 * 20) ** 2
    assert len(decoder(heat, paf).scores) <= len(steps.peaks) <= 18 * 2 * 20


def test_an_unscored_neck_alone_is_nobody(coco18):
    heat, paf = torch.zeros(19, 6, 6), torch.zeros(38, 6, 6)
    heat[17, 3, 3] = 1
    decoder = make(coco18, min_keypoints=1, min_sum_per_keypoint=0)
    assert len(decoder(heat, paf).scores) == 0
    heat[0, 1, 4] = 1
    assert decoder(heat, paf).keypoints[0, 0].tolist() == [35.5, 11.5, 1.0]


def test_wrong_shapes_name_what_was_expected(coco18):
    decoder = make(coco18)
    with pytest.raises(PafposeError, match=r"heatmaps of shape \(18, 5, 5\), expected \(19, h, w\)"):
        decoder(torch.zeros(18, 5, 5), torch.zeros(38, 5, 5))
    with pytest.raises(PafposeError, match=r"\(1, 34, 5, 5\), expected \(B, 38, h, w\).*19 limbs"):
        decoder.decode_batch(torch.zeros(1, 19, 5, 5), torch.zeros(1, 34, 5, 5))
    with pytest.raises(PafposeError, match="same batch size, height and width"):
        decoder(torch.zeros(19, 5, 5), torch.zeros(38, 5, 6))
    with pytest.raises(PafposeError, match="valid must be"):
        decoder.decode_batch(torch.zeros(2, 19, 5, 5), torch.zeros(2, 38, 5, 5), torch.tensor([[40, 40]]))
    assert len(make(coco18, background=False)(torch.zeros(18, 5, 5), torch.zeros(38, 5, 5)).scores) == 0


def test_bad_stride_or_sigma_is_refused(coco18):
    with pytest.raises(PafposeError, match="heatmap_sigma"):
        make(coco18, sigma=0)


def test_values_are_checked_bit_by_bit():
    assert within_limit(np.array([0, -1e6, 1e-45, 1e6], np.float32))
    for bad in (np.nan, -np.nan, np.inf, -np.inf, 1.001e6, -1e28):
        for size in (1, 7, 8, 9, 40, 43):
            for place in range(size):
                values = np.linspace(-1e6, 1e6, size, dtype=np.float32)
                assert within_limit(values)
                values[place] = bad
                assert not within_limit(values)


@pytest.mark.parametrize("which", ["heatmaps", "pafs"])
@pytest.mark.parametrize("value", [1e28, -1e28, 2e6])
def test_finite_values_that_no_field_has_are_refused(coco18, which, value):
    fields = {"heatmaps": torch.zeros(19, 6, 7), "pafs": torch.zeros(38, 6, 7)}
    fields[which][3, 2, 5] = value
    with pytest.raises(PafposeError, match=rf"values beyond 1,000,000 in {which}"):
        make(coco18)(**fields)


@pytest.mark.timeout(120, method="thread")  # ranks beyond float32 once made the matching endless
@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1e3, 1e6])
@pytest.mark.parametrize("peak_weight", [0, 0.5, 10])
def test_fields_of_any_scale_end_in_finite_people(coco18, rng, scale, peak_weight):
    settings = {"peak_threshold": 0, "min_support": 0, "min_keypoints": 1, "min_sum_per_keypoint": 0}
    decoder = make(coco18, peak_weight=peak_weight, **settings)
    for spread in (0, 20):  # powers of ten between the values of one map
        heat, paf = rng.uniform(0, scale, (19, 12, 12)), rng.uniform(-scale, scale, (38, 12, 12))
        heat, paf = (field * 10 ** -rng.uniform(0, max(spread, 1e-9), field.shape) for field in (heat, paf))
        people = decoder(heat, paf)
        assert len(people.scores) > 0
        assert torch.isfinite(people.keypoints).all() and torch.isfinite(people.scores).all()


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_cuda_gives_the_answer_of_the_cpu(coco18, rng, dtype):
    pairs = [scenes.random_fields(coco18, rng, (46, 46)) for _ in range(4)]
    heat, paf = (torch.from_numpy(np.stack(part)).to(dtype) for part in zip(*pairs, strict=True))
    decoder, valid = make(coco18), torch.tensor([[368, 368], [200, 368], [368, 120], [1, 1]])
    here = decoder.decode_batch(heat, paf, valid)
    for fields in ((heat.cuda(), paf.cuda()), (heat.cuda(), paf), (heat, paf.cuda())):
        for one, other in zip(here, decoder.decode_batch(*fields, valid), strict=True):
            assert other.keypoints.device == other.scores.device == fields[0].device
            assert torch.equal(other.keypoints.cpu(), one.keypoints)
            assert torch.equal(other.scores.cpu(), one.scores)
    assert decoder(heat[0].cuda(), paf[0].cuda()).keypoints.is_cuda


@pytest.mark.gpu
def test_work_that_is_still_under_way_on_cuda_is_waited_for(coco18, rng):
    heat, paf = (torch.from_numpy(field) for field in scenes.random_fields(coco18, rng, (46, 46)))
    decoder = make(coco18)
    expected = decoder(heat, paf)
    for _ in range(5):
        busy = torch.rand(4096, 4096, device="cuda")
        for _ in range(20):
            busy = busy @ busy / 4096
        late = [(field.cuda() + 0 * busy[0, 0]) for field in (heat, paf)]
        assert torch.equal(decoder(*late).keypoints.cpu(), expected.keypoints)


def test_more_keypoints_than_the_skeleton_has_are_refused(coco18):
    with pytest.raises(PafposeError, match=r"min_keypoints=19.*18 keypoints.*decode.min_keypoints"):
        make(coco18, min_keypoints=19)
