"""How to tell users to type a command."""

from __future__ import annotations

import sys
from pathlib import Path


def spell(command: str) -> str:
    """Return a command as this program was started: ``python scripts/train.py`` or ``pafpose train``."""
    if Path(sys.argv[0]).resolve().parent.name == "scripts":
        return f"python scripts/{command.replace('-', '_')}.py"
    return f"pafpose {command}"
