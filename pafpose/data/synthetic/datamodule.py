"""SyntheticDataModule: pictures drawn on first use, then read like any other COCO-style folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pafpose.data.datamodule import PoseDataModule
from pafpose.data.synthetic.settings import SyntheticSettings
from pafpose.data.synthetic.write import dataset_fingerprint, write_dataset
from pafpose.skeleton import Skeleton


class SyntheticDataModule(PoseDataModule):
    """Synthetic people under ``root/<fingerprint>``: other settings get another folder."""

    def __init__(
        self,
        *,
        skeleton: Skeleton,
        root: str,
        train_count: int,
        val_count: int,
        generator_seed: int,
        picture_size: int,
        people: Sequence[int],
        height: Sequence[float],
        overlap: float,
        cut: float,
        occlusion: float,
        crowd: float,
        unlabelled: float,
        noise: float,
        clutter: float,
        generator_workers: int | None = None,
        **reading: Any,
    ) -> None:
        self.settings = SyntheticSettings(
            train_count=train_count,
            val_count=val_count,
            generator_seed=generator_seed,
            picture_size=picture_size,
            people=people,
            height=height,
            overlap=overlap,
            cut=cut,
            occlusion=occlusion,
            crowd=crowd,
            unlabelled=unlabelled,
            noise=noise,
            clutter=clutter,
        )
        self.generator_workers = generator_workers
        folder = Path(root) / dataset_fingerprint(self.settings, skeleton)
        super().__init__(skeleton=skeleton, root=str(folder), **reading)

    def prepare_data(self) -> None:
        """Draw the pictures unless they are there; safe to call again and from several processes."""
        write_dataset(self.root, self.settings, skeleton=self.skeleton, workers=self.generator_workers)
