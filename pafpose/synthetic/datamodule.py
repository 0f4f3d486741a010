"""SyntheticDataModule: pictures drawn on first use, then read like any other COCO-style folder."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from pafpose.data.folder import FolderDataModule
from pafpose.skeleton import Skeleton
from pafpose.synthetic.settings import SyntheticSettings
from pafpose.synthetic.write import dataset_fingerprint, write_dataset


class SyntheticDataModule(FolderDataModule):
    """Synthetic people under ``root/<fingerprint>``: other settings get another folder."""

    def __init__(
        self,
        *,
        skeleton: Skeleton,
        root: str,
        generator_workers: int | None = None,
        **reading: Any,  # keys of SyntheticSettings, and of FolderDataModule
    ) -> None:
        names = {field.name for field in fields(SyntheticSettings)}
        drawing = {key: reading.pop(key) for key in list(reading) if key in names}
        self.settings = SyntheticSettings(**drawing)
        self.generator_workers = generator_workers
        folder = Path(root) / dataset_fingerprint(self.settings, skeleton)
        super().__init__(skeleton=skeleton, root=str(folder), **reading)

    def prepare_data(self) -> None:
        """Draw the pictures unless they are there; safe to call again and from several processes."""
        write_dataset(self.root, self.settings, skeleton=self.skeleton, workers=self.generator_workers)
