"""Read and write json files; a write is atomic."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write_json(path: Path, content: Any) -> None:
    """Write a json file through a temporary file beside it, so that it is never left half written."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1))
    part.replace(path)


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the mapping in a json file; None when the file is missing or damaged."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
