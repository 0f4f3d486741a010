"""pafpose: train multi-person 2D pose networks with part affinity fields.

>>> import pafpose
>>> cfg = pafpose.load_config(["paf.width=8", "heatmap.sigma=7"])
>>> pafpose.build_skeleton(cfg).num_limbs
19
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # importing it would ask the network for its version

if TYPE_CHECKING:
    from pafpose.api import load, train
    from pafpose.config import load_config
    from pafpose.errors import PafposeError
    from pafpose.factory import (
        build_datamodule,
        build_decoder,
        build_network,
        build_skeleton,
        build_targets,
    )
    from pafpose.fields import Fields, People, Targets
    from pafpose.skeleton import Skeleton

__version__ = "0.1.0"

_HOME = {
    "Fields": "fields",
    "PafposeError": "errors",
    "People": "fields",
    "Skeleton": "skeleton",
    "Targets": "fields",
    "build_datamodule": "factory",
    "build_decoder": "factory",
    "build_network": "factory",
    "build_skeleton": "factory",
    "build_targets": "factory",
    "load": "api",
    "load_config": "config",
    "train": "api",
}

__all__ = [
    "Fields",
    "PafposeError",
    "People",
    "Skeleton",
    "Targets",
    "build_datamodule",
    "build_decoder",
    "build_network",
    "build_skeleton",
    "build_targets",
    "load",
    "load_config",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use: torch and Lightning take seconds."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
