"""Draw sheets of samples with their targets, or of one sample under several choices."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from pafpose import factory
from pafpose.config import Config, plain
from pafpose.config import settings as read_settings
from pafpose.data.datamodule import PoseDataModule
from pafpose.data.dataset import EvalDataset, TrainDataset
from pafpose.errors import PafposeError
from pafpose.runtime.log import quiet_known_warnings
from pafpose.skeleton import Skeleton
from pafpose.targets.settings import CHOICES, GROUPS
from pafpose.viz import Panel, figure, save_figure
from pafpose.viz.samples import SampleView, comparison_panels, sample_panels, view_sample

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SheetSettings:
    """The keys of ``visualize``. Raises ``PafposeError`` on a bad value."""

    split: str = "train"
    count: int = 8
    photos: Sequence[int] | None = None
    channels: Sequence[str] | None = None
    limbs: Sequence[str] | None = None
    format: str = "png"
    compare: str | None = None
    values: Sequence[Any] | None = None

    def __post_init__(self) -> None:
        for key, options in (("split", ("train", "val")), ("format", ("png", "pdf", "svg"))):
            if getattr(self, key) not in options:
                raise PafposeError(f"visualize.{key}={getattr(self, key)}: choose {' or '.join(options)}")
        if self.count < 1:
            raise PafposeError(f"visualize.count={self.count}: give 1 or more samples")
        if self.compare is not None and self.values is None and self.compare not in CHOICES:
            raise PafposeError(
                f"visualize.compare={self.compare}: add 'visualize.values=[4,8,16]', or compare "
                f"one of {', '.join(sorted(CHOICES))}"
            )


def visualize(cfg: DictConfig) -> list[Path]:
    """Draw the sheets into ``images/`` of the run folder and return their paths."""
    quiet_known_warnings()
    settings = read_settings(SheetSettings, cfg.visualize, "visualize")
    skeleton = factory.build_skeleton(cfg)
    channels = _indices(settings.channels, skeleton.keypoints, "visualize.channels")
    limbs = _indices(settings.limbs, skeleton.limb_names, "visualize.limbs")
    views = {label: _views(config, settings) for label, config in _configs(cfg, settings).items()}
    paths = []
    for number, columns in enumerate(zip(*views.values(), strict=True)):
        sample = dict(zip(views, columns, strict=True))
        panels = _panels(sample, settings, skeleton, channels, limbs)
        image_id = columns[0].image_id
        heading = f"photo {image_id}" if settings.compare is None else f"{settings.compare}: photo {image_id}"
        sheet = figure(panels, columns=3 if settings.compare is None else len(sample), heading=heading)
        name = f"{settings.split}_{number:03d}_{image_id}.{settings.format}"
        paths.append(save_figure(sheet, Path(cfg.paths.output_dir) / "images" / name))
    log.info("%d sheets     %s", len(paths), paths[0].parent)
    return paths


def _panels(
    views: dict[str, SampleView],
    settings: SheetSettings,
    skeleton: Skeleton,
    channels: list[int] | None,
    limbs: list[int] | None,
) -> list[Panel]:
    if settings.compare is None:
        return sample_panels(views[""], skeleton, channels=channels, limbs=limbs)
    group = settings.compare.split(".")[0]
    if settings.compare == "mask.occluded_keypoints":  # this key changes targets, not weights
        group = "heatmap"
    return comparison_panels(views, group, skeleton, channels=channels, limbs=limbs)


def _configs(cfg: DictConfig, settings: SheetSettings) -> dict[str, Config]:
    """Return a config for each compared value, by its label; ``cfg`` under "" when nothing is compared."""
    if settings.compare is None:
        return {"": cfg}
    if OmegaConf.select(cfg, settings.compare) is None or settings.compare.split(".")[0] not in GROUPS:
        raise PafposeError(
            f"visualize.compare={settings.compare}: compare one of {', '.join(sorted(CHOICES))}, "
            "or a number of these groups with visualize.values=[...]"
        )
    values = CHOICES[settings.compare] if settings.values is None else settings.values
    configs = {}
    for value in values:
        changed = OmegaConf.create(plain(cfg))
        OmegaConf.update(changed, settings.compare, value)
        configs[str(value).lower() if isinstance(value, bool) else str(value)] = changed
    return configs


def _views(cfg: Config, settings: SheetSettings) -> list[SampleView]:
    """Return the samples of ``photos``, or ``count`` samples spread over the split, equal at every call."""
    data, targets = factory.build_datamodule(cfg), factory.build_targets(cfg)
    data.prepare_data()
    data.setup("fit" if settings.split == "train" else "validate")
    chosen = _choose(_dataset(data, settings.split), settings)
    if settings.split == "val":
        return [view_sample(data.val_dataset[n], targets) for n in chosen]
    seed = cfg["seed"] or 0
    return [view_sample(data.train_dataset[n, seed + n], targets) for n in chosen]


def _dataset(data: PoseDataModule, split: str) -> TrainDataset | EvalDataset:
    return data.train_dataset if split == "train" else data.val_dataset


def _choose(dataset: TrainDataset | EvalDataset, settings: SheetSettings) -> list[int]:
    """Return the indices of the samples to draw."""
    if settings.photos is None:
        spread = np.linspace(0, len(dataset) - 1, settings.count).round().astype(int)
        return [int(n) for n in np.unique(spread)]
    chosen = np.flatnonzero(np.isin(dataset.image_ids, list(settings.photos)))
    if not len(chosen):
        raise PafposeError(
            f"visualize.photos={list(settings.photos)}: no sample is of these photos; give ids of the "
            f"annotation file, such as {dataset.image_ids.min()}, or choose another visualize.split"
        )
    return [int(n) for n in chosen]


def _indices(names: Sequence[str] | None, known: Sequence[str], key: str) -> list[int] | None:
    """Return the index of each name; None for None, which means all."""
    if names is None:
        return None
    unknown = [name for name in names if name not in known]
    if unknown:
        raise PafposeError(f"{key}: unknown {unknown[0]!r}; known: {', '.join(known)}")
    return [list(known).index(name) for name in names]
