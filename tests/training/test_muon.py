"""Muon takes the steps of another implementation; whatever is not a matrix takes AdamW's."""

from __future__ import annotations

import copy

import pytest
import torch
from timm.optim.muon import Muon as Reference
from torch import Tensor, nn

from pafpose.config import load_config
from pafpose.errors import PafposeError
from pafpose.models import PoseNetwork
from pafpose.models.backbones.small import SmallBackbone
from pafpose.models.heads.single import SingleHead
from pafpose.training.muon import Muon, orthogonalise
from pafpose.training.optim import build_optimizer


@pytest.fixture
def network() -> PoseNetwork:
    torch.manual_seed(0)
    backbone = SmallBackbone(stride=8, out_channels=16, widths=(8, 16), depths=(1, 1))
    return PoseNetwork(backbone, SingleHead(16, 19, 38, stages=2, blocks=1))


def train(network: PoseNetwork, optimizer: torch.optim.Optimizer, steps: int) -> dict[str, Tensor]:
    """Parameters after some steps on one fixed batch."""
    images = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(1)).float()
    for _ in range(steps):
        optimizer.zero_grad()
        sum(field.square().sum() for stage in network(images) for field in stage).backward()
        optimizer.step()
    return {name: p.detach().clone() for name, p in network.named_parameters()}


def test_steps_are_those_of_another_implementation() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(8, 4, 3, 3), (8, 4, 3, 3), (64, 2, 3, 3), (5, 7)]  # two of one shape, a tall one, a matrix
    starts = [torch.randn(*shape, generator=generator) for shape in shapes]
    ours, theirs = ([nn.Parameter(start.clone()) for start in starts] for _ in range(2))
    first = Muon(
        [{"name": "head/weights", "params": ours, "lr": 0.1, "weight_decay": 0.05}], lr=0.1, momentum=0.9
    )
    second = Reference(
        theirs, lr=0.1, weight_decay=0.05, momentum=0.9, nesterov=True, ns_coefficients="original",
        adjust_lr_fn="original",
    )  # fmt: skip
    for _ in range(3):
        for p, q in zip(ours, theirs, strict=True):
            p.grad = torch.randn(p.shape, generator=generator)
            q.grad = p.grad.clone()
        first.step()
        second.step()
    for p, q in zip(ours, theirs, strict=True):
        assert torch.allclose(p, q, atol=0.01)  # theirs iterates in bfloat16


def test_the_rest_takes_the_steps_of_adamw() -> None:
    starts = [torch.randn(4), torch.randn(6)]
    ours, theirs = ([nn.Parameter(start.clone()) for start in starts] for _ in range(2))
    group = {"name": "head/bias", "params": ours, "lr": 0.1, "weight_decay": 0.05}
    first = Muon([group], lr=0.1, adamw_scale=0.5, betas=(0.8, 0.9))
    second = torch.optim.AdamW(theirs, lr=0.05, weight_decay=0.05, betas=(0.8, 0.9))
    for _ in range(3):
        for p, q in zip(ours, theirs, strict=True):
            p.grad = torch.randn(p.shape)
            q.grad = p.grad.clone()
        first.step()
        second.step()
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q)


@pytest.mark.parametrize("shape", [(12, 40), (40, 12), (12, 12)])
def test_singular_vectors_stay_and_singular_values_end_near_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(*shape, dtype=torch.float64)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    values = (values / values.max()).clamp(min=0.05)
    core = left.mT @ orthogonalise(left @ values.diag() @ right, 5) @ right.mT
    assert core.diagonal().min() > 0.6 and core.diagonal().max() < 1.3
    torch.testing.assert_close(core, core.diagonal().diag(), atol=1e-9, rtol=0)


def test_only_matrices_are_orthogonalised(network: PoseNetwork) -> None:
    node = load_config(["optimizer=muon", "optimizer.weight_decay=0"]).optimizer
    optimizer = build_optimizer(network, node)
    kinds = {group["name"].split("/")[1]: group["muon"] for group in optimizer.param_groups}
    assert kinds == {"weights": True, "norm": False, "bias": False, "depthwise": False, "output": False}
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    after = train(network, optimizer, 1)
    for name in ("head.initial.output.weight", "head.initial.output.bias"):  # Adam's first step is its rate
        assert (after[name] - before[name]).abs().max() <= 1.01 * node.lr * node.adamw_scale, name


def test_parts_can_be_left_to_adamw(network: PoseNetwork) -> None:
    node = load_config(["optimizer=muon", "optimizer.adamw=[backbone,output]"]).optimizer
    groups = build_optimizer(network, node).param_groups
    assert {g["name"] for g in groups if g["muon"]} == {"head/weights", "refinement/weights"}


def test_training_goes_on_from_a_saved_state(network: PoseNetwork) -> None:
    """Two steps in a row end where one step, a reloaded state and another step end."""
    node = load_config(["optimizer=muon"]).optimizer
    first = build_optimizer(network, node)
    train(network, first, 1)
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    state = copy.deepcopy(first.state_dict())
    expected = train(network, first, 1)
    network.load_state_dict(weights)
    again = build_optimizer(network, node)
    again.load_state_dict(state)
    assert all(torch.allclose(p, expected[n], atol=1e-6) for n, p in train(network, again, 1).items())


def test_unknown_parts_are_named(network: PoseNetwork) -> None:
    with pytest.raises(PafposeError, match=r"optimizer\.adamw=\['neck'\].*refinement"):
        build_optimizer(network, load_config(["optimizer=muon", "optimizer.adamw=[neck]"]).optimizer)
