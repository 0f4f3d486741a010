"""Run the export command in this process."""

from __future__ import annotations

from pathlib import Path

from pafpose.config import load_config
from pafpose.tools.export.export import export


def run_export(checkpoint: Path, folder: Path, *words: str) -> Path:
    """Export as the command does and return what was made."""
    typed = [f"ckpt_path={checkpoint}", f"paths.output_dir={folder}", *words]
    return export(load_config(typed, name="export"), typed)
