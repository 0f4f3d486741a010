"""Sheets of samples as the network meets them: photo and keypoints, masks, heatmaps, PAFs, weights."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from pafpose import factory
from pafpose.config import plain
from pafpose.config import settings as read_settings
from pafpose.data.batch import Batch, Sample, collate
from pafpose.data.dataset import EvalDataset, TrainDataset
from pafpose.errors import PafposeError
from pafpose.fields import Targets
from pafpose.geometry import pad_to_multiple
from pafpose.runtime.log import quiet_known_warnings
from pafpose.skeleton import Skeleton
from pafpose.targets import TargetBuilder
from pafpose.viz import (
    Panel,
    arrows_overlay,
    draw_people,
    figure,
    hatch,
    heatmaps_overlay,
    map_overlay,
    pafs_overlay,
    save_figure,
)
from pafpose.viz.draw import enlarge, enlarge_points

log = logging.getLogger(__name__)

CHANGEABLE = ("heatmap", "paf", "mask")
SIDE = 720  # px, the long side of every picture of a sheet
CHOICES: dict[str, tuple[Any, ...]] = {
    "heatmap.scale_by": ("none", "person", "keypoint", "both"),
    "heatmap.merge": ("max", "sum"),
    "heatmap.background": ("max", "sum", "none"),
    "paf.scale_by": ("none", "limb", "person"),
    "paf.caps": ("bbox", "none", "round"),
    "paf.profile": ("rigid", "linear", "cosine", "gaussian"),
    "paf.merge": ("mean", "nearest", "max", "sum", "last"),
    "mask.small_people": ("target", "ignore", "both"),
    "mask.region": ("segmentation", "box"),
} | {
    f"mask.{key}": (True, False)
    for key in (
        "crowd",
        "unlabelled_people",
        "unlabelled_keypoints",
        "occluded_keypoints",
        "protect_labelled",
        "outside_image",
    )
}


@dataclass(frozen=True)
class SheetSettings:
    """The keys of ``visualize``; checked when made."""

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


@dataclass(frozen=True)
class Scene:
    """A sample, its padding cut off, its picture enlarged for drawing."""

    image_id: int
    picture: np.ndarray  # (H, W, 3) RGB uint8
    keypoints: np.ndarray  # (P, K, 3) in pixels of picture
    targets: Targets  # (C, h, w) each, no batch


def visualize(cfg: DictConfig) -> list[Path]:
    """What ``scripts/visualize.py`` does; the files that it wrote."""
    quiet_known_warnings()
    settings: SheetSettings = read_settings(SheetSettings, cfg.visualize, "visualize")
    configs = _configs(cfg, settings)
    skeleton = factory.build_skeleton(cfg)
    channels = _indices(settings.channels, skeleton.keypoints, "visualize.channels")
    limbs = _indices(settings.limbs, skeleton.limb_names, "visualize.limbs")
    scenes = {label: _scenes(config, settings) for label, config in configs.items()}
    paths = []
    for n in range(len(next(iter(scenes.values())))):
        views = {label: column[n] for label, column in scenes.items()}
        if settings.compare is None:
            panels, columns = sample_panels(views[""], skeleton, channels=channels, limbs=limbs), 3
        else:
            draws = (
                settings.compare == "mask.occluded_keypoints"
            )  # it decides about targets, not about weights
            group = "heatmap" if draws else settings.compare.split(".")[0]
            panels = compare_panels(views, group, skeleton=skeleton, channels=channels, limbs=limbs)
            columns = len(views)
        scene = next(iter(views.values()))
        heading = f"{settings.compare}: " * (settings.compare is not None) + f"photo {scene.image_id}"
        name = f"{settings.split}_{n:03d}_{scene.image_id}.{settings.format}"
        sheet = figure(panels, columns=columns, heading=heading)
        paths.append(save_figure(sheet, Path(cfg.paths.output_dir) / "images" / name))
    log.info("%d sheets     %s", len(paths), paths[0].parent)
    return paths


def sample_panels(
    scene: Scene, skeleton: Skeleton, *, channels: list[int] | None = None, limbs: list[int] | None = None
) -> list[Panel]:
    """Keypoints, masks, weights; heatmaps, background, all limbs as a wheel and as arrows."""
    picture, targets = scene.picture, scene.targets
    panels = [
        Panel("keypoints", draw_people(picture, scene.keypoints, skeleton)),
        Panel("hatched: the loss does not count", hatch(picture, ignored(scene, limbs))),
        Panel("heatmaps", heatmaps_overlay(picture, targets.heatmaps, skeleton, channels=channels)),
        Panel("PAFs", pafs_overlay(picture, targets.pafs, limbs=limbs)),
        Panel("PAFs as arrows", arrows_overlay(picture, targets.pafs, limbs=limbs)),
    ]
    if len(targets.heatmaps) > skeleton.num_keypoints:
        panels.append(Panel("background", map_overlay(picture, targets.heatmaps[-1])))
    return panels


def compare_panels(
    views: dict[str, Scene],
    group: str,
    *,
    skeleton: Skeleton,
    channels: list[int] | None = None,
    limbs: list[int] | None = None,
) -> list[Panel]:
    """One column per choice, with the fields that the choice is about row by row."""
    columns = []
    for label, scene in views.items():
        picture, targets = scene.picture, scene.targets
        if group == "heatmap":
            column = [heatmaps_overlay(picture, targets.heatmaps, skeleton, channels=channels)]
            if any(len(view.targets.heatmaps) > skeleton.num_keypoints for view in views.values()):
                rest = targets.heatmaps[skeleton.num_keypoints :].sum(0)  # 0 without that channel
                column.append(map_overlay(picture, rest))
        elif group == "paf":
            column = [pafs_overlay(picture, targets.pafs, limbs=limbs)]
            column.append(arrows_overlay(picture, targets.pafs, limbs=limbs))
        else:
            people = draw_people(picture, scene.keypoints, skeleton)
            column = [hatch(people, ignored(scene, limbs))]
            if any(_partial(view, limbs) for view in views.values()):
                column.append(map_overlay(picture, _weights(scene, limbs).mean(0), smooth=False))
        columns.append([Panel(label if n == 0 else "", image) for n, image in enumerate(column)])
    return [panel for row in zip(*columns, strict=True) for panel in row]


def ignored(scene: Scene, limbs: list[int] | None = None) -> Tensor:
    """Cells ``(h, w)`` where none of the limbs' channels counts."""
    return _weights(scene, limbs).amax(0) == 0


