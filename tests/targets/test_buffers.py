"""Memory of targets is used again, never while somebody holds it, nor with what somebody wrote into it."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from pafpose.fields import Targets
from pafpose.skeleton import Skeleton
from pafpose.targets import HeatmapSettings, MaskSettings, PafSettings, TargetBuilder, buffers

SIZE = (96, 128)


def build(skeleton: Skeleton, kernel: str = "numba", **heatmap) -> TargetBuilder:
    return TargetBuilder(
        skeleton,
        heatmap=HeatmapSettings(**heatmap),
        paf=PafSettings(),
        mask=MaskSettings(),
        stride=4,
        kernel=kernel,
    )


def people(skeleton: Skeleton, seed: int, count: int = 4, batch: int = 2) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    k = np.zeros((batch, count, skeleton.num_keypoints, 3))
    k[..., :2] = rng.uniform(-20, 140, (*k.shape[:3], 2))
    k[..., 2] = rng.choice([0, 2], k.shape[:3])
    return torch.from_numpy(skeleton.derive(k))


def fresh(skeleton: Skeleton, seed: int, **heatmap) -> list[torch.Tensor]:
    """What a new builder draws."""
    return [t.clone() for t in build(skeleton, **heatmap)(people(skeleton, seed), SIZE)]


def equal(made: Targets, expected: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(made, expected, strict=True))


def address(targets: Targets) -> list[int]:
    return [t.data_ptr() for t in targets]


@pytest.fixture
def builder(coco18) -> Iterator[TargetBuilder]:
    gc.collect()
    yield build(coco18)


@pytest.mark.parametrize("background", ["max", "sum", "none"])
@pytest.mark.parametrize("merge", ["max", "sum"])
def test_memory_is_used_again_and_holds_nothing_of_before(coco18, background, merge):
    heatmap = {"background": background, "merge": merge}
    builder = build(coco18, **heatmap)
    made = builder(people(coco18, 0), SIZE)
    first = address(made)
    for seed in range(1, 6):
        del made
        made = builder(people(coco18, seed), SIZE)
        assert address(made) == first
        assert equal(made, fresh(coco18, seed, **heatmap))
    del made
    nobody = builder(torch.zeros(2, 0, coco18.num_keypoints, 3), SIZE)
    assert address(nobody) == first
    assert not nobody.pafs.any()
    assert equal(nobody, list(build(coco18, **heatmap)(torch.zeros(2, 0, coco18.num_keypoints, 3), SIZE)))


@pytest.mark.parametrize(
    ("field", "hold"),
    [
        ("heatmaps", lambda t: t),
        ("pafs", lambda t: t[1, 3:5, ::2]),
        ("heatmap_weights", lambda t: t.expand(2, 19, -1, -1)),
        ("pafs", lambda t: t.detach().data),
        ("heatmaps", lambda t: (t * torch.ones(1, requires_grad=True)).sum()),  # a graph that saves it
        ("pafs", lambda t: t.numpy()),
        ("pafs", np.from_dlpack),
        ("pafs", lambda t: t.untyped_storage()),
    ],
    ids=["tensor", "view", "expanded", "data", "graph", "array", "dlpack", "storage"],
)
def test_what_is_held_is_never_drawn_over(coco18, builder, field, hold):
    made = builder(people(coco18, 0), SIZE)
    taken, held = getattr(made, field).data_ptr(), hold(getattr(made, field))
    del made
    for seed in range(1, 8):
        other = builder(people(coco18, seed), SIZE)
        assert taken not in address(other)
        assert equal(other, fresh(coco18, seed))
    del held


def test_held_results_keep_their_values(coco18, builder):
    held = [builder(people(coco18, seed), SIZE) for seed in range(6)]
    for seed, made in enumerate(held):
        assert equal(made, fresh(coco18, seed))


@pytest.mark.parametrize(
    "write",
    [
        lambda t: t.pafs.add_(1),
        lambda t: t.heatmaps[0, -1].zero_(),
        lambda t: t.heatmap_weights.mul_(0.5),
        lambda t: t.pafs.numpy().fill(7),
        lambda t: np.asarray(t.heatmaps).fill(7),
        lambda t: t.heatmap_weights.numpy().fill(7),
        lambda t: t.pafs.share_memory_().fill_(3),
        lambda t: t.pafs.resize_(10).fill_(3),
        lambda t: t.heatmaps.resize_(10**6).fill_(3),
        lambda t: t.pafs.unsqueeze_(0).fill_(3),
        lambda t: t.heatmaps.requires_grad_(),
    ],
)
@pytest.mark.parametrize("inference", [False, True])
def test_what_a_borrower_wrote_is_gone(coco18, builder, write, inference):
    for seed in range(4):
        with torch.inference_mode(inference):
            made = builder(people(coco18, seed), SIZE)
            assert equal(made, fresh(coco18, seed))
            assert not any(t.requires_grad for t in made)
            write(made)
            del made


def test_memory_that_moved_to_another_process_is_left_alone(coco18, builder):
    made = builder(people(coco18, 0), SIZE)
    made.pafs.share_memory_()
    shared = made.pafs.untyped_storage()
    kept = made.pafs.clone()
    del made
    builder(people(coco18, 1), SIZE)
    assert torch.equal(torch.empty(0).set_(shared, 0, kept.shape), kept)


def test_other_sizes_and_batches_take_turns(coco18, builder):
    for seed in range(12):
        size, batch = ((96, 128), 2) if seed % 3 else ((64, 64), 1 + seed % 2)
        k = people(coco18, seed, count=seed % 5, batch=batch)
        assert equal(builder(k, size), list(build(coco18)(k, size)))


def test_what_is_kept_is_bounded(coco18, builder, monkeypatch):
    made = builder(people(coco18, 0), SIZE)
    one = sum(t.nbytes for t in made[:3])
    monkeypatch.setattr(buffers, "KEPT_BYTES", 3 * one)
    held = [builder(people(coco18, seed), SIZE) for seed in range(20)]
    assert len(builder._pool) <= 3 + 2
    for seed in range(20):  # other sizes push what nobody asks for out
        builder(people(coco18, seed), (96, 4 * (seed + 1)))
    assert sum(b.size for b in list(builder._pool._lent)[:-2]) <= 3 * one
    assert all(equal(made, fresh(coco18, seed)) for seed, made in enumerate(held))


def test_threads_do_not_share(coco18, builder):
    expected = [fresh(coco18, seed) for seed in range(8)]
    wrong = []

    def work(seed: int) -> None:
        for _ in range(60):
            made = builder(people(coco18, seed), SIZE)
            if not equal(made, expected[seed]):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_copies_start_with_no_memory(coco18, builder):
    made = builder(people(coco18, 0), SIZE)
    for other in (copy.deepcopy(builder), pickle.loads(pickle.dumps(builder))):
        assert len(other._pool) == 0
        assert equal(other(people(coco18, 0), SIZE), list(made))


def test_without_counting_holders_nothing_is_used_again(coco18, builder, monkeypatch):
    monkeypatch.setattr(buffers, "_tensors", None)
    builder(people(coco18, 0), SIZE)
    assert len(builder._pool) == 0
    assert equal(builder(people(coco18, 1), SIZE), fresh(coco18, 1))


def test_only_windows_are_touched_again(coco18, builder):
    """The seam that makes cost follow people: what lies outside the windows is neither cleared nor drawn."""
    person = torch.zeros(1, 1, coco18.num_keypoints, 3)
    person[..., :2], person[..., 2] = 100.0, 2.0
    made = builder(person, (400, 400))
    kernel_view = builder._pool._lent[0].pafs.array
    del made
    kernel_view[0, :, -1, -1] = 5  # unseen, as no borrower can
    again = builder(person, (400, 400))
    assert (again.pafs[0, :, -1, -1] == 5).all()
    assert not again.pafs[0, :, :-1].gt(1).any()


def test_counting_limb_types_begins_again_before_it_overflows(coco18, builder, monkeypatch):
    monkeypatch.setattr(buffers, "TURNS", 3 * 2 * coco18.num_limbs)  # three batches of two pictures
    for seed in range(10):
        assert equal(builder(people(coco18, seed), SIZE), fresh(coco18, seed))
    assert builder._pool.take((2, builder.num_heatmaps, 24, 32), (2, builder.num_pafs, 24, 32)).turn <= (
        buffers.TURNS
    )


def test_batches_of_any_number_of_people_take_turns_in_threads(coco18, builder):
    wrong = []

    def draw(seed: int) -> None:
        for n in range(20):
            if not equal(builder(people(coco18, n, count=seed + n % 3), SIZE), wanted[seed, n]):
                wrong.append((seed, n))

    wanted = {
        (seed, n): [t.clone() for t in build(coco18)(people(coco18, n, count=seed + n % 3), SIZE)]
        for seed in (1, 5)
        for n in range(20)
    }
    threads = [threading.Thread(target=draw, args=(seed,)) for seed in (1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
