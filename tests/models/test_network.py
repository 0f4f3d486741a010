"""PoseNetwork: pixels in any dtype, normalisation inside, stages out, plain words for wrong sizes."""

from __future__ import annotations

import pytest
import torch

from pafpose.errors import PafposeError
from pafpose.models import PoseNetwork
from pafpose.models.backbones.small import SmallBackbone
from pafpose.models.heads.single import SingleHead
from pafpose.models.normalisation import Normalise


def tiny(stride: int = 8, **head: object) -> PoseNetwork:
    backbone = SmallBackbone(stride=stride, out_channels=16, widths=(8, 16, 16), depths=(1, 1, 1))
    return PoseNetwork(backbone, SingleHead(16, 19, 38, stride=stride, **head)).eval()


@pytest.mark.parametrize("stride", [4, 8])
@pytest.mark.parametrize("stages", [1, 3])
def test_every_stage_has_both_fields_at_the_stride(stride: int, stages: int) -> None:
    out = tiny(stride, stages=stages)(torch.zeros(2, 3, 64, 96, dtype=torch.uint8))
    assert len(out) == stages
    for fields in out:
        assert fields.heatmaps.shape == (2, 19, 64 // stride, 96 // stride)
        assert fields.pafs.shape == (2, 38, 64 // stride, 96 // stride)


def test_uint8_and_float_pixels_give_the_same() -> None:
    network = tiny()
    images = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    a, b = network(images)[-1], network(images.float())[-1]
    torch.testing.assert_close(a.heatmaps, b.heatmaps)
    torch.testing.assert_close(a.pafs, b.pafs)


def test_one_by_one_equals_batched_and_channels_last() -> None:
    network = tiny()
    images = torch.randint(0, 256, (3, 3, 32, 48), dtype=torch.uint8)
    batched = network(images)[-1].pafs
    single = torch.cat([network(image[None])[-1].pafs for image in images])
    last = network.to(memory_format=torch.channels_last)(images)[-1].pafs
    torch.testing.assert_close(batched, single, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(batched, last, rtol=1e-4, atol=1e-5)


def test_bfloat16_autocast_runs() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = tiny()(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    assert torch.isfinite(out[-1].pafs.float()).all()


@pytest.mark.parametrize(
    ("shape", "words"), [((1, 3, 33, 32), "multiple of the stride"), ((3, 32, 32), r"\(B, 3, H, W\)")]
)
def test_wrong_sizes_are_explained(shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(PafposeError, match=words):
        tiny()(torch.zeros(shape))


def test_strides_of_backbone_and_head_must_agree() -> None:
    backbone = SmallBackbone(stride=8, out_channels=16, widths=(8, 16), depths=(1, 1))
    with pytest.raises(PafposeError, match=r"head\.stride=4"):
        PoseNetwork(backbone, SingleHead(16, 19, 38, stride=4))


def test_normalisation_by_hand() -> None:
    pixel = torch.tensor([255, 128, 0], dtype=torch.uint8).view(1, 3, 1, 1)
    caffe = Normalise("caffe")(pixel).flatten().tolist()
    assert caffe == pytest.approx([-0.5, 0.0, 127 / 256])  # BGR
    imagenet = Normalise("imagenet")(pixel).flatten().tolist()
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    values = (1.0, 128 / 255, 0.0)
    assert imagenet == pytest.approx(
        [(v - m) / s for v, m, s in zip(values, mean, std, strict=True)], abs=1e-5
    )


def test_unknown_normalisation_lists_the_choices() -> None:
    with pytest.raises(PafposeError, match="imagenet, symmetric, caffe"):
        Normalise("nope")


def test_the_first_output_is_an_empty_scene() -> None:
    fields = tiny(stages=2)(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8))
    for stage in fields:
        assert (stage.heatmaps[:, -1] - 1).abs().mean() < 0.1
        assert stage.heatmaps[:, :-1].abs().mean() < 0.1
        assert stage.pafs.abs().mean() < 0.1


def test_compiling_in_place_keeps_the_state_keys() -> None:
    network = tiny()
    keys = set(network.state_dict())
    network.compile(backend="eager")
    network(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    assert set(network.state_dict()) == keys
