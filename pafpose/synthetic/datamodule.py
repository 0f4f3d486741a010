"""SyntheticDataModule: pictures drawn on first use, then read like any other folder in COCO's layout."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from pafpose.data.folder import FolderDataModule
from pafpose.skeleton import Skeleton
from pafpose.synthetic.settings import SyntheticSettings
from pafpose.synthetic.write import MARKER, dataset_fingerprint, write_dataset


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
        self._given = Path(str(root))
        super().__init__(
            skeleton=skeleton,
            root=str(self._folder(self.settings, skeleton)),
            **{key: value for key, value in keys.items() if key not in names},
        )

    def _folder(self, settings: SyntheticSettings, skeleton: Skeleton) -> Path:
        """Return the folder of these pictures: ``root`` itself if pictures were drawn there."""
        if (self._given / MARKER).is_file():
            return self._given
        return self._given / dataset_fingerprint(settings, skeleton)

    def prepare_data(self) -> None:
        """Draw the pictures unless they are there; several processes may call it, and repeatedly."""
        self.root = self._folder(self.settings, self.skeleton)
        write_dataset(self.root, self.settings, skeleton=self.skeleton, workers=self.generator_workers)

    def prepare_validation(self) -> None:
        """Draw the validation pictures alone, in a folder of their own, unless they are there."""
        if self.root.exists():
            self.prepare_data()
            return
        settings = replace(self.settings, train_count=0)
        self.root = self._folder(settings, self.skeleton)
        write_dataset(self.root, settings, skeleton=self.skeleton, workers=self.generator_workers)
