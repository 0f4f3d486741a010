"""Data: annotation files to batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pafpose.data.augment import AugmentSettings
    from pafpose.data.datamodule import PoseDataModule
    from pafpose.data.images import load_image
    from pafpose.data.records import Batch, Sample

__all__ = ["AugmentSettings", "Batch", "PoseDataModule", "Sample", "load_image"]

_HOME = {
    "AugmentSettings": "augment",
    "Batch": "records",
    "PoseDataModule": "datamodule",
    "Sample": "records",
    "load_image": "images",
}


def __getattr__(name: str) -> Any:
    """Import on first use: Lightning and OpenCV take seconds."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
