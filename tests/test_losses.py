"""The loss: values by hand, masks, independence of batch and ranks, nothing that waits for the device."""

from __future__ import annotations

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
from pafpose.losses import PENALTIES, REDUCTIONS, FieldLoss, hardest

B, C, P, H, W = 2, 3, 4, 5, 6


def scene(seed: int = 0, batch: int = B) -> tuple[Fields, Targets]:
    g = torch.Generator().manual_seed(seed)
    rand = lambda *shape: torch.rand(*shape, generator=g)  # noqa: E731
    fields = Fields(rand(batch, C, H, W), rand(batch, P, H, W) * 2 - 1)
    weights = (rand(batch, 1, H, W) > 0.3).float()
    return fields, Targets(rand(batch, C, H, W), rand(batch, P, H, W) * 2 - 1, weights, weights.clone())


def total(terms: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum()


def test_caffe_is_the_masked_sum_over_two_b() -> None:
    fields, t = scene()
    terms = FieldLoss()([fields, fields], t)
    expected = ((fields.heatmaps - t.heatmaps) ** 2 * t.heatmap_weights).sum() / (2 * B)
    assert list(terms) == ["heatmap_stage1", "paf_stage1"]  # the same tensors count once
    torch.testing.assert_close(terms["heatmap_stage1"], expected)


def test_mean_is_over_unmasked_values() -> None:
    fields, t = scene()
    terms = FieldLoss(reduction="mean")([fields], t)
    chosen = (fields.pafs - t.pafs)[t.paf_weights.expand_as(t.pafs) > 0]
    torch.testing.assert_close(terms["paf_stage1"], chosen.square().mean())


@pytest.mark.parametrize(
    ("kind", "expected"), [("l2", 0.25), ("l1", 0.5), ("smooth_l1", 0.5 - 0.05), ("focal_l2", 0.25 * 0.48)]
)
def test_penalties_by_hand(kind: str, expected: float) -> None:
    """Prediction 0.5 where nothing is: focal s = 1 - 0.5 - 0.02, factor 1 - s = 0.52."""
    p, t = torch.full((1, 2, 1, 1), 0.5), torch.zeros(1, 2, 1, 1)
    one = torch.ones(1, 1, 1, 1)
    loss = FieldLoss(heatmaps=kind, reduction="mean", background=False)
    value = loss([Fields(p, None)], Targets(t, t, one, one))["heatmap_stage1"]
    if kind == "focal_l2":
        expected = 0.25 * 0.52
    assert value.item() == pytest.approx(expected)


def test_focal_pafs_by_hand() -> None:
    """On a limb along x: s = 0.5 - 0.1, factor 0.6; off it |p| = 0.5: factor 0.52."""
    one = torch.ones(1, 1, 1, 1)
    p = torch.tensor([0.5, 0.0]).view(1, 2, 1, 1)
    loss = FieldLoss(pafs="focal_l2", reduction="caffe")
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
    fields, t = scene()
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


@pytest.mark.parametrize("kind", PENALTIES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_fully_masked_sample_gives_zero_and_no_nan(kind: str, reduction: str) -> None:
    fields, t = scene()
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
    fields, t = scene()
    loss = FieldLoss(heatmaps=kind, pafs=kind, reduction=reduction)
    once = total(loss([fields], t))
    twice = total(
        loss([Fields(*(f.repeat(2, 1, 1, 1) for f in fields))], Targets(*(x.repeat(2, 1, 1, 1) for x in t)))
    )
    torch.testing.assert_close(once, twice)


@pytest.mark.parametrize("kind", PENALTIES)
def test_gradients_are_right(kind: str) -> None:
    """Against finite differences; the focal factor is a constant weight, so it is checked by its sign."""
    fields, t = scene()
    loss = FieldLoss(heatmaps=kind, pafs=kind)
    heat = fields.heatmaps.requires_grad_()
    total(loss([Fields(heat, fields.pafs)], t)).backward()
    wrong = (heat.detach() - t.heatmaps).sign() * heat.grad
    assert (wrong >= 0).all()


def test_float32_inside_autocast() -> None:
    fields, t = scene()
    half = Fields(fields.heatmaps.bfloat16(), fields.pafs.bfloat16())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = total(FieldLoss()([half], t))
    assert value.dtype == torch.float32


def test_shapes_that_differ_are_explained() -> None:
    fields, t = scene()
    with pytest.raises(PafposeError, match="built from one config"):
        FieldLoss()([Fields(fields.heatmaps[:, :2], fields.pafs)], t)


def test_per_channel_terms_average_to_the_mean() -> None:
    fields, t = scene()
    heatmaps, pafs = FieldLoss(reduction="mean").per_channel(fields, t)
    terms = FieldLoss(reduction="mean")([fields], t)
    assert heatmaps.shape == (C,)
    assert pafs.shape == (P // 2,)
    torch.testing.assert_close(heatmaps.mean(), terms["heatmap_stage1"])
    torch.testing.assert_close(pafs.mean(), terms["paf_stage1"])


def test_nothing_waits_for_the_device() -> None:
    """Fake tensors have no values, so that any read of one fails."""
    fields, t = scene()
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
    fields, t = scene()
    assert total(build(load_config([f"loss={option}"]).loss)([fields], t)) > 0


def _rank(rank: int, folder: str, reduction: str) -> None:
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=2)
    fields, t = scene(batch=3)
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
    fields, t = scene(batch=3)
    heat = fields.heatmaps.clone().requires_grad_()
    total(FieldLoss(heatmaps="ohkm", reduction=reduction)([Fields(heat, fields.pafs)], t)).backward()
    parts = torch.cat([torch.load(tmp_path / f"{rank}.pt") for rank in range(2)])
    torch.testing.assert_close(parts, heat.grad, rtol=1e-5, atol=1e-7)