def _weights(scene: Scene, limbs: list[int] | None) -> Tensor:
    """Weights ``(L, h, w)`` of the limbs' channels, of all limbs without names."""
    weights = scene.targets.paf_weights.expand_as(scene.targets.pafs)[::2]
    return weights if limbs is None else weights[limbs]


def _partial(scene: Scene, limbs: list[int] | None) -> bool:
    """Whether somewhere some limbs count and others do not."""
    weights = _weights(scene, limbs)
    return bool((weights.amax(0) != weights.amin(0)).any())


def _configs(cfg: DictConfig, settings: SheetSettings) -> dict[str, Any]:
    """A config per compared value by its label; one, without a label, when nothing is compared."""
    if settings.compare is None:
        return {"": cfg}
    if OmegaConf.select(cfg, settings.compare) is None or settings.compare.split(".")[0] not in CHANGEABLE:
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


def _scenes(cfg: DictConfig, settings: SheetSettings) -> list[Scene]:
    """Samples of ``photos``, or ``count`` spread over the split; with the same randomness at every call."""
    data = factory.build_datamodule(cfg)
    data.prepare_data()
    data.setup("fit" if settings.split == "train" else "validate")
    dataset = data.train_dataset if settings.split == "train" else data.val_dataset
    targets = factory.build_targets(cfg)
    places = np.unique(np.linspace(0, len(dataset) - 1, settings.count).round().astype(int))
    if settings.photos is not None:
        places = _places(dataset, settings.photos)
    return [_scene(_draw(dataset, int(i), settings.split, cfg.seed), targets) for i in places]


def _places(dataset: TrainDataset | EvalDataset, photos: Sequence[int]) -> np.ndarray:
    """The samples that are of some photos."""
    places = np.flatnonzero(np.isin(dataset.image_ids, list(photos)))
    if not len(places):
        raise PafposeError(
            f"visualize.photos={list(photos)}: no sample is of these photos; give ids of the annotation "
            f"file, the first is {dataset.image_ids.min()}, or take another visualize.split"
        )
    return places


def _draw(dataset: Any, index: int, split: str, seed: int | None) -> Sample:
    return dataset[index, (seed or 0) + index] if split == "train" else dataset[index]


def _scene(sample: Sample, builder: TargetBuilder) -> Scene:
    """Targets of one sample, cut to the cells of its photo, and the picture enlarged for drawing."""
    batch: Batch = collate([sample])
    height, width = batch.image.shape[-2:]
    with torch.no_grad():
        targets: Targets = builder(batch.keypoints, (height, width), batch.boxes, batch.ignore)
    stride = height // targets.pafs.shape[-2]
    rows, columns = (pad_to_multiple(int(side), stride) for side in batch.valid[0])
    cells = (0, ..., slice(rows // stride), slice(columns // stride))
    picture = np.ascontiguousarray(batch.image[0, :, :rows, :columns].permute(1, 2, 0).numpy())
    factor = SIDE / max(rows, columns)
    return Scene(
        image_id=sample.image_id,
        picture=enlarge(picture, factor),
        keypoints=enlarge_points(batch.keypoints[0].numpy(), factor),
        targets=Targets(*(field.expand(1, -1, -1, -1)[cells] for field in targets)),
    )


def _indices(names: Sequence[str] | None, known: Sequence[str], where: str) -> list[int] | None:
    """Places of names; None for all."""
    if names is None:
        return None
    strange = [name for name in names if name not in known]
    if strange:
        raise PafposeError(f"{where}: unknown {strange[0]!r}; known: {', '.join(known)}")
    return [list(known).index(name) for name in names]
