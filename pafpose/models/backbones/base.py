"""What every backbone offers, and how parts of it are frozen."""

from __future__ import annotations

from itertools import pairwise
from typing import Self

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pafpose.errors import PafposeError
from pafpose.models.layers import check_choice

BATCHNORM = (nn.BatchNorm2d, nn.SyncBatchNorm)  # Lightning replaces the former by the latter on demand
PROBE = 64  # side in pixels of the picture that reveals the stride of every layer


class Backbone(nn.Module):
    """Map normalised images (B, 3, H, W) to features (B, out_channels, H / stride, W / stride).

    A backbone of your own need not be a subclass, but must offer the same:

    - the constructor accepts ``stride``, which is ``head.stride * head.shuffle``, and ``weights`` (None: from
      scratch; so are checkpoints rebuilt before their weights are loaded);
    - ``out_channels`` and ``stride``: the head is built for them;
    - ``normalisation``: a key of ``pafpose.models.normalisation.STATISTICS`` (imagenet if it is missing);
    - ``trunk``: a module that holds the layers that may be pretrained, and only those. ``optimizer.groups``
      calls parameters named ``backbone.trunk.*`` backbone and all others head, and ``freeze``, ``batchnorm``
      and ``fold`` act on the trunk alone. Without a trunk, ``optimizer.groups.backbone`` has no effect.
    """

    trunk: nn.Module

    def __init__(self, *, stride: int, out_channels: int, normalisation: str = "imagenet") -> None:
        super().__init__()
        if stride not in (4, 8):
            raise PafposeError(f"head.stride={stride}: fields have 4 or 8 input pixels per cell; choose one")
        self.stride = int(stride)
        self.out_channels = int(out_channels)
        self.normalisation = normalisation

    def freeze_trunk(self, *, freeze: int = 0, batchnorm: str = "train", fold: bool = False) -> None:
        """Freeze layers of the trunk; call it last in the constructor, after loading weights.

        ``freeze``: layers whose output has at most this stride in input pixels are not trained, and their
        BatchNorm keeps its statistics; 0: none. ``batchnorm`` frozen: every BatchNorm of the trunk keeps its
        statistics, scale and shift. ``fold``: merge frozen BatchNorm into the frozen convolutions before it,
        which is faster.
        """
        check_choice("backbone.batchnorm", batchnorm, ("train", "frozen"))
        if freeze < 0:
            raise PafposeError(f"backbone.freeze={freeze}: must be a stride in input pixels, or 0 for none")
        frozen = self._layers_up_to(freeze) if freeze else []
        norms = [m for m in self.trunk.modules() if isinstance(m, BATCHNORM)]
        frozen_norms = [m for m in norms if batchnorm == "frozen" or m in frozen]
        for module in (*frozen, *frozen_norms):
            module.requires_grad_(False)
        if fold:
            fold_batchnorm(self.trunk, set(frozen_norms))
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all layers, except that BatchNorm with a frozen scale stays in evaluation mode."""
        super().train(mode)
        for module in self.modules():
            if (
                isinstance(module, BATCHNORM)
                and module.weight is not None
                and not module.weight.requires_grad
            ):
                module.eval()
        return self

    def _layers_up_to(self, stride: int) -> list[nn.Module]:
        """List the leaves of the trunk whose output has at most this stride, by running a small picture."""
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
    """Merge each frozen BatchNorm into the frozen convolution registered just before it, in place.

    Children must be registered in the order in which they run, as those of torchvision, timm and pafpose are.
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
            # timm's BatchNorm layers contain the activation that follows
            setattr(parent, after_name, getattr(after, "act", nn.Identity()))
