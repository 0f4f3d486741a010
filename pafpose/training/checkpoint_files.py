"""How checkpoints get to the disk and back: whole or absent, and without the paths that others wrote."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins import TorchCheckpointIO

from pafpose.runtime.files import write_whole


class CheckpointFiles(TorchCheckpointIO):
    """Write checkpoints beside their place and rename them; drop paths from those that are read.

    Lightning's own class writes to the temporary folder and moves the file from there: a kill leaves an empty
    checkpoint behind.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint; what was at ``path`` stays whole until the new file is."""
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        with write_whole(file) as stream:
            torch.save(checkpoint, stream)

    def load_checkpoint(self, path: str | Path, *args: Any, **options: Any) -> dict[str, Any]:
        """Read a checkpoint without the states that name files.

        Lightning's ModelCheckpoint deletes the files, and folders, that its state names.
        """
        content = super().load_checkpoint(path, *args, **options)
        states = content.get("callbacks", {})
        content["callbacks"] = {name: state for name, state in states.items() if not _names_files(state)}
        return content


def _names_files(state: object) -> bool:
    return isinstance(state, Mapping) and any("path" in str(key) for key in state)
