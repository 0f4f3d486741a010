"""Converted files predict what a plain formulation of their networks predicts; nothing is lost or guessed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import published
import pytest
import torch
from torch import Tensor

import pafpose
from pafpose.config import load_config
from pafpose.errors import PafposeError
from pafpose.inference.checkpoint import load_network
from pafpose.skeleton import Skeleton
from pafpose.tools.convert import LAYOUTS, convert_weights, guess_layout, read_weights
from pafpose.tools.convert.checkpoint import convert
from pafpose.training.finetune import build_from_weights


@pytest.fixture(scope="module")
def picture() -> Tensor:
    return torch.randint(
        0, 256, (1, 3, 48, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )


def converted(folder: Path, content: object, *overrides: str, **how: object) -> Path:
    """The run folder of a conversion."""
    torch.save(content, folder / "weights.pth", **how)
    typed = [f"source={folder / 'weights.pth'}", f"paths.output_dir={folder / 'run'}", *overrides]
    convert(load_config(typed, name="convert"))
    return folder / "run"


def heatmaps_as_ours(theirs: Tensor, parts: list[str], skeleton: Skeleton) -> Tensor:
    return theirs[:, [*(parts.index(name) for name in skeleton.keypoints), len(parts)]]


def pafs_as_ours(
    theirs: Tensor, parts: list[str], pairs: list[int], channels: list[int], skeleton: Skeleton
) -> Tensor:
    ends = [(parts[a], parts[b]) for a, b in zip(pairs[::2], pairs[1::2], strict=True)]
    where = [ends.index((skeleton.keypoints[a], skeleton.keypoints[b])) for a, b in skeleton.limbs]
    return theirs[:, [channel for limb in where for channel in channels[2 * limb : 2 * limb + 2]]]


def coco_as_ours(heatmaps: Tensor, pafs: Tensor, skeleton: Skeleton) -> tuple[Tensor, Tensor]:
    return (
        heatmaps_as_ours(heatmaps, published.COCO_PARTS, skeleton),
        pafs_as_ours(pafs, published.COCO_PARTS, published.COCO_PAIRS, published.COCO_MAP, skeleton),
    )


def close(ours: Tensor, theirs: Tensor) -> None:
    assert 0.1 < theirs.std() < 1e4  # random weights, but the fields neither vanish nor overflow
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3 * float(theirs.std()))


@torch.no_grad()
def test_openpose_coco(tmp_path: Path, picture: Tensor) -> None:
    torch.manual_seed(0)
    weights = published.openpose_coco_file()
    run = converted(tmp_path, {f"model1_1.{name}": value for name, value in weights.items()})
    trained = load_network(run)
    assert sum(value.numel() for value in weights.values()) == 52_311_446
    assert (
        trained.config["decode"]["peak_threshold"] == 0.05
        and trained.config["decode"]["min_sum_per_keypoint"] == 0.4
    )
    expected = published.openpose_coco(weights, picture)
    stages = trained.network(picture)
    assert len(stages) == len(expected) == 6
    for fields, theirs in zip(stages, expected, strict=True):
        heatmaps, pafs = coco_as_ours(*theirs, trained.skeleton)
        close(fields.heatmaps, heatmaps)
        close(fields.pafs, pafs)


@torch.no_grad()
def test_openpose_body25(tmp_path: Path, picture: Tensor) -> None:
    torch.manual_seed(0)
    weights = published.openpose_body25_file()
    run = converted(tmp_path, weights)
    trained = load_network(run)
    assert trained.skeleton.name == "body25" and trained.skeleton.num_limbs == 26
    *first, last = published.openpose_body25(weights, picture)
    stages = trained.network(picture)
    pafs = [stage.pafs for stage in stages[:4]]
    heatmaps = [stage.heatmaps for stage in stages[4:]]
    parts, pairs, channels = published.BODY25_PARTS, published.BODY25_PAIRS, published.BODY25_MAP
    for ours, theirs in zip(pafs, first[:4], strict=True):
        close(ours, pafs_as_ours(theirs, parts, pairs, channels, trained.skeleton))
    for ours, theirs in zip(heatmaps, [first[4], last], strict=True):
        close(ours, heatmaps_as_ours(theirs, parts, trained.skeleton))


@pytest.fixture(scope="module")
def light() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return published.lightweight_file(3)


@torch.no_grad()
@pytest.mark.parametrize(("asked", "stages"), [((), 3), (("refinements=1",), 1)])
def test_lightweight(
    light: dict[str, Tensor], tmp_path: Path, picture: Tensor, asked: tuple[str, ...], stages: int
) -> None:
    """As training saved it: legacy format, state_dict beside other things, from DataParallel."""
    content = {
        "state_dict": {f"module.{k}": v for k, v in light.items()},
        "iter": 370000,
        "current_epoch": 280,
    }
    run = converted(tmp_path, content, *asked, _use_new_zipfile_serialization=False)
    trained = load_network(run)
    assert trained.config["head"]["refinements"] == stages
    expected = published.lightweight(light, picture, stages)
    for fields, theirs in zip(trained.network(picture), expected, strict=True):
        heatmaps, pafs = coco_as_ours(*theirs, trained.skeleton)
        close(fields.heatmaps, heatmaps)
        close(fields.pafs, pafs)
    people = pafpose.load(run, device="cpu")(np.zeros((40, 60, 3), np.uint8))
    assert people.keypoints.shape[1:] == (18, 3)


def test_a_training_starts_from_converted_weights(light: dict[str, Tensor], tmp_path: Path) -> None:
    """Under the recipe and the pixels of the published network, as docs/convert.md says."""
    run = converted(tmp_path, light, "refinements=1")
    content = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    assert content["hyper_parameters"]["format_version"] == 1
    typed = ["experiment=lightweight2018", "backbone.normalisation=caffe", f"weights={run}"]
    module, rows = build_from_weights(load_config(typed))
    for name, value in load_network(run).network.state_dict().items():
        assert torch.equal(module.network.state_dict()[name], value), name
    assert not any("fresh" in text for _, text in rows)


def network_of(light: dict[str, Tensor], **changes: Tensor | None) -> None:
    """Convert a changed file into the network of one refining stage."""
    weights = {k: v for k, v in (light | changes).items() if v is not None}
    layout = LAYOUTS["lightweight"]
    cfg = load_config(layout.recipe)
    convert_weights(
        weights,
        layout,
        pafpose.build_network(cfg),
        pafpose.build_skeleton(cfg),
        source="light.pth",
        refinements=1,
    )


def test_what_does_not_fit_is_named(light: dict[str, Tensor]) -> None:
    name = "initial_stage.pafs.1.0.weight"
    with pytest.raises(
        PafposeError, match=rf"light\.pth: {name}.*\(40, 512, 1, 1\), expected \(38, 512, 1, 1\)"
    ):
        network_of(light, **{name: torch.zeros(40, 512, 1, 1)})
    with pytest.raises(PafposeError, match=r"cpm\.align\.0\.bias.*missing; expected .* \(128,\)"):
        network_of(light, **{"cpm.align.0.bias": None})
    with pytest.raises(PafposeError, match=r"1 tensors have no place in .*: tail\.weight \(3, 2\)"):
        network_of(light, **{"tail.weight": torch.zeros(3, 2)})


def test_counters_of_batchnorm_may_be_there_or_not(light: dict[str, Tensor]) -> None:
    network_of(light, **{"model.0.1.num_batches_tracked": torch.tensor(7)})
    network_of(light)


def test_files_that_are_something_else(tmp_path: Path) -> None:
    with pytest.raises(PafposeError, match=r"no such file; docs/convert\.md"):
        read_weights(tmp_path / "none.pth")
    torch.save({"hello": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(PafposeError, match="openpose_coco, openpose_body25, lightweight"):
        guess_layout(read_weights(tmp_path / "other.pth"), source="other.pth")
    torch.save({"path": tmp_path}, tmp_path / "objects.pth")
    with pytest.raises(PafposeError, match="tensors alone"):
        read_weights(tmp_path / "objects.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(PafposeError, match="no tensors by name"):
        read_weights(tmp_path / "list.pth")


def test_wrong_choices_name_the_key(light: dict[str, Tensor], tmp_path: Path) -> None:
    with pytest.raises(PafposeError, match="source is missing"):
        convert(load_config(name="convert"))
    with pytest.raises(PafposeError, match="format=caffe: choose one of"):
        converted(tmp_path, light, "format=caffe")
    with pytest.raises(PafposeError, match="refinements=4: the file has 3"):
        converted(tmp_path, light, "refinements=4")
