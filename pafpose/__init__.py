"""pafpose: train multi-person 2D pose networks with part affinity fields.

>>> import pafpose
>>> cfg = pafpose.load_config(["paf.width=8", "heatmap.sigma=7"])
>>> pafpose.build_skeleton(cfg).num_limbs
19
"""

from __future__ import annotations

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # importing it would ask the network for its version

from pafpose.utils.compiled import ensure_cache

ensure_cache()  # before anything is compiled

from pafpose.api import (  # noqa: E402
    build_datamodule,
    build_decoder,
    build_network,
    build_skeleton,
    build_targets,
    load,
    train,
)
from pafpose.config import load_config  # noqa: E402
from pafpose.errors import PafposeError  # noqa: E402
from pafpose.fields import Fields, People, Targets  # noqa: E402
from pafpose.skeleton import Skeleton  # noqa: E402

__version__ = "0.1.0"

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
