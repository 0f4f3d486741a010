"""Trained networks out of checkpoint files: weights, the config that they were trained with, a decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pafpose import factory
from pafpose.config import settings as read_settings
from pafpose.decode import Decoder
from pafpose.errors import PafposeError
from pafpose.inference.settings import EvaluateSettings
from pafpose.models import PoseNetwork
from pafpose.skeleton import Skeleton


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


@dataclass(frozen=True)
class TrainedNetwork:
    """A network with the plain config that describes it; everything else follows from the config."""

    network: PoseNetwork
    config: dict[str, Any]

    @property
    def skeleton(self) -> Skeleton:
        """The skeleton that the network was trained with."""
        return factory.build_skeleton(self.config)

    @property
    def stride(self) -> int:
        """Input pixels from one field cell to the next."""
        return int(self.config["head"]["stride"])

    @property
    def precision(self) -> str:
        """The arithmetic of training, which inference keeps."""
        return str(self.config.get("precision", "32-true"))

    @property
    def evaluate_settings(self) -> EvaluateSettings:
        """How photos meet the network."""
        settings: EvaluateSettings = read_settings(EvaluateSettings, self.config["evaluate"], "evaluate")
        return settings

    def build_decoder(self) -> Decoder:
        """The decoder that the config describes."""
        return factory.build_decoder(self.config)


def load_network(path: str | Path, *, trust: bool = False) -> TrainedNetwork:
    """Read a checkpoint file, or a run folder's best checkpoint, onto the CPU and into evaluation mode.

    ``trust`` allows the checkpoint to name networks outside pafpose, which runs code of its choice.
    """
    path = find_checkpoint(path)
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        config = checkpoint["hyper_parameters"]["config"]
        state = checkpoint["state_dict"]
    except Exception as error:
        raise PafposeError(
            f"{path}: not a pafpose checkpoint ({type(error).__name__}: {error}); give one that "
            "scripts/train.py wrote"
        ) from error
    if "weights" in config["backbone"]:  # the file brings its own
        config["backbone"]["weights"] = None
    network = factory.build_network(config, trusted=trust)
    if config["channels_last"]:
        network.to(memory_format=torch.channels_last)
    try:
        network.load_state_dict({key.removeprefix("network."): value for key, value in state.items()})
    except RuntimeError as error:
        raise PafposeError(
            f"{path}: its weights do not fit the network that its config describes, so another version "
            "of pafpose made it; use that version, or train anew "
            f"({str(error).splitlines()[1].strip()[:120]} ...)"
        ) from error
    return TrainedNetwork(network.eval(), config)
