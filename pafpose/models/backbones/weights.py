"""Pretrained weights: downloading, reading, and clear errors if they are missing or do not fit."""

from __future__ import annotations

import urllib.error
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from pafpose.errors import PafposeError

T = TypeVar("T")
StateDict = Mapping[str, Tensor]


def fetch(what: str, get: Callable[[], T]) -> T:
    """Return what ``get`` downloads; if it fails, raise an error that names the alternatives."""
    try:
        return get()
    except (OSError, RuntimeError, urllib.error.URLError) as error:
        raise PafposeError(
            f"backbone.weights=imagenet: the weights of {what} could not be downloaded ({error}); start from "
            "scratch with backbone.weights=null, or give the path of a state dict as backbone.weights"
        ) from error


def read_file(path: str) -> StateDict:
    """Read a state dict from a file, with ``weights_only=True``."""
    if not Path(path).is_file():
        raise PafposeError(
            f"backbone.weights={path}: no such file; use null (from scratch), imagenet or the path "
            "of a state dict"
        )
    state: StateDict = torch.load(path, map_location="cpu", weights_only=True)
    return state


def load_exactly(module: nn.Module, state: StateDict, *, source: str) -> None:
    """Load every tensor of the module from ``state``, which may hold more; raise if one does not fit."""
    own = module.state_dict()
    missing = [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
    wrong = [name for name in own if name in state and own[name].shape != state[name].shape]
    for name in wrong + missing:
        got = tuple(state[name].shape) if name in state else "nothing"
        raise PafposeError(
            f"backbone.weights: {source} does not fit: {name} should be {tuple(own[name].shape)}, got {got} "
            f"({len(missing)} tensors missing, {len(wrong)} of another shape)"
        )
    module.load_state_dict({name: state[name] for name in own if name in state}, strict=False)


def load_by_order(module: nn.Module, state: StateDict, *, source: str) -> None:
    """Load tensors that have other names but the same order and shapes; raise an error if one differs."""
    own = {k: v for k, v in module.state_dict().items() if not k.endswith("num_batches_tracked")}
    given = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    if len(own) != len(given):
        raise PafposeError(f"backbone.weights: {source} has {len(given)} tensors, the network {len(own)}")
    for (name, mine), (other, theirs) in zip(own.items(), given.items(), strict=True):
        if mine.shape != theirs.shape:
            raise PafposeError(
                f"backbone.weights: {source} does not fit: {name} is {tuple(mine.shape)}, {other} is "
                f"{tuple(theirs.shape)}"
            )
    module.load_state_dict(dict(zip(own, given.values(), strict=True)), strict=False)
