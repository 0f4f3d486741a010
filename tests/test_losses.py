"""The loss: values by hand, gradients in closed form, masks, batches, ranks; nothing waits for the device."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from pafpose.config import build, load_config
from pafpose.errors import PafposeError
from pafpose.fields import Fields, Targets
from pafpose.losses import REDUCTIONS, FieldLoss, hardest, penalties

B, C, P, H, W = 2, 3, 4, 5, 6
BETA, GAMMA, FOREGROUND = 0.3, 1.5, 2.0
PENALTIES = tuple(penalties(beta=BETA, gamma=GAMMA))


def random_fields(seed: int = 0, batch: int = B) -> tuple[Fields, Targets]:
    """Predictions and targets with background, empty cells and a mask of its own for every channel."""
    g = torch.Generator().manual_seed(seed)
    rand = lambda *shape: torch.rand(*shape, generator=g)  # noqa: E731
    fields = Fields(rand(batch, C, H, W), rand(batch, P, H, W) * 2 - 1)
    occupied = (rand(batch, P // 2, H, W) > 0.4).repeat_interleave(2, 1)
    targets = Targets(
        heatmaps=rand(batch, C, H, W) * (rand(batch, C, H, W) > 0.4),
        pafs=(rand(batch, P, H, W) * 2 - 1) * occupied,
        heatmap_weights=(rand(batch, C, H, W) > 0.3).float(),
        paf_weights=(rand(batch, 1, H, W) > 0.3).float(),
    )
    return fields, targets


def total(terms: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum()


def test_caffe_is_the_masked_sum_over_two_b() -> None:
    fields, t = random_fields()
    terms = FieldLoss()([fields, fields], t)
    expected = ((fields.heatmaps - t.heatmaps) ** 2 * t.heatmap_weights).sum() / (2 * B)
    assert list(terms) == ["heatmap_stage1", "paf_stage1"]  # the same tensors count once
    torch.testing.assert_close(terms["heatmap_stage1"], expected)


def test_mean_is_over_unmasked_values() -> None:
    fields, t = random_fields()
    terms = FieldLoss(reduction="mean")([fields], t)
    for name, p, truth, mask in (
        ("heatmap_stage1", fields.heatmaps, t.heatmaps, t.heatmap_weights),
        ("paf_stage1", fields.pafs, t.pafs, t.paf_weights),
    ):
        counted = (p - truth)[mask.expand_as(truth) > 0]
        torch.testing.assert_close(terms[name], counted.square().mean())


@pytest.mark.parametrize(
    ("kind", "expected"), [("l2", 0.25), ("l1", 0.5), ("smooth_l1", 0.5 - 0.05), ("focal_l2", 0.25 * 0.52)]
)
def test_penalties_by_hand(kind: str, expected: float) -> None:
    """Prediction 0.5 where nothing is: focal s = 1 - 0.5 - 0.02, factor 1 - s = 0.52."""
    p, t = torch.full((1, 2, 1, 1), 0.5), torch.zeros(1, 2, 1, 1)
    one = torch.ones(1, 1, 1, 1)
    loss = FieldLoss(heatmaps=kind, reduction="mean", background=False)
    value = loss([Fields(p, None)], Targets(t, t, one, one))["heatmap_stage1"]
    assert value.item() == pytest.approx(expected)


def test_focal_pafs_by_hand() -> None:
    """On a limb along x: s = 0.5 - 0.1, factor 0.6; off it |p| = 0.5: factor 0.52."""
    one = torch.ones(1, 1, 1, 1)
    p = torch.tensor([0.5, 0.0]).view(1, 2, 1, 1)
    loss = FieldLoss(pafs="focal_l2")
    on = loss([Fields(None, p)], Targets(p, torch.tensor([1.0, 0.0]).view(1, 2, 1, 1), one, one))
    off = loss([Fields(None, p)], Targets(p, torch.zeros(1, 2, 1, 1), one, one))
    assert on["paf_stage1"].item() == pytest.approx(0.25 * 0.6 / 2)
    assert off["paf_stage1"].item() == pytest.approx(0.25 * 0.52 / 2)


def test_mining_keeps_the_hardest_channels_of_each_sample() -> None:
    t = torch.zeros(2, 4, 1, 1)
    p = torch.tensor([[1.0, 2, 3, 0], [4, 0, 0, 0]]).view(2, 4, 1, 1)
    one = torch.ones(2, 1, 1, 1)
    loss = FieldLoss(heatmaps="ohkm", pafs="ohkm", hard_keypoints=0.5, hard_limbs=0.5)
    terms = loss([Fields(p, p)], Targets(t, t, one, one))
    assert terms["heatmap_stage1"].item() == pytest.approx((4 + 9 + 16) / 4)
    assert terms["paf_stage1"].item() == pytest.approx((9 + 16) / 4)  # limbs: pairs of channels
    mean = FieldLoss(heatmaps="ohkm", reduction="mean")([Fields(p, None)], Targets(t, t, one, one))
    assert mean["heatmap_stage1"].item() == pytest.approx((4 + 9 + 16) / 4)


def test_hardest_rounds_up_and_keeps_one() -> None:
    assert hardest(torch.tensor([[1.0, 2.0, 3.0]]), 0.4).tolist() == [[0, 1, 1]]
    assert hardest(torch.tensor([[1.0, 2.0, 3.0]]), 0.01).sum() == 1


def test_weights_of_stages_and_fields() -> None:
    fields, t = random_fields()
    other = Fields(fields.heatmaps + 0.1, fields.pafs)
    loss = FieldLoss(stage_weights=[1, 0.5], heatmap_weight=2, paf_weight=3)
    terms, plain = loss([fields, other], t), FieldLoss()([fields, other], t)
    assert set(terms) == {"heatmap_stage1", "paf_stage1", "heatmap_stage2"}
    torch.testing.assert_close(terms["heatmap_stage2"], plain["heatmap_stage2"])
    torch.testing.assert_close(terms["paf_stage1"], 3 * plain["paf_stage1"])
    with pytest.raises(PafposeError, match="2 weights for 1 stages"):
        loss([fields], t)


def test_foreground_weighs_gaussians_limbs_and_holes_in_the_background() -> None:
    one = torch.ones(1, 1, 1, 1)
    heat = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)  # a keypoint; nothing; background
    paf = torch.tensor([0.6, 0.8, 0.0, 0.0]).view(1, 4, 1, 1)
    loss = FieldLoss(foreground=4, reduction="caffe")
    terms = loss([Fields(heat + 1, paf + 1)], Targets(heat, paf, one, one))
    assert terms["heatmap_stage1"].item() == pytest.approx((5 + 1 + 5) / 2)
    assert terms["paf_stage1"].item() == pytest.approx((5 + 5 + 1 + 1) / 2)


def test_without_a_background_the_last_channel_is_a_keypoint() -> None:
    one = torch.ones(1, 1, 1, 1)
    heat = torch.tensor([0.0, 1.0]).view(1, 2, 1, 1)
    loss = FieldLoss(foreground=4, background=False)
    terms = loss([Fields(heat + 1, None)], Targets(heat, heat, one, one))
    assert terms["heatmap_stage1"].item() == pytest.approx((1 + 5) / 2)


def test_keypoints_and_limbs_are_mined_apart() -> None:
    t, one = torch.zeros(1, 4, 1, 1), torch.ones(1, 1, 1, 1)
    p = torch.tensor([1.0, 2, 3, 0]).view(1, 4, 1, 1)
    loss = FieldLoss(heatmaps="ohkm", pafs="ohkm", hard_keypoints=0.25, hard_limbs=1)
    terms = loss([Fields(p, p.clone())], Targets(t, t, one, one))
    assert terms["heatmap_stage1"].item() == pytest.approx(9 / 2)
    assert terms["paf_stage1"].item() == pytest.approx((1 + 4 + 9) / 2)


def test_ranks_meet_in_training_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """In validation one may have no batch left, and the others would wait for it."""
    met: list[Tensor] = []
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(dist, "all_reduce", met.append)
    fields, t = random_fields()
    with torch.no_grad():
        validated = total(FieldLoss()([fields], t))
    assert not met
    torch.testing.assert_close(total(FieldLoss()([fields], t)), 2 * validated)
    assert len(met) == 1


@pytest.mark.parametrize("kind", PENALTIES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_fully_masked_sample_gives_zero_and_no_nan(kind: str, reduction: str) -> None:
    fields, t = random_fields()
    zero = torch.zeros(B, 1, H, W)
    leaves = Fields(fields.heatmaps.requires_grad_(), fields.pafs.requires_grad_())
    loss = FieldLoss(heatmaps=kind, pafs=kind, reduction=reduction, foreground=2)
    value = total(loss([leaves], Targets(t.heatmaps, t.pafs, zero, zero)))
    value.backward()
    assert value == 0
    assert leaves.heatmaps.grad.abs().max() == 0
    assert leaves.pafs.grad.abs().max() == 0


@pytest.mark.parametrize("kind", PENALTIES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_repeating_the_batch_changes_nothing(kind: str, reduction: str) -> None:
    fields, t = random_fields()
    loss = FieldLoss(heatmaps=kind, pafs=kind, reduction=reduction)
    once = total(loss([fields], t))
    twice = total(
        loss([Fields(*(f.repeat(2, 1, 1, 1) for f in fields))], Targets(*(x.repeat(2, 1, 1, 1) for x in t)))
    )
    torch.testing.assert_close(once, twice)


def focal_factor(p: list[float], t: list[float]) -> float:
    """``|1 - s|^gamma`` of one keypoint's value or one limb's vector, as the publication says."""
    length = math.hypot(*t) if len(t) > 1 else t[0]
    if length >= 0.01:
        s = sum(a * b for a, b in zip(p, t, strict=True)) / length - 0.1
    else:
        s = 1 - (math.hypot(*p) if len(p) > 1 else p[0]) - 0.02
    return abs(1 - s) ** GAMMA


def slopes(kind: str, p: Tensor, t: Tensor, size: int) -> Tensor:
    """The derivative of every penalty with respect to its prediction."""
    difference = p - t
    if kind == "l1":
        return difference.sign()
    if kind == "smooth_l1":
        return (difference / BETA).clamp(-1, 1)
    factor = torch.ones_like(p)
    if kind == "focal_l2":
        for b, n, y, x in itertools.product(range(len(p)), range(p.shape[1] // size), range(H), range(W)):
            at = (b, slice(size * n, size * (n + 1)), y, x)
            factor[at] = focal_factor(p[at].tolist(), t[at].tolist())
    return 2 * difference * factor


def expected_gradient(
    kind: str, reduction: str, p: Tensor, t: Tensor, mask: Tensor, *, size: int, presence: Tensor
) -> Tensor:
    """The gradient in closed form, in float64; ``size`` channels belong together."""
    p, t, presence = p.double(), t.double(), presence.double()
    weights = mask.double().expand_as(p)
    emphasis = 1 + FOREGROUND * presence
    if kind == "ohkm":
        losses = ((p - t).square() * emphasis * weights).sum((2, 3)).unflatten(1, (-1, size)).sum(2)
        kept = losses >= losses.sort(1, descending=True).values[:, [math.ceil(losses.shape[1] / 2) - 1]]
        weights = weights * kept.repeat_interleave(size, 1)[:, :, None, None]
    divisor = 2 * len(p) if reduction == "caffe" else weights.sum()
    return slopes(kind, p, t, size) * emphasis * weights / divisor


@pytest.mark.parametrize("kind", PENALTIES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_gradients_in_closed_form(kind: str, reduction: str) -> None:
    fields, t = random_fields()
    heat, paf = (field.clone().requires_grad_() for field in fields)
    loss = FieldLoss(
        heatmaps=kind, pafs=kind, reduction=reduction, foreground=FOREGROUND, beta=BETA, gamma=GAMMA,
        heatmap_weight=3, paf_weight=0.7, stage_weights=[0.5],
    )  # fmt: skip
    total(loss([Fields(heat, paf)], t)).backward()
    presence = torch.cat([t.heatmaps[:, :-1], 1 - t.heatmaps[:, -1:]], 1)
    expected = expected_gradient(
        kind, reduction, fields.heatmaps, t.heatmaps, t.heatmap_weights, size=1, presence=presence
    )
    torch.testing.assert_close(heat.grad, (0.5 * 3 * expected).float(), rtol=1e-4, atol=1e-6)
    lengths = t.pafs.unflatten(1, (-1, 2)).norm(dim=2).repeat_interleave(2, 1)
    expected = expected_gradient(
        kind, reduction, fields.pafs, t.pafs, t.paf_weights, size=2, presence=lengths
    )
    torch.testing.assert_close(paf.grad, (0.5 * 0.7 * expected).float(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "kind", [kind for kind in PENALTIES if kind != "focal_l2"]
)  # its factor has no gradient
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_gradients_agree_with_finite_differences(kind: str, reduction: str) -> None:
    fields, t = random_fields()
    loss = FieldLoss(heatmaps=kind, pafs=kind, reduction=reduction, foreground=FOREGROUND, beta=BETA)
    leaves = [field.clone().requires_grad_() for field in fields]
    total(loss([Fields(*leaves)], t)).backward()
    ahead = [torch.randn(field.shape, generator=torch.Generator().manual_seed(1)) for field in fields]

    def value(move: float) -> float:
        moved = [field + move * step for field, step in zip(fields, ahead, strict=True)]
        return total(loss([Fields(*moved)], t)).item()

    slope = sum(float((leaf.grad * step).sum()) for leaf, step in zip(leaves, ahead, strict=True))
    assert (value(1e-3) - value(-1e-3)) / 2e-3 == pytest.approx(slope, rel=0.01)


@pytest.mark.parametrize("kind", PENALTIES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_float32_inside_autocast(kind: str, reduction: str) -> None:
    fields, t = random_fields()
    half = Fields(fields.heatmaps.bfloat16(), fields.pafs.bfloat16())
    loss = FieldLoss(heatmaps=kind, pafs=kind, reduction=reduction, foreground=FOREGROUND)
    expected = loss([Fields(half.heatmaps.float(), half.pafs.float())], t)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms, channels = loss([half], t), loss.per_channel(half, t)
    for name, value in expected.items():
        assert terms[name].dtype == torch.float32 and torch.equal(terms[name], value)
    assert {values.dtype for values in channels} == {torch.float32}


def test_shapes_that_differ_are_explained() -> None:
    fields, t = random_fields()
    with pytest.raises(PafposeError, match="built from one config"):
        FieldLoss()([Fields(fields.heatmaps[:, :2], fields.pafs)], t)


@pytest.mark.parametrize("kind", ["l1", "ohkm"])
def test_channels_have_the_mean_penalty_of_their_counted_cells(kind: str) -> None:
    """Mining leaves no channel out here."""
    fields, t = random_fields()
    heatmaps, pafs = FieldLoss(heatmaps=kind, pafs=kind).per_channel(fields, t)
    assert heatmaps.shape == (C,) and pafs.shape == (P // 2,)
    power = {"l1": 1, "ohkm": 2}[kind]
    for n in range(C):
        counted = (fields.heatmaps - t.heatmaps)[:, n][t.heatmap_weights[:, n] > 0]
        torch.testing.assert_close(heatmaps[n], counted.abs().pow(power).mean())
    for n in range(P // 2):
        channels = (fields.pafs - t.pafs)[:, 2 * n : 2 * n + 2]
        counted = channels[t.paf_weights.expand_as(channels) > 0]
        torch.testing.assert_close(pafs[n], counted.abs().pow(power).mean())


def test_a_channel_with_one_counted_cell_has_its_penalty() -> None:
    fields, t = random_fields()
    one = torch.zeros(B, C, H, W)
    one[0, :, 1, 2] = 1
    heatmaps, _ = FieldLoss().per_channel(fields, Targets(*t[:2], one, t.paf_weights))
    torch.testing.assert_close(heatmaps, (fields.heatmaps - t.heatmaps)[0, :, 1, 2] ** 2)


def test_channels_without_a_counted_cell_are_zero_and_carry_no_gradient() -> None:
    fields, t = random_fields()
    none = torch.zeros(B, 1, H, W)
    values = FieldLoss().per_channel(
        Fields(fields.heatmaps.requires_grad_(), fields.pafs), Targets(*t[:2], none, none)
    )
    assert all(value.abs().sum() == 0 and not value.requires_grad for value in values)


def test_a_field_that_is_handed_on_counts_once() -> None:
    fields, t = random_fields()
    later = Fields(fields.heatmaps.clone(), fields.pafs)
    terms = FieldLoss()([fields, Fields(None, fields.pafs), later], t)
    assert list(terms) == ["heatmap_stage1", "paf_stage1", "heatmap_stage3"]


def test_nothing_waits_for_the_device() -> None:
    """Fake tensors have no values, so that any read of one fails."""
    fields, t = random_fields()
    with FakeTensorMode() as mode:
        fake = Fields(*(mode.from_tensor(f) for f in fields))
        targets = Targets(*(mode.from_tensor(x) for x in t))
        for kind in PENALTIES:
            for reduction in REDUCTIONS:
                FieldLoss(heatmaps=kind, pafs=kind, reduction=reduction, foreground=1)([fake], targets)


@pytest.mark.parametrize(
    "bad", [{"heatmaps": "l3"}, {"pafs": "x"}, {"reduction": "sum"}, {"hard_limbs": 0}, {"beta": 0}]
)
def test_wrong_settings_name_the_key(bad: dict[str, object]) -> None:
    with pytest.raises(PafposeError, match=f"loss.{next(iter(bad))}="):
        FieldLoss(**bad)


@pytest.mark.parametrize("option", ["default", "mean", "focal", "hard", "foreground"])
def test_every_option_builds(option: str) -> None:
    fields, t = random_fields()
    assert total(build(load_config([f"loss={option}"]).loss)([fields], t)) > 0


def _rank(rank: int, folder: str, reduction: str) -> None:
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=2)
    fields, t = random_fields(batch=3)
    mine = slice(0, 2) if rank == 0 else slice(2, 3)  # uneven on purpose
    heat = fields.heatmaps[mine].clone().requires_grad_()
    part = Targets(*(x[mine] for x in t))
    loss = FieldLoss(heatmaps="ohkm", reduction=reduction)
    total(loss([Fields(heat, fields.pafs[mine])], part)).backward()
    torch.save(heat.grad / 2, Path(folder) / f"{rank}.pt")  # DDP averages over ranks
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_two_ranks_have_the_gradient_of_the_joint_batch(reduction: str, tmp_path: Path) -> None:
    mp.spawn(_rank, (str(tmp_path), reduction), nprocs=2)
    fields, t = random_fields(batch=3)
    heat = fields.heatmaps.clone().requires_grad_()
    total(FieldLoss(heatmaps="ohkm", reduction=reduction)([Fields(heat, fields.pafs)], t)).backward()
    parts = torch.cat([torch.load(tmp_path / f"{rank}.pt") for rank in range(2)])
    torch.testing.assert_close(parts, heat.grad, rtol=1e-5, atol=1e-7)
