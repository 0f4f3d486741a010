"""Build objects from a composed config."""

from __future__ import annotations

import dataclasses
import logging
from typing import TypeVar

import torch

from pafpose.config import Config, build, plain, settings
from pafpose.data.datamodule import PoseDataModule
from pafpose.data.photos.augment import AugmentSettings
from pafpose.data.photos.fit import PhotoFit
from pafpose.decode import Decoder, DecodeSettings
from pafpose.models import PoseNetwork
from pafpose.skeleton import Skeleton
from pafpose.targets import HeatmapSettings, MaskSettings, PafSettings, TargetBuilder

log = logging.getLogger(__name__)
WithMinimum = TypeVar("WithMinimum", DecodeSettings, MaskSettings)


def build_skeleton(cfg: Config) -> Skeleton:
    """Build the skeleton with the limbs that ``paf.limbs`` names; ``.limbs`` are index pairs in PAF order."""
    return Skeleton.from_config(plain(cfg["skeleton"]), limbs=plain(cfg["paf"])["limbs"])


def build_targets(cfg: Config) -> TargetBuilder:
    """Build what draws the targets: ``targets(keypoints, size=(H, W), boxes=None, ignore=None)``."""
    skeleton = build_skeleton(cfg)
    return TargetBuilder(
        skeleton,
        heatmap=settings(HeatmapSettings, cfg["heatmap"], "heatmap"),
        paf=settings(PafSettings, cfg["paf"], "paf"),
        mask=_for_skeleton(MaskSettings, cfg, "mask", skeleton),
        stride=int(cfg["head"]["stride"]),
    )


def build_decoder(cfg: Config) -> Decoder:
    """Build the decoder: ``decoder(heatmaps, pafs)`` of one picture gives people in input pixels."""
    skeleton = build_skeleton(cfg)
    return Decoder(
        skeleton,
        _for_skeleton(DecodeSettings, cfg, "decode", skeleton),
        stride=int(cfg["head"]["stride"]),
        heatmap_sigma=float(cfg["heatmap"]["sigma"]),
        background=cfg["heatmap"]["background"] != "none",
    )


def build_datamodule(cfg: Config) -> PoseDataModule:
    """Build the data module; files that are missing raise in its ``setup()``, not here."""
    skeleton = build_skeleton(cfg)
    return build(
        cfg["data"],
        skeleton=skeleton,
        augment=settings(AugmentSettings, cfg["augment"], "augment"),
        mask=_for_skeleton(MaskSettings, cfg, "mask", skeleton),
        evaluate=PhotoFit(cfg["evaluate"]["input_size"], cfg["evaluate"]["fit"]),
        stride=int(cfg["head"]["stride"]),
        seed=cfg["seed"],
    )


def build_network(cfg: Config) -> PoseNetwork:
    """Build the network: (B, 3, H, W) RGB, uint8 or float 0..255, to a list of stages."""
    skeleton = build_skeleton(cfg)
    background = cfg["heatmap"]["background"] != "none"
    stride = int(cfg["head"]["stride"]) * int(cfg["head"].get("shuffle", 1))  # of the backbone's features
    backbone = build(cfg["backbone"], stride=stride)
    head = build(
        cfg["head"],
        in_channels=backbone.out_channels,
        num_heatmaps=skeleton.num_keypoints + background,
        num_pafs=2 * skeleton.num_limbs,
        background=background,
    )
    network = PoseNetwork(backbone, head)
    if cfg["channels_last"]:
        network.to(memory_format=torch.channels_last)
    return network


def _for_skeleton(kind: type[WithMinimum], cfg: Config, group: str, skeleton: Skeleton) -> WithMinimum:
    """Read a group; lower its ``min_keypoints`` to what the skeleton has, or nobody could ever reach it."""
    read = settings(kind, cfg[group], group)
    most = len(skeleton.scored)
    if read.min_keypoints <= most:
        return read
    log.info(
        "%s.min_keypoints=%d: lowered to %d, all that %s has", group, read.min_keypoints, most, skeleton.name
    )
    return dataclasses.replace(read, min_keypoints=most)
