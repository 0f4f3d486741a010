"""What every backbone has: its contract, and the policy for layers that are not trained."""

from __future__ import annotations

from itertools import pairwise
from typing import Self

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pafpose.errors import PafposeError
from pafpose.models.layers import choice

PROBE = 64  # side of the picture that tells the stride of every layer


class Backbone(nn.Module):
    """Features (B, out_channels, H / stride, W / stride) from normalised images.

    ``trunk`` holds the layers that may be pretrained; the rest is new. ``normalisation`` names what the
    pixels go through before (see ``pafpose.models.normalisation``).
    """

    trunk: nn.Module

    def __init__(self, *, stride: int, out_channels: int, normalisation: str = "imagenet") -> None:
        super().__init__()
        if stride not in (4, 8):
            raise PafposeError(f"head.stride={stride}: fields have 4 or 8 input pixels per cell; choose one")
        self.stride = int(stride)
        self.out_channels = int(out_channels)
        self.normalisation = normalisation
        self._still: list[nn.Module] = []

    def hold(self, *, freeze: int = 0, batchnorm: str = "train", fold: bool = False) -> None:
        """Fix what is not to be trained; call it last in the constructor, after loading weights.

        freeze: layers of the trunk whose output has at most this stride are not trained, and their
        BatchNorm keeps its statistics. batchnorm ``frozen``: that of the whole trunk keeps statistics, scale
        and shift. fold: merge the BatchNorm of frozen layers into their convolutions, which is faster.
        """
        choice("backbone.batchnorm", batchnorm, ("train", "frozen"))
        if freeze < 0:
            raise PafposeError(f"backbone.freeze={freeze}: a stride in input pixels, 0 for none")
        frozen = self._layers_up_to(freeze) if freeze else []
        norms = [m for m in self.trunk.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        self._still = [m for m in norms if batchnorm == "frozen" or m in frozen]
        for module in (*frozen, *self._still):
            module.requires_grad_(False)
        if fold:
            fold_batchnorm(self.trunk, set(self._still))
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """As always, but frozen BatchNorm stays in evaluation mode."""
        super().train(mode)
        for module in self._still:
            module.eval()
        return self

    def _layers_up_to(self, stride: int) -> list[nn.Module]:
        """Leaves of the trunk whose outputs have at most this stride, found by running a small picture."""
        found: list[nn.Module] = []

        def note(module: nn.Module, _: object, output: object) -> None:
            if isinstance(output, torch.Tensor) and output.ndim == 4 and output.shape[2] * stride >= PROBE:
                found.append(module)

        leaves = [m for m in self.trunk.modules() if not list(m.children()) or hasattr(m, "running_mean")]
        handles = [leaf.register_forward_hook(note) for leaf in leaves]
        training = self.training
        with torch.no_grad():
            self.eval()(torch.zeros(1, 3, PROBE, PROBE))
        self.train(training)
        for handle in handles:
            handle.remove()
        return found


def fold_batchnorm(trunk: nn.Module, frozen: set[nn.Module]) -> None:
    """Replace each frozen BatchNorm that follows a frozen convolution by a change of its weights, in place.

    Children are taken in the order of registration, as torchvision, timm and our own modules declare them.
    """
    for parent in list(trunk.modules()):
        children = list(parent.named_children())
        for (name, before), (after_name, after) in pairwise(children):
            if not isinstance(before, nn.Conv2d) or not isinstance(after, nn.BatchNorm2d):
                continue
            if after not in frozen or before.weight.requires_grad:
                continue
            fused = fuse_conv_bn_eval(before.eval(), after.eval())
            setattr(parent, name, fused.requires_grad_(False))
            setattr(parent, after_name, getattr(after, "act", nn.Identity()))  # timm's has one inside
