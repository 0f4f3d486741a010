"""The public verbs: load a trained network, train one, evaluate one."""

from __future__ import annotations

from pathlib import Path

from pafpose.config import Config
from pafpose.inference.predictor import Predictor


def load(path: str | Path, *, device: str | None = None, trust: bool = False) -> Predictor:
    """Load a predictor from a checkpoint file or a run folder.

    ``predictor("photo.jpg")``, or an RGB uint8 array (H, W, 3), gives people in photo pixels. ``trust``
    allows a checkpoint to name networks outside pafpose, which runs code of its choice.
    """
    from pafpose.inference.checkpoint import load_network

    return Predictor.from_trained(load_network(path, trust=trust), device=device)


def train(cfg: Config) -> dict[str, float]:
    """Train as ``scripts/train.py`` does; return the metrics of the best checkpoint."""
    from pafpose.training.run import train as run

    return run(cfg)


__all__ = ["load", "train"]
