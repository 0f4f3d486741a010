"""Any convolutional classifier of torchvision, by name, with a feature pyramid."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, fx, nn

from pafpose.errors import PafposeError
from pafpose.models.backbones.base import Backbone
from pafpose.models.backbones.pyramid import FeaturePyramid
from pafpose.models.backbones.weights import fetch, load_exactly, read_file

PROBE = (128, 160)  # height and width of the picture that reveals strides; multiples of 32


class TorchvisionBackbone(Backbone):
    """The last feature of each stride from ``stride`` to ``max_stride``, summed at ``stride``.

    ``weights``: null, imagenet (torchvision's best, downloaded) or the path of a state dict with its names.
    """

    def __init__(
        self,
        *,
        stride: int,
        name: str = "resnet18",
        weights: str | None = "imagenet",
        out_channels: int = 128,
        max_stride: int = 32,
        normalisation: str = "imagenet",
        freeze: int = 0,
        batchnorm: str = "train",
        fold: bool = False,
    ) -> None:
        super().__init__(stride=stride, out_channels=out_channels, normalisation=normalisation)
        self.trunk, channels = extractor(name, weights, min_stride=stride, max_stride=max_stride)
        self.pyramid = FeaturePyramid(channels, out_channels)
        self.freeze_trunk(freeze=freeze, batchnorm=batchnorm, fold=fold)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) normalised -> (B, out_channels, H / stride, W / stride)."""
        return self.pyramid(list(self.trunk(x).values()))


def extractor(
    name: str, weights: str | None, *, min_stride: int, max_stride: int
) -> tuple[nn.Module, list[int]]:
    """Create a graph that outputs the last feature of each stride in a range; return it and the channels."""
    from torchvision import models
    from torchvision.models.feature_extraction import create_feature_extractor

    if name not in models.list_models(module=models):
        raise PafposeError(
            f"backbone.name={name}: torchvision has no such classifier; torchvision.models.list_models() "
            "lists them"
        )
    model = models.get_model(name, weights=None)
    if weights == "imagenet":
        source: Any = models.get_model_weights(name).DEFAULT
        load_exactly(model, fetch(name, lambda: source.get_state_dict(progress=False)), source=name)
    elif weights is not None:
        load_exactly(model, read_file(weights), source=weights)
    last = last_of_each_stride(model)
    chosen = {s: last[s] for s in sorted(last) if min_stride <= s <= max_stride}
    if min_stride not in chosen:
        raise PafposeError(
            f"backbone.name={name}: this model has features at strides {sorted(last)} but needs some at "
            f"stride {min_stride} (head.stride * head.shuffle); choose another stride or model"
        )
    nodes = {node: str(s) for s, (node, _) in chosen.items()}
    trunk = create_feature_extractor(model, nodes)
    return trunk, [channels for _, channels in chosen.values()]


def last_of_each_stride(model: nn.Module) -> dict[int, tuple[str, int]]:
    """Return the name and channels of the last feature map at every stride of the traced model."""
    from torchvision.models.feature_extraction import NodePathTracer

    tracer = NodePathTracer(**_tracing())
    graph = fx.GraphModule(model, tracer.trace(model.eval()))
    found: dict[int, tuple[str, int]] = {}

    class Probe(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            result = super().run_node(n)
            name = tracer.node_to_qualname.get(n)
            stride = _stride(result)
            if name and stride and n.op != "output":
                found[stride] = (name, int(result.shape[1]))
            return result

    with torch.no_grad():
        Probe(graph).run(torch.zeros(1, 3, *PROBE))
    model.train()
    return found


def _tracing() -> dict[str, Any]:
    """Return the options with which ``create_feature_extractor`` traces: torchvision's ops are leaves."""
    import torchvision.ops

    layers = [m for m in vars(torchvision.ops).values() if isinstance(m, type) and issubclass(m, nn.Module)]
    return {"autowrap_modules": (math, torchvision.ops), "leaf_modules": layers}


def _stride(result: Any) -> int:
    """Return the stride of a (1, C, h, w) feature map, 0 for anything else."""
    if not isinstance(result, Tensor) or result.ndim != 4:
        return 0
    stride = PROBE[0] // max(1, result.shape[2])
    return stride if result.shape[2:] == (PROBE[0] // stride, PROBE[1] // stride) else 0
