"""Folders in Hugging Face's layout: ``model.safetensors``, ``config.json`` and a model card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from pafpose.errors import PafposeError
from pafpose.inference.manifest import MAX_CHARACTERS, read_manifest

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"


def is_exported_folder(path: Path) -> bool:
    """Return whether a folder holds exported weights; whether they are whole shows when they are read."""
    return (path / WEIGHTS).is_file()


def read_folder(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the config and the tensors of an exported folder; neither is trusted.

    Raises ``PafposeError`` naming the file that is missing, damaged or not pafpose's.
    """
    config = read_manifest(_read_text(folder / CONFIG), folder / CONFIG)
    try:
        return config, load_file(folder / WEIGHTS)
    except (SafetensorError, OSError, ValueError) as error:
        raise PafposeError(
            f"{folder / WEIGHTS}: damaged or incomplete ({error}); copy it again, or export the network again"
        ) from error


def _read_text(path: Path) -> str:
    if not path.is_file():
        raise PafposeError(f"{path}: missing; an exported folder is {WEIGHTS} and {CONFIG}, copied together")
    if path.stat().st_size > 4 * MAX_CHARACTERS:
        raise PafposeError(f"{path}: {path.stat().st_size:,} bytes are too many for a config")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise PafposeError(f"{path}: cannot be read ({error}); export the network again") from error
