"""Parameter groups and schedules: every parameter once, multipliers as said, rates by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from pafpose.config import build, load_config
from pafpose.errors import PafposeError
from pafpose.models import PoseNetwork
from pafpose.models.backbones.small import SmallBackbone
from pafpose.models.heads.single import SingleHead
from pafpose.training import optim
from pafpose.training.optim import GroupSettings, build_optimizer, parameter_groups

CONF = Path(__file__).resolve().parents[2] / "conf"


@pytest.fixture
def network() -> PoseNetwork:
    backbone = SmallBackbone(stride=8, out_channels=16, widths=(8, 16), depths=(1, 1))
    return PoseNetwork(backbone, SingleHead(16, 19, 38, stages=2, blocks=1))


def test_every_trainable_parameter_is_in_one_group(network: PoseNetwork) -> None:
    network.backbone.trunk.requires_grad_(False)
    groups = parameter_groups(network, GroupSettings(), lr=1.0, weight_decay=0.1)
    ids = [id(p) for group in groups for p in group["params"]]
    assert len(ids) == len(set(ids))
    assert set(ids) == {id(p) for p in network.parameters() if p.requires_grad}
    assert not any(group["name"].startswith("backbone") for group in groups)


def test_the_papers_multipliers(network: PoseNetwork) -> None:
    optimizer = build_optimizer(network, load_config(["optimizer=cao2017"]).optimizer)
    rates = {g["name"]: (g["lr"], g["weight_decay"]) for g in optimizer.param_groups}
    assert rates["backbone/weights"] == pytest.approx((4e-5, 5e-4))
    assert rates["head/bias"] == pytest.approx((8e-5, 0))
    assert rates["refinement/weights"] == pytest.approx((1.6e-4, 5e-4))
    assert rates["refinement/bias"] == pytest.approx((3.2e-4, 0))
    assert isinstance(optimizer, torch.optim.SGD)
    assert optimizer.param_groups[0]["momentum"] == 0.9


def test_batchnorm_and_prelu_do_not_decay() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.PReLU(4))
    groups = {
        g["name"]: g for g in parameter_groups(network, GroupSettings(bias=2), lr=1.0, weight_decay=1.0)
    }
    assert len(groups["head/norm"]["params"]) == 3
    assert groups["head/norm"]["weight_decay"] == 0
    assert groups["head/norm"]["lr"] == 1
    assert groups["head/bias"]["lr"] == 2


def test_lightweights_depthwise_layers_do_not_decay() -> None:
    network = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4, bias=False), nn.Conv2d(4, 8, 1), nn.Conv2d(1, 2, 3))
    optimizer = build_optimizer(network, load_config(["optimizer=lightweight2018"]).optimizer)
    decays = {g["name"]: (g["weight_decay"], len(g["params"])) for g in optimizer.param_groups}
    assert decays == {"head/depthwise": (0, 1), "head/weights": (5e-4, 2), "head/bias": (0, 2)}
    plain = build_optimizer(network, load_config(["optimizer=adamw"]).optimizer)
    assert [g["name"] for g in plain.param_groups] == ["head/weights", "head/bias"]


def test_a_frozen_network_is_an_error(network: PoseNetwork) -> None:
    network.requires_grad_(False)
    with pytest.raises(PafposeError, match="no trainable parameter"):
        parameter_groups(network, GroupSettings(), lr=1.0, weight_decay=0.0)


def test_negative_multipliers_are_refused() -> None:
    with pytest.raises(PafposeError, match=r"optimizer\.groups\.bias"):
        GroupSettings(bias=-1)


@pytest.mark.parametrize("option", sorted(p.stem for p in (CONF / "optimizer").glob("*.yaml")))
def test_every_optimizer_steps(network: PoseNetwork, option: str) -> None:
    optimizer = build_optimizer(network, load_config([f"optimizer={option}"]).optimizer)
    before = network.head.initial.output.weight.detach().clone()
    network(torch.rand(2, 3, 32, 32))[-1].pafs.square().sum().backward()
    optimizer.step()
    assert not torch.equal(before, network.head.initial.output.weight) or option.endswith("unused")


def rates(schedule: object, steps: int) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = schedule(optimizer)
    out = []
    for _ in range(steps):
        out.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return out


def test_linear_warms_up_and_falls_evenly() -> None:
    got = rates(lambda o: optim.linear(o, 100, warmup=4, final=0.1), 101)
    assert got[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert got[52] == pytest.approx(0.55) and got[100] == pytest.approx(0.1)
    assert rates(lambda o: optim.linear(o, 100, warmup=0.04, final=0.1), 101) == pytest.approx(got)


def test_cosine_warms_up_and_ends_low() -> None:
    got = rates(lambda o: optim.cosine(o, 100, warmup=4, final=0.1), 101)
    assert got[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert got[4] == pytest.approx(1.0)
    assert got[52] == pytest.approx(0.1 + 0.9 * 0.5, abs=1e-6)
    assert got[100] == pytest.approx(0.1)
    assert rates(lambda o: optim.cosine(o, 100, warmup=0.04, final=0.1), 101) == pytest.approx(got)


def test_step_and_multistep_by_hand() -> None:
    assert rates(lambda o: optim.step(o, None, every=2, gamma=0.1), 5) == pytest.approx(
        [1, 1, 0.1, 0.1, 0.01]
    )
    got = rates(lambda o: optim.multistep(o, 10, milestones=[0.2, 3], gamma=0.5), 5)
    assert got == pytest.approx([1, 1, 0.5, 0.25, 0.25])
    assert rates(lambda o: optim.constant(o, None), 3) == [1, 1, 1]


def test_the_papers_steps() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=4e-5)
    factor = build(
        load_config(["scheduler=step"]).scheduler, optimizer=optimizer, total_steps=None
    ).lr_lambdas[0]
    assert [factor(n) for n in (0, 136105, 136106, 272212)] == pytest.approx([1, 1, 0.333, 0.333**2])


def test_the_seeds_steps_come_at_50_and_100_of_150_epochs() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1)
    node = load_config(["scheduler=part_affinity"]).scheduler
    factor = build(node, optimizer=optimizer, total_steps=150 * 7).lr_lambdas[0]
    assert [factor(n * 7) for n in (0, 49, 50, 99, 100, 149)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_a_fraction_of_a_very_short_run_is_still_a_step() -> None:
    assert rates(lambda o: optim.step(o, 2, every=0.3333334, gamma=0.1), 2) == pytest.approx([1, 0.1])
    with pytest.raises(PafposeError, match=r"scheduler\.every=0"):
        optim.step(torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1), 100, every=0, gamma=0.1)


@pytest.mark.parametrize("total", [None, math.inf, -1])
def test_an_endless_run_needs_a_length(total: float | None) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1)
    with pytest.raises(PafposeError, match=r"trainer\.max_steps"):
        optim.cosine(optimizer, total)


@pytest.mark.parametrize("option", sorted(p.stem for p in (CONF / "scheduler").glob("*.yaml")))
def test_every_scheduler_builds_and_resumes_as_plain_values(option: str) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1)
    scheduler = build(load_config([f"scheduler={option}"]).scheduler, optimizer=optimizer, total_steps=100)
    state = scheduler.state_dict()
    assert state["lr_lambdas"] == [None]
