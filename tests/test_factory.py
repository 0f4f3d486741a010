"""Every value of a config reaches the object that it is about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from pafpose import factory
from pafpose.config import build, load_config, plain, settings
from pafpose.data.photos.fit import PhotoFit
from pafpose.errors import PafposeError
from pafpose.models import PoseNetwork
from pafpose.targets import HeatmapSettings

CHOICES = (
    "head.stride=4", "heatmap.sigma=5", "heatmap.background=none", "paf.width=3", "paf.limbs=seed",
    "mask.min_keypoints=2", "decode.min_keypoints=7", "augment.crop=96", "evaluate.input_size=123",
    "evaluate.fit=height", "seed=11", "data.batch_size=3", "data.val_batch_size=5", "data.num_workers=0",
)  # fmt: skip


@pytest.fixture(scope="module", params=[plain, lambda cfg: cfg], ids=["plain", "OmegaConf"])
def cfg(request: pytest.FixtureRequest) -> Any:
    return request.param(load_config(["backbone=tiny", "head=single", *CHOICES]))


def test_skeleton(cfg: Any) -> None:
    skeleton = factory.build_skeleton(cfg)
    assert (skeleton.name, skeleton.limb_set, skeleton.num_limbs) == ("coco18", "seed", 17)


def test_targets(cfg: Any) -> None:
    targets = factory.build_targets(cfg)
    assert (targets.heatmap.sigma, targets.paf.width, targets.mask.min_keypoints) == (5, 3, 2)
    assert (targets.stride, targets.skeleton.limb_set) == (4, "seed")


def test_decoder(cfg: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    real = factory.Decoder

    def spy(skeleton: Any, decode: Any, **how: Any) -> Any:
        seen.update(how)
        return real(skeleton, decode, **how)

    monkeypatch.setattr(factory, "Decoder", spy)
    decoder = factory.build_decoder(cfg)
    assert seen == {"stride": 4, "heatmap_sigma": 5.0, "background": False}
    assert decoder.settings.min_keypoints == 7 and decoder.skeleton.limb_set == "seed"


def test_data_module(cfg: Any) -> None:
    data = factory.build_datamodule(cfg)
    assert data.evaluate == PhotoFit(123, "height")
    assert (data.augment.crop, data.mask.min_keypoints, data.stride, data.seed) == (96, 2, 4, 11)
    assert (data.batch_size, data.val_batch_size, data.num_workers) == (3, 5, 0)
    assert data.skeleton.limb_set == "seed"


@pytest.mark.parametrize(("background", "channels"), [("none", 18), ("max", 19)])
@pytest.mark.parametrize(("head", "stride", "coarse"), [("single", 4, 4), ("single", 8, 8), ("modern", 4, 8)])
def test_network(background: str, channels: int, head: str, stride: int, coarse: int) -> None:
    words = ["backbone=tiny", f"head={head}", f"head.stride={stride}", f"heatmap.background={background}"]
    network = factory.build_network(load_config([*words, "paf.limbs=seed"]))
    assert isinstance(network, PoseNetwork) and (network.stride, network.backbone.stride) == (stride, coarse)
    last = network.eval()(torch.zeros(1, 3, 64, 64))[-1]
    assert last.heatmaps is not None and last.pafs is not None
    assert last.heatmaps.shape == (1, channels, 64 // stride, 64 // stride)
    assert last.pafs.shape == (1, 34, 64 // stride, 64 // stride)


def test_nobody_needs_more_keypoints_than_the_skeleton_has() -> None:
    config = load_config(["skeleton=toy5", "mask.min_keypoints=9", "decode.min_keypoints=9"])
    assert factory.build_targets(config).mask.min_keypoints == 5
    assert factory.build_datamodule(config).mask.min_keypoints == 5
    assert factory.build_decoder(config).settings.min_keypoints == 5


@pytest.mark.parametrize("wanted", [True, False])
def test_memory_format(wanted: bool) -> None:
    words = ["backbone=tiny", "head=single", f"channels_last={str(wanted).lower()}"]
    network = factory.build_network(load_config(words))
    dense = [p for p in network.parameters() if p.ndim == 4 and min(p.shape[1:]) > 1]
    assert dense and all(p.is_contiguous(memory_format=torch.channels_last) == wanted for p in dense)


def test_targets_are_called_with_their_keys_and_live_objects() -> None:
    node = {"_target_": "pafpose.data.photos.fit.PhotoFit", "fit": "height"}
    assert build(node, input_size=9) == PhotoFit(9, "height")
    with pytest.raises(PafposeError, match="no _target_ in"):
        build({"fit": "long"})
    foreign = {"_target_": "collections.Counter"}
    assert build(foreign, a=2) == {"a": 2}


def test_wrong_keys_of_a_group_name_the_group() -> None:
    assert settings(HeatmapSettings, {"sigma": 3}, "heatmap").sigma == 3
    with pytest.raises(PafposeError, match=r"config group heatmap: .*sgima.*conf/heatmap/default\.yaml"):
        settings(HeatmapSettings, {"sgima": 3}, "heatmap")


def test_missing_files_are_no_matter_until_setup(tmp_path: Path) -> None:
    data = factory.build_datamodule(load_config(["data=coco", f"data.root={tmp_path / 'nowhere'}"]))
    with pytest.raises(PafposeError, match="nowhere"):
        data.setup()
