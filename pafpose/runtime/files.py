"""Read and write json files; a write is atomic."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_json(path: Path, content: Any) -> None:
    """Write a json file through a temporary file beside it, so that it is never left half written.

    Json has no word for NaN, which stands for what is undefined: it becomes null.
    """
    part = path.with_suffix(".part")
    part.write_text(json.dumps(_without_nan(content), indent=1, allow_nan=False), encoding="utf-8")
    part.replace(path)


def _without_nan(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(value) for value in content]
    return None if isinstance(content, float) and math.isnan(content) else content


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the mapping in a json file; None when the file is missing or damaged."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
