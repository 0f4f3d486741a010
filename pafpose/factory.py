"""Build objects from a composed config."""

from __future__ import annotations

import torch

from pafpose.config import Config, build, plain, settings
from pafpose.data.datamodule import PoseDataModule
from pafpose.data.photos.augment import AugmentSettings
from pafpose.data.photos.fit import PhotoFit
from pafpose.decode import Decoder, DecodeSettings
from pafpose.models import PoseNetwork
from pafpose.skeleton import Skeleton
from pafpose.targets import HeatmapSettings, MaskSettings, PafSettings, TargetBuilder


def build_skeleton(cfg: Config) -> Skeleton:
    """Build the skeleton with the limbs that ``paf.limbs`` names; ``.limbs`` are index pairs in PAF order."""
    return Skeleton.from_config(plain(cfg["skeleton"]), limbs=plain(cfg["paf"])["limbs"])


def build_targets(cfg: Config) -> TargetBuilder:
    """Build what draws the targets: ``targets(keypoints, size=(H, W), boxes=None, ignore=None)``."""
    return TargetBuilder(
        build_skeleton(cfg),
        heatmap=settings(HeatmapSettings, cfg["heatmap"], "heatmap"),
        paf=settings(PafSettings, cfg["paf"], "paf"),
        mask=settings(MaskSettings, cfg["mask"], "mask"),
        stride=int(cfg["head"]["stride"]),
    )


def build_decoder(cfg: Config) -> Decoder:
    """Build the decoder: ``decoder(heatmaps, pafs)`` of one picture gives people in input pixels."""
    return Decoder(
        build_skeleton(cfg),
        settings(DecodeSettings, cfg["decode"], "decode"),
        stride=int(cfg["head"]["stride"]),
        heatmap_sigma=float(cfg["heatmap"]["sigma"]),
        background=cfg["heatmap"]["background"] != "none",
    )


def build_datamodule(cfg: Config) -> PoseDataModule:
    """Build the data module; files that are missing raise in its ``setup()``, not here."""
    return build(
        cfg["data"],
        skeleton=build_skeleton(cfg),
        augment=settings(AugmentSettings, cfg["augment"], "augment"),
        mask=settings(MaskSettings, cfg["mask"], "mask"),
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
