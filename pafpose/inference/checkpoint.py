"""Trained networks from checkpoint files, with everything that their config says about using them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pafpose import factory
from pafpose.config import settings as read_settings
from pafpose.decode import Decoder
from pafpose.errors import PafposeError
from pafpose.fields import Fields
from pafpose.inference.exported_folder import WEIGHTS, is_exported_folder, read_folder
from pafpose.inference.format_version import check_format
from pafpose.inference.onnx_network import OnnxNetwork, check_channels, read_onnx
from pafpose.inference.settings import EvaluateSettings
from pafpose.inference.trust import forget_paths, refuse_code
from pafpose.inference.views import predict_fields
from pafpose.models import PoseNetwork
from pafpose.skeleton import Skeleton

log = logging.getLogger(__name__)


class StoredWeights(NamedTuple):
    """What a file says about a network, and its tensors; neither is trusted."""

    config: dict[str, Any]
    state: dict[str, Tensor]  # by their names in ``PoseNetwork``
    source: Path  # the file or folder, for messages


@dataclass(frozen=True)
class TrainedNetwork:
    """A network and the plain config it was trained under, from which all the rest is derived."""

    network: PoseNetwork | OnnxNetwork
    config: dict[str, Any]

    @cached_property
    def skeleton(self) -> Skeleton:
        """The skeleton that gives the fields their channels."""
        return factory.build_skeleton(self.config)

    @cached_property
    def decoder(self) -> Decoder:
        """The decoder that the config describes."""
        return factory.build_decoder(self.config)

    @cached_property
    def settings(self) -> EvaluateSettings:
        """How photos are fitted and which views are averaged; the scales are relative to the largest one."""
        return read_settings(EvaluateSettings, self.config["evaluate"], "evaluate").at_largest_scale()

    @property
    def stride(self) -> int:
        """Input pixels from one field cell to the next."""
        return self.network.stride

    @property
    def device(self) -> torch.device:
        """Where images go and fields come from; the CPU for ONNX files."""
        return next((parameter.device for parameter in self.network.parameters()), torch.device("cpu"))

    def predict_fields(self, images: Tensor) -> Fields:
        """Return the fields of (B, 3, H, W) RGB images of any device, averaged over the views.

        The images must be fitted with ``settings``; the network runs in the precision of its training.
        """
        return predict_fields(
            self.network,
            images.to(self.device),
            skeleton=self.skeleton,
            stride=self.stride,
            flip=self.settings.flip,
            scales=self.settings.scales,
            precision=self.config["precision"],
        )


def find_weights(path: str | Path) -> Path:
    """Return the file that holds the weights: an ONNX file, that of an exported folder, or a checkpoint."""
    if is_onnx(path):
        return Path(str(path))
    exported = Path(str(path)) / WEIGHTS
    return exported if exported.is_file() else find_checkpoint(path)


def find_checkpoint(
    path: str | Path, *, prefer: Sequence[str] = ("best", "last"), key: str = "ckpt_path"
) -> Path:
    """Return the checkpoint at ``path``: the file itself, or the first of ``prefer`` in a run folder.

    Damaged files in a run folder are passed over, which is logged; when all of ``prefer`` are, the newest of
    the other checkpoints counts. Errors name the config ``key`` that the path came from.
    """
    path = Path(str(path))  # a run called 1 comes as a number
    if path.is_file():
        return path
    folder = path / "checkpoints"
    files = [file for name in prefer if (file := folder / f"{name}.ckpt").is_file()]
    files += sorted({*folder.glob("*.ckpt")} - {*files}, key=lambda file: file.stat().st_mtime, reverse=True)
    for number, file in enumerate(files):
        if _is_whole(file):
            if number:
                log.warning("%s is damaged; taking %s instead", files[0], file)
            return file
    raise PafposeError(
        f"{key}={path}: {'every checkpoint in it is damaged' if files else 'no such checkpoint'}; give a "
        ".ckpt file, a run folder that holds checkpoints/best.ckpt (training makes one), or an export"
    )


def _is_whole(file: Path) -> bool:
    """Return whether a file can be read as a checkpoint; its tensors are looked up, not read."""
    try:
        return isinstance(torch.load(file, map_location="cpu", weights_only=True, mmap=True), dict)
    except Exception:
        return False


def choose_device(name: str | torch.device | None) -> torch.device:
    """Return the named device; None means the GPU if there is one, else the CPU."""
    return torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))


def load_network(
    path: str | Path,
    *,
    device: str | torch.device = "cpu",
    trust: bool = False,
    config: dict[str, Any] | None = None,
    key: str = "ckpt_path",
) -> TrainedNetwork:
    """Load a network in evaluation mode: a checkpoint, a run's best one, an exported folder or ONNX file.

    Without ``trust=True``, which lets the file run code of its choice, it may only hold what
    :func:`refuse_code` allows. A ``config`` of the caller's takes the place of the file's own. Errors name
    the config ``key`` that the path came from.
    """
    if is_onnx(path):
        return load_onnx(Path(str(path)), device=device, trust=trust, key=key)
    stored = read_weights(path, key=key)
    if config is None:
        config = _trusted(stored.config, stored.source, trust=trust)
    if "weights" in config["backbone"]:  # pretrained weights would be fetched only to be overwritten
        config["backbone"]["weights"] = None
    with torch.device("meta"):  # without memory: a damaged config may describe a network of any size
        _fill(_build_network(config, stored.source), stored, assign=True)
    network = _fill(_build_network(config, stored.source), stored)
    return _complete(TrainedNetwork(network.to(device).eval(), config), stored.source)


def _fill(network: PoseNetwork, stored: StoredWeights, *, assign: bool = False) -> PoseNetwork:
    """Return the network with the stored weights; raise ``PafposeError`` if they do not fit it."""
    try:
        network.load_state_dict(stored.state, assign=assign)
    except RuntimeError as error:
        raise PafposeError(
            f"{stored.source}: its weights do not fit the network that its config describes, so it was "
            "written by another version of pafpose; use that version, or train again "
            f"({str(error).splitlines()[1].strip()[:120]} ...)"
        ) from error
    return network


def is_onnx(path: str | Path) -> bool:
    """Return whether a path is that of an ONNX file, judged by its name."""
    return Path(str(path)).suffix.lower() == ".onnx"


def load_onnx(
    path: Path, *, device: str | torch.device = "cpu", trust: bool = False, key: str = "ckpt_path"
) -> TrainedNetwork:
    """Load an ONNX file that pafpose exported; the arguments are those of ``load_network``."""
    config, network = read_onnx(path, device=device, key=key)
    trained = _complete(TrainedNetwork(network, _trusted(config, path, trust=trust)), path)
    skeleton, background = trained.skeleton, config["heatmap"].get("background") != "none"
    check_channels(network, num_heatmaps=skeleton.num_keypoints + background, num_pafs=2 * skeleton.num_limbs)
    return trained


def _trusted(config: dict[str, Any], source: Path, *, trust: bool) -> dict[str, Any]:
    """Return a config from a file; unless trusted, without paths, and with nothing that runs code."""
    if not trust:
        refuse_code(config, source)
        forget_paths(config)
    return config


def _complete(trained: TrainedNetwork, source: Path) -> TrainedNetwork:
    """Return a network that has all it needs; raise ``PafposeError`` if its config lacks something."""
    try:
        _ = trained.skeleton, trained.decoder, trained.settings, trained.config["precision"]
    except PafposeError as error:
        raise PafposeError(f"{source}: {error}") from error
    except Exception as error:  # whatever the values of a damaged config make of it
        raise PafposeError(
            f"{source}: its config is damaged or that of another version of pafpose "
            f"({type(error).__name__}: {error}); use that version, or train or export again"
        ) from error
    return trained


def read_weights(path: str | Path, *, key: str = "ckpt_path") -> StoredWeights:
    """Read a checkpoint file, the best checkpoint of a run folder, or an exported folder.

    Neither the config nor the tensors are trusted. Raises ``PafposeError`` for other files; ``key`` is the
    config key that ``path`` came from.
    """
    if is_onnx(path):
        raise PafposeError(
            f"{key}={path}: an ONNX file holds no weights to start from; give the run that it was made from"
        )
    folder = Path(str(path))
    if is_exported_folder(folder):
        return StoredWeights(*read_folder(folder), source=folder)
    file = find_checkpoint(path, key=key)
    config, state = _read(file)
    state = {str(name).removeprefix("network."): value for name, value in state.items()}
    return StoredWeights(config, state, source=file)


def _read(file: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the config and the weights in a checkpoint file; neither is trusted yet."""
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
        parameters, state = dict(content["hyper_parameters"]), dict(content["state_dict"])
        config = parameters["config"]
    except Exception as error:
        raise _not_ours(file, f"{type(error).__name__}: {error}") from error
    check_format(parameters.get("format_version"), file)
    groups = ("backbone", "head", "skeleton", "data")
    if not isinstance(config, dict) or not all(isinstance(config.get(key), dict) for key in groups):
        raise _not_ours(file, "its config is incomplete")
    return config, state


def _not_ours(file: Path, reason: str) -> PafposeError:
    return PafposeError(f"{file}: not a pafpose checkpoint ({reason}); give one that scripts/train.py wrote")


def _build_network(config: dict[str, Any], path: Path) -> PoseNetwork:
    """Build the network of a checkpoint's config; errors name the file."""
    try:
        return factory.build_network(config)
    except PafposeError as error:
        raise PafposeError(f"{path}: {error}") from error
    except Exception as error:  # whatever a damaged config makes torch, timm or Hydra raise
        raise PafposeError(
            f"{path}: its config describes no network that can be built ({type(error).__name__}: {error})"
        ) from error
