"""Parameter groups: every parameter once, with the rate and decay that the config asks for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from pafpose.config import load_config
from pafpose.errors import PafposeError
from pafpose.models import PoseNetwork
from pafpose.models.backbones.small import SmallBackbone
from pafpose.models.heads.single import SingleHead
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


def test_every_kind_has_its_own_decay() -> None:
    network = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.BatchNorm2d(4), nn.Conv2d(4, 8, 1))
    settings = GroupSettings(bias_decay=0.2, norm_decay=0.3, depthwise_decay=0.4)
    groups = parameter_groups(network, settings, lr=1.0, weight_decay=10.0)
    assert {g["name"]: g["weight_decay"] for g in groups} == {
        "head/depthwise": 4, "head/bias": 2, "head/norm": 3, "head/weights": 10
    }  # fmt: skip


@pytest.mark.parametrize(("option", "separate"), [("adamw", False), ("muon", True)])
def test_output_layers_are_separate_where_the_optimiser_asks(
    network: PoseNetwork, option: str, separate: bool
) -> None:
    optimizer = build_optimizer(network, load_config([f"optimizer={option}"]).optimizer)
    assert ("head/output" in {group["name"] for group in optimizer.param_groups}) is separate


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
    assert not torch.equal(before, network.head.initial.output.weight)
