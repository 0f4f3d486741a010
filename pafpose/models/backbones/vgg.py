"""The first ten convolutions of VGG19, then two that reduce to 128 channels (Cao et al., CVPR 2017)."""

from __future__ import annotations

from torch import Tensor, nn

from pafpose.models.backbones.base import Backbone
from pafpose.models.backbones.weights import StateDict, fetch, load_exactly, read_file
from pafpose.models.initialisation import gaussian, kaiming
from pafpose.models.layers import activation, check_choice, conv

LAYERS = (64, 64, "pool", 128, 128, "pool", 256, 256, 256, 256, "pool", 512, 512)


class VGG19(Backbone):
    """conv1_1 to conv4_2 with torchvision's layer numbers as ``trunk``, then 512 -> 256 -> 128 channels.

    At stride 4 the third pooling is left out and the layers after it are dilated. ``added_norm`` gives the
    two new layers BatchNorm. ``activation`` applies from conv4_2 on; OpenPose 2019 uses prelu. ``init`` is
    how the new layers are initialised: published (Gaussian, std 0.01) or he.
    """

    def __init__(
        self,
        *,
        stride: int,
        weights: str | None = "imagenet",
        batch_norm: bool = False,
        added_norm: bool = False,
        activation: str = "relu",
        init: str = "published",
        normalisation: str = "imagenet",
        freeze: int = 0,
        batchnorm: str = "train",
        fold: bool = False,
    ) -> None:
        super().__init__(stride=stride, out_channels=128, normalisation=normalisation)
        self.trunk = make_trunk(stride=stride, batch_norm=batch_norm, last_activation=activation)
        self.added = nn.Sequential(
            conv(512, 256, norm=added_norm, bias=True, act=activation),
            conv(256, 128, norm=added_norm, bias=True, act=activation),
        )
        if check_choice("backbone.init", init, ("published", "he")) == "published":
            gaussian(self.added)
        else:
            kaiming(self.added, mode="fan_out")
        if weights is None:
            kaiming(self.trunk)
        else:
            load_features(self.trunk, weights, batch_norm=batch_norm)
        self.freeze_trunk(freeze=freeze, batchnorm=batchnorm, fold=fold)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) normalised -> (B, 128, H / stride, W / stride)."""
        return self.added(self.trunk(x))


def make_trunk(*, stride: int, batch_norm: bool, last_activation: str) -> nn.Sequential:
    """Build the first ten convolutions, numbered as in torchvision's ``features``."""
    layers: list[nn.Module] = []
    before, dilation, pools = 3, 1, 0
    for item in LAYERS:
        if isinstance(item, str):
            pools += 1
            keep = pools == 3 and stride == 4
            dilation = 2 if keep else 1
            layers.append(nn.Identity() if keep else nn.MaxPool2d(2))
            continue
        layers.append(nn.Conv2d(before, item, 3, padding=dilation, dilation=dilation))
        layers += [nn.BatchNorm2d(item)] if batch_norm else []
        layers.append(nn.ReLU(inplace=True))
        before = item
    layers[-1] = activation(last_activation)(before)
    return nn.Sequential(*layers)


def load_features(trunk: nn.Sequential, weights: str, *, batch_norm: bool) -> None:
    """Load ImageNet weights from torchvision, or from a file with its names (``features.0.weight``)."""
    state = _imagenet(batch_norm) if weights == "imagenet" else read_file(weights)
    features = {name.removeprefix("features."): value for name, value in state.items()}
    last = f"{len(trunk) - 1}."  # ImageNet files have no weights for a PReLU: it keeps its own
    prelu = {name: value for name, value in trunk.state_dict().items() if name.startswith(last)}
    load_exactly(trunk, prelu | features, source=f"VGG19 ({weights})")


def _imagenet(batch_norm: bool) -> StateDict:
    from torchvision.models import VGG19_BN_Weights, VGG19_Weights

    source = VGG19_BN_Weights.IMAGENET1K_V1 if batch_norm else VGG19_Weights.IMAGENET1K_V1
    return fetch("VGG19", lambda: source.get_state_dict(progress=False, check_hash=True))
