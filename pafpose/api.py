"""The public verbs: load a trained network, train one."""

from __future__ import annotations

from pathlib import Path

from pafpose.config import Config
from pafpose.inference.checkpoint import choose_device, load_network
from pafpose.inference.predictor import Predictor
from pafpose.training import run


def load(path: str | Path, *, device: str | None = None, trust: bool = False) -> Predictor:
    """Load a predictor from a checkpoint file or a run folder.

    ``predictor("photo.jpg")``, or an RGB uint8 array (H, W, 3), gives people in photo pixels. ``device`` is
    the GPU if there is one, else the CPU. ``trust=True`` allows the checkpoint to name networks outside
    pafpose, which runs code of its choice.
    """
    return Predictor(load_network(path, device=choose_device(device), trust=trust))


def train(cfg: Config) -> dict[str, float]:
    """Train as ``scripts/train.py`` does; return the metrics of the best checkpoint."""
    return run.train(cfg)


__all__ = ["load", "train"]
