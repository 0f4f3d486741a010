"""From a composed config to objects: the stable names of the package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pafpose.config import Config, build, plain, settings
from pafpose.errors import PafposeError
from pafpose.skeleton import Skeleton

if TYPE_CHECKING:
    from pafpose.data.loaders import PoseLoaders
    from pafpose.decode import Decoder
    from pafpose.evaluation import Predictor
    from pafpose.models import PoseNetwork
    from pafpose.module import PoseModule
    from pafpose.targets import TargetBuilder


def build_skeleton(cfg: Config) -> Skeleton:
    """The skeleton with the parts that ``paf.limbs`` chose; ``.limbs`` are index pairs in PAF order."""
    return Skeleton.from_config(plain(cfg["skeleton"]), limbs=plain(cfg["paf"])["limbs"])


def build_targets(cfg: Config) -> TargetBuilder:
    """The renderer of ground truth: ``targets(keypoints, size=(H, W), boxes=None, ignore=None)``."""
    from pafpose.targets import HeatmapSettings, MaskSettings, PafSettings, TargetBuilder

    return TargetBuilder(
        build_skeleton(cfg),
        heatmap=settings(HeatmapSettings, cfg["heatmap"], "heatmap"),
        paf=settings(PafSettings, cfg["paf"], "paf"),
        mask=settings(MaskSettings, cfg["mask"], "mask"),
        stride=int(cfg["head"]["stride"]),
    )


def build_decoder(cfg: Config) -> Decoder:
    """The decoder: ``decoder(heatmaps, pafs)`` of one picture gives people in input pixels."""
    from pafpose.decode import Decoder, DecodeSettings

    return Decoder(
        build_skeleton(cfg),
        settings(DecodeSettings, cfg["decode"], "decode"),
        stride=int(cfg["head"]["stride"]),
        heatmap_sigma=float(cfg["heatmap"]["sigma"]),
        background=cfg["heatmap"]["background"] != "none",
    )


def build_datamodule(cfg: Config) -> PoseLoaders:
    """Loaders of one data set; complains of missing files in ``setup()``, not here."""
    from pafpose.data import AugmentSettings
    from pafpose.evaluation import EvaluateSettings
    from pafpose.targets import MaskSettings

    return build(
        cfg["data"],
        skeleton=build_skeleton(cfg),
        augment=settings(AugmentSettings, cfg["augment"], "augment"),
        mask=settings(MaskSettings, cfg["mask"], "mask"),
        evaluate=settings(EvaluateSettings, cfg["evaluate"], "evaluate"),
        stride=int(cfg["head"]["stride"]),
        seed=cfg["seed"],
    )


def build_network(cfg: Config, *, trusted: bool = True) -> PoseNetwork:
    """The network: (B, 3, H, W) RGB, uint8 or float 0..255, to a list of stages."""
    from pafpose.models import PoseNetwork

    skeleton = build_skeleton(cfg)
    background = cfg["heatmap"]["background"] != "none"
    stride = int(cfg["head"]["stride"]) * int(cfg["head"].get("shuffle", 1))  # of the features
    backbone = build(cfg["backbone"], stride=stride, trusted=trusted)
    head = build(
        cfg["head"],
        in_channels=backbone.out_channels,
        num_heatmaps=skeleton.num_keypoints + background,
        num_pafs=2 * skeleton.num_limbs,
        background=background,
        trusted=trusted,
    )
    return PoseNetwork(backbone, head)


def find_checkpoint(path: str | Path, *, prefer: Sequence[str] = ("best", "last")) -> Path:
    """A checkpoint file from a file or a run folder (there its best, else its last)."""
    path = Path(path)
    if path.is_file():
        return path
    for name in prefer:
        if (file := path / "checkpoints" / f"{name}.ckpt").is_file():
            return file
    raise PafposeError(
        f"ckpt_path={path}: no such checkpoint; give a .ckpt file or a run folder that holds "
        "checkpoints/best.ckpt (python scripts/train.py makes one)"
    )


def load_module(path: str | Path, *, trust: bool = False) -> PoseModule:
    """The trained module of a checkpoint file or run folder, in evaluation mode on the CPU."""
    from pafpose.module import PoseModule

    return PoseModule.from_file(find_checkpoint(path), trust=trust)


def load(path: str | Path, *, device: str | None = None, trust: bool = False) -> Predictor:
    """A predictor from a checkpoint file or a run folder.

    ``predictor("photo.jpg")``, or an RGB uint8 array (H, W, 3), gives people in photo pixels. ``trust``
    allows a checkpoint to name networks outside pafpose, which runs code of its choice.
    """
    from pafpose.evaluation import Predictor

    return Predictor.from_module(load_module(path, trust=trust), device=device)


def train(cfg: Config) -> dict[str, float]:
    """What ``scripts/train.py`` does; returns the metrics of the best checkpoint."""
    from pafpose.engine import train as run

    return run(cfg)


__all__ = [
    "build_datamodule",
    "build_decoder",
    "build_network",
    "build_skeleton",
    "build_targets",
    "find_checkpoint",
    "load",
    "load_module",
    "train",
]
