"""What an exported network says about itself, in ``config.json`` of a folder or inside an ONNX file."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from pafpose.errors import PafposeError
from pafpose.inference.format_version import check_format

MODEL_TYPE = "pafpose"
METADATA_KEY = "pafpose"  # of an ONNX file
INPUT, OUTPUTS = "images", ("heatmaps", "pafs")  # their names in an ONNX file
MAX_CHARACTERS = 10_000_000
GROUPS = ("backbone", "head", "skeleton", "data", "paf", "heatmap", "decode", "evaluate")


def to_json(content: Mapping[str, Any]) -> str:
    """Return a manifest as strict JSON, which has no word for infinity: ``inf`` becomes a string."""
    return json.dumps(_map(content, _spell_infinity), indent=1, allow_nan=False)


def read_manifest(text: str, source: object) -> dict[str, Any]:
    """Return the config in a manifest; raise ``PafposeError`` naming ``source`` for anything else.

    The manifest is not trusted: see ``pafpose.inference.trust`` for what its config may ask for.
    """
    content = _parse(text, source)
    if content.get("model_type") != MODEL_TYPE:
        raise PafposeError(f"{source}: not a network that pafpose exported; make one with pafpose export")
    check_format(content.get("format_version", 0), source)  # an export always states it
    config = content.get("config")
    if not isinstance(config, dict) or not all(isinstance(config.get(key), dict) for key in GROUPS):
        raise PafposeError(f"{source}: its config is incomplete; export the network again")
    return config


def _parse(text: str, source: object) -> Mapping[str, Any]:
    if len(text) > MAX_CHARACTERS:
        raise PafposeError(f"{source}: {len(text):,} characters are too many for a config")
    try:
        content = _map(json.loads(text), _infinity)
    except (ValueError, RecursionError) as error:
        raise PafposeError(f"{source}: damaged ({type(error).__name__}); export the network again") from error
    return content if isinstance(content, Mapping) else {}


def _spell_infinity(value: Any) -> Any:
    return str(value) if isinstance(value, float) and math.isinf(value) else value


def _infinity(value: Any) -> Any:
    return float(value) if value in ("inf", "-inf") else value


def _map(content: Any, change: Callable[[Any], Any]) -> Any:
    """Return a copy of dicts and lists with every other value changed."""
    if isinstance(content, Mapping):
        return {key: _map(value, change) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_map(value, change) for value in content]
    return change(content)
