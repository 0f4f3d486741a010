"""What heads say about their channels: moved as they say, the same fields come out in another order."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pafpose.models.heads.cmu2017 import CMU2017
from pafpose.models.heads.lightweight2018 import Lightweight2018
from pafpose.models.heads.openpose2019 import OpenPose2019
from pafpose.models.heads.single import SingleHead
from tests.models.test_heads import HEADS

EVERY = HEADS | {
    "cmu2017-norm": (CMU2017, {"stages": 2, "norm": True}, None),
    "single-shuffled": (SingleHead, {"stages": 3, "shuffle": 2}, None),
    "single-one": (SingleHead, {"stages": 1, "blocks": 0}, None),
}
SIZES = {"features": 16, "heatmaps": 6, "pafs": 10}


def build(name: str) -> nn.Module:
    """A head whose outputs depend on all of its inputs."""
    cls, options, _ = EVERY[name]
    head = cls(*SIZES.values(), **options).eval().double()
    for parameter in head.parameters():
        nn.init.normal_(parameter, std=max(parameter[0].numel(), 4) ** -0.5)
    return head


def moved(head: nn.Module, order: dict[str, list[int]]) -> dict[str, Tensor]:
    """The parameters of a head with the channels of fields in another order."""
    state = {name: value.clone() for name, value in head.state_dict().items()}
    for name, runs in head.field_channels().items():
        index = list(range(state[name].shape[runs[0].axis]))
        for axis, start, field, cells in runs:
            assert axis == runs[0].axis
            rows = [start + channel * cells + cell for channel in order[field] for cell in range(cells)]
            index[start : start + len(rows)] = rows
        state[name] = state[name].index_select(runs[0].axis, torch.tensor(index))
    return state


@pytest.mark.parametrize("name", EVERY)
def test_channels_are_where_the_head_says(name: str) -> None:
    torch.manual_seed(0)
    head, other = build(name), build(name)
    order = {"heatmaps": [3, 0, 5, 1, 4, 2], "pafs": [4, 5, 0, 1, 8, 9, 6, 7, 2, 3]}
    other.load_state_dict(moved(head, order))
    features = torch.randn(1, SIZES["features"], 4, 5, dtype=torch.float64)
    with torch.no_grad():
        expected, found = head(features), other(features)
    for before, after in zip(expected, found, strict=True):
        for field in ("heatmaps", "pafs"):
            value = getattr(before, field)
            if value is not None:
                assert value.std() > 0.01
                torch.testing.assert_close(getattr(after, field), value[:, order[field]])


@pytest.mark.parametrize("name", EVERY)
def test_exactly_the_parameters_whose_shape_follows_the_fields_are_named(name: str) -> None:
    cls, options, _ = EVERY[name]
    head = cls(16, 6, 10, **options)
    shapes = {n: p.shape for n, p in head.named_parameters()}
    for wider in ((16, 7, 10), (16, 6, 12)):
        other = {n: p.shape for n, p in cls(*wider, **options).named_parameters()}
        assert other.keys() == shapes.keys()
        assert {n for n in shapes if shapes[n] != other[n]} <= set(head.field_channels())
    both = {n: p.shape for n, p in cls(16, 7, 12, **options).named_parameters()}
    assert {n for n in shapes if shapes[n] != both[n]} == set(head.field_channels())


def test_the_stages_of_openpose_2019_keep_their_names_when_others_are_added() -> None:
    """A heatmap stage must not take the place of a PAF stage."""
    few = dict(OpenPose2019(16, 6, 10, paf_stages=2, heatmap_stages=2).named_parameters())
    many = dict(OpenPose2019(16, 6, 10, paf_stages=4, heatmap_stages=3).named_parameters())
    assert set(few) < set(many)
    assert all(few[name].shape == many[name].shape for name in few)


def test_a_head_without_refinements_has_outputs_alone() -> None:
    found = Lightweight2018(16, 6, 10, refinements=0).field_channels()
    assert {run.axis for runs in found.values() for run in runs} == {0}
