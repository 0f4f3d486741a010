"""SyntheticDataModule: pictures drawn on first use, then read like any other folder in COCO's layout."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from pafpose.data.folder import FolderDataModule
from pafpose.skeleton import Skeleton
from pafpose.synthetic.settings import SyntheticSettings
from pafpose.synthetic.write import dataset_fingerprint, write_dataset


class SyntheticDataModule(FolderDataModule):
    """Synthetic people in ``root/<fingerprint>``, so that other settings get another folder."""

    def __init__(
        self,
        *,
        skeleton: Skeleton,
        root: str,
        generator_workers: int | None = None,
        **keys: Any,  # of SyntheticSettings and of FolderDataModule
    ) -> None:
        names = {field.name for field in fields(SyntheticSettings)}
        self.settings = SyntheticSettings(**{key: value for key, value in keys.items() if key in names})
        self.generator_workers = generator_workers
        super().__init__(
            skeleton=skeleton,
            root=str(Path(str(root)) / dataset_fingerprint(self.settings, skeleton)),
            **{key: value for key, value in keys.items() if key not in names},
        )

    def prepare_data(self) -> None:
        """Draw the pictures unless they are there; several processes may call it, and repeatedly."""
        write_dataset(self.root, self.settings, skeleton=self.skeleton, workers=self.generator_workers)
