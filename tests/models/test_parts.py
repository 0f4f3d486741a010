"""Batches in parts: the gradients of the whole batch, BatchNorm apart, whatever the threads do."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from pafpose.errors import PafposeError
from pafpose.fields import Fields
from pafpose.models import PoseNetwork
from pafpose.models.backbones.dense import DenseBackbone
from pafpose.models.backbones.small import SmallBackbone
from pafpose.models.heads.single import SingleHead
from pafpose.models.parts import Parts, Twins
from pafpose.runtime.threads import side_by_side


@pytest.fixture
def network() -> PoseNetwork:
    torch.manual_seed(0)
    backbone = DenseBackbone(stride=8, out_channels=16, widths=(8, 16), depths=(1, 1))
    return PoseNetwork(backbone, SingleHead(16, 19, 38, stages=2, blocks=1))


@pytest.fixture
def images() -> Tensor:
    return torch.randint(0, 256, (6, 3, 64, 64), generator=torch.Generator().manual_seed(1)).float()


def learn(stages: list[Fields]) -> None:
    sum(field.square().sum() for stage in stages for field in stage if field is not None).backward()


def gradients(network: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


def frozen(network: PoseNetwork) -> PoseNetwork:
    """The same network, BatchNorm as in evaluation."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    return network


@pytest.mark.parametrize("count", [2, 3, 4])  # 4: three parts of two pictures
def test_outputs_and_gradients_are_those_of_the_whole_batch(
    network: PoseNetwork, images: Tensor, count: int
) -> None:
    whole, cut = frozen(network), frozen(copy.deepcopy(network))
    expected, stages = whole(images), Parts(cut, count)(images)
    for stage, other in zip(expected, stages, strict=True):
        for field, same in zip(stage, other, strict=True):
            assert torch.allclose(field, same, atol=1e-5)
    learn(expected)
    learn(stages)
    for name, gradient in gradients(whole).items():
        assert torch.allclose(gradient, gradients(cut)[name], rtol=1e-4, atol=1e-4), name


def test_batchnorm_sees_its_part_and_keeps_the_first(network: PoseNetwork, images: Tensor) -> None:
    cut = copy.deepcopy(network)
    stages = Parts(cut, 2)(images)
    first, second = network(images[:3]), copy.deepcopy(network)(images[3:])
    for stage, a, b in zip(stages, first, second, strict=True):
        assert torch.allclose(stage.heatmaps, torch.cat([a.heatmaps, b.heatmaps]), atol=1e-5)
    for (name, kept), own in zip(cut.named_buffers(), network.buffers(), strict=True):
        assert torch.allclose(kept.float(), own.float(), atol=1e-5), name


def test_the_same_numbers_every_time(network: PoseNetwork, images: Tensor) -> None:
    runs = []
    for _ in range(5):
        cut = copy.deepcopy(network)
        parts = Parts(cut, 2)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            learn([Fields(*(f.float() for f in stage)) for stage in parts(images)])
        runs.append(gradients(cut))
    assert all(torch.equal(runs[0][name], run[name]) for run in runs for name in runs[0])


def test_autocast_reaches_the_threads(network: PoseNetwork, images: Tensor) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert Parts(network, 2)(images)[0].heatmaps.dtype == network(images)[0].heatmaps.dtype


def test_stages_may_lack_a_field(images: Tensor) -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 4, 1)

        def forward(self, x: Tensor) -> list[Fields]:
            return [Fields(None, self.layer(x)), Fields(self.layer(x), self.layer(x))]

    stages = Parts(Half(), 2)(images)
    assert stages[0].heatmaps is None and stages[1].heatmaps is not None
    learn(stages)


def test_fewer_pictures_than_parts_stay_whole(network: PoseNetwork, images: Tensor) -> None:
    learn(Parts(frozen(network), 2)(images[:1]))
    assert gradients(network)


def test_parameters_stay_one_set(network: PoseNetwork, images: Tensor) -> None:
    """Weights that change later, in place as optimisers and checkpoints do, change for every part."""
    parts = Parts(network, 2)
    with torch.no_grad():
        for p in network.parameters():
            p.zero_()
    assert all(not f.detach().any() for stage in parts(images) for f in stage)
    twins = Twins(network, 2, torch.bfloat16).networks
    assert all(list(network.state_dict()) == list(twin.state_dict()) for twin in twins)


def test_converted_kernels_follow_their_originals_and_give_back_gradients(
    network: PoseNetwork, images: Tensor
) -> None:
    whole, cut = frozen(network), frozen(copy.deepcopy(network))
    parts = Parts(cut, 2)
    for scale in (1.0, 0.5):  # the second time with other weights
        with torch.no_grad():
            for p in (*whole.parameters(), *cut.parameters()):
                p.mul_(scale).grad = None
        for _ in range(2):  # gradients add up
            with torch.autocast("cpu", dtype=torch.bfloat16):
                learn([Fields(*(f.float() for f in stage)) for stage in whole(images)])
                learn([Fields(*(f.float() for f in stage)) for stage in parts(images)])
        for name, gradient in gradients(whole).items():
            other = gradients(cut)[name]
            assert other.dtype == torch.float32
            assert (gradient - other).norm() <= 0.02 * gradient.norm(), name


def test_modes_follow_the_original(network: PoseNetwork, images: Tensor) -> None:
    parts = Parts(network, 2)
    parts(images)
    before = [b.clone() for b in frozen(network).buffers()]
    parts(images)
    assert all(torch.equal(a, b) for a, b in zip(before, network.buffers(), strict=True))


def test_a_part_that_fails_says_so(images: Tensor) -> None:
    backbone = SmallBackbone(stride=8, out_channels=16, widths=(8, 16), depths=(1, 1))
    parts = Parts(PoseNetwork(backbone, SingleHead(16, 19, 38)), 2)
    with pytest.raises(PafposeError, match="multiple of the stride"):
        parts(images[..., :63])
    with pytest.raises(PafposeError, match="batch_parts=0"):
        Parts(backbone, 0)


def test_threads_have_a_share_each_and_leave_the_rest_alone() -> None:
    total = torch.get_num_threads()
    shares = side_by_side([torch.get_num_threads] * 2)
    torch.zeros(1 << 18).add_(1)
    assert side_by_side([torch.get_num_threads] * 2) == shares == [max(1, total // 2)] * 2
    assert torch.get_num_threads() == total
    assert side_by_side([lambda: 7]) == [7]
