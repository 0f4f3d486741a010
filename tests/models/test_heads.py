"""Heads: shapes, stages and starts; parameter counts and costs are those of the publications."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pafpose.errors import PafposeError
from pafpose.models import PoseNetwork
from pafpose.models.backbones.mobilenet import MobileNetV1
from pafpose.models.backbones.vgg import VGG19
from pafpose.models.heads.cmu2017 import CMU2017
from pafpose.models.heads.lightweight2018 import Lightweight2018
from pafpose.models.heads.openpose2019 import DenseBlock, OpenPose2019
from pafpose.models.heads.single import SingleHead
from pafpose.models.summary import describe, summarise


def millions(network: nn.Module) -> float:
    return sum(p.numel() for p in network.parameters()) / 1e6


def vgg(**kwargs: object) -> VGG19:
    return VGG19(stride=8, weights=None, **kwargs)


def test_the_papers_network() -> None:
    network = PoseNetwork(vgg(), CMU2017(128, 19, 38))
    figures = summarise(network)
    assert figures["parameters"] == 52_311_446
    assert figures["gflops"] == pytest.approx(271.9, abs=0.05)
    assert figures["stages"] == 6
    assert figures["stride"] == 8
    assert "52.31 M parameters, 271.9 GFLOPs at 368 px, 6 stages at stride 8" in describe(figures)


@pytest.mark.parametrize("norm", [False, True])
def test_the_seeds_seven_stages(norm: bool) -> None:
    with torch.device("meta"):
        head = CMU2017(128, 19, 34, stages=7, norm=norm, init="he")
    network = PoseNetwork(vgg(added_norm=norm), head)
    assert millions(network) == pytest.approx(60.8, abs=0.05)


def test_openpose_2019_with_body25_channels() -> None:
    network = PoseNetwork(vgg(activation="prelu"), OpenPose2019(128, 26, 52))
    assert millions(network) == pytest.approx(104_715_850 / 4e6, abs=0.02)  # size of the published file


def test_lightweight_2018() -> None:
    network = PoseNetwork(MobileNetV1(stride=8), Lightweight2018(512, 19, 38))
    figures = summarise(network)
    assert figures["parameters"] / 1e6 == pytest.approx(4.09, abs=0.005)
    assert figures["gflops"] == pytest.approx(17.8, abs=0.05)


HEADS = {
    "cmu2017": (CMU2017, {"stages": 3}, ["both"] * 3),
    "openpose2019": (OpenPose2019, {"paf_stages": 3, "heatmap_stages": 2}, ["p", "p", "p", "h", "both"]),
    "openpose2019-one": (OpenPose2019, {"paf_stages": 1, "heatmap_stages": 1}, ["p", "both"]),
    "lightweight2018": (Lightweight2018, {"refinements": 2}, ["both"] * 3),
    "lightweight2018-initial": (Lightweight2018, {"refinements": 0}, ["both"]),
    "single": (SingleHead, {"stages": 2, "blocks": 1}, ["both"] * 2),
}


@pytest.mark.parametrize("name", HEADS)
def test_stages_predict_what_they_say(name: str) -> None:
    cls, options, expected = HEADS[name]
    head = cls(16, 6, 10, **options).eval()
    out = head(torch.randn(2, 16, 5, 7))
    kinds = []
    for fields in out:
        assert fields.heatmaps is None or fields.heatmaps.shape == (2, 6, 5, 7)
        assert fields.pafs is None or fields.pafs.shape == (2, 10, 5, 7)
        kinds.append("h" if fields.pafs is None else "p" if fields.heatmaps is None else "both")
    assert kinds == expected


@pytest.mark.parametrize("name", HEADS)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    cls, options, _ = HEADS[name]
    head = cls(16, 6, 10, **options).train()
    out = head(torch.randn(2, 16, 9, 9))
    sum(f.square().sum() for fields in out for f in fields if f is not None).backward()
    assert [n for n, p in head.named_parameters() if p.grad is None] == []


def test_the_published_start_is_gaussian() -> None:
    head = CMU2017(128, 19, 38, stages=2)
    layer = head.refinements[0].pafs[0][0]
    assert layer.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert layer.bias.abs().max() == 0


@pytest.mark.parametrize("background", [True, False])
def test_the_small_start_is_an_empty_scene(background: bool) -> None:
    head = Lightweight2018(32, 6, 10, init="small", background=background).eval()
    for fields in head(torch.randn(1, 32, 8, 8)):
        assert fields.pafs.abs().mean() < 0.1
        assert fields.heatmaps[:, -1].mean().item() == pytest.approx(float(background), abs=0.1)


def test_a_dense_block_sees_seven_cells() -> None:
    block = DenseBlock(1, 4, act="relu")
    for layer in block.layers:
        nn.init.ones_(layer[0].weight)
    x = torch.zeros(1, 1, 15, 15)
    x[0, 0, 7, 7] = 1
    block_bias_free = [nn.init.zeros_(layer[0].bias) for layer in block.layers]
    assert block_bias_free
    y = block(x)
    assert y.shape == (1, 12, 15, 15)
    assert (y[0, -1] > 0).sum() == 49


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: CMU2017(8, 3, 4, stages=0), "head.stages"),
        (lambda: SingleHead(8, 3, 4, stages=0), "head.stages"),
        (lambda: OpenPose2019(8, 3, 4, heatmap_stages=0), "head.heatmap_stages"),
        (lambda: Lightweight2018(8, 3, 4, refinements=-1), "head.refinements"),
        (lambda: Lightweight2018(8, 3, 4, init="magic"), "head.init"),
    ],
)
def test_wrong_settings_name_the_key(make: object, key: str) -> None:
    with pytest.raises(PafposeError, match=key):
        make()
