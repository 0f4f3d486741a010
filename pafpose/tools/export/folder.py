"""Write a network as a folder in Hugging Face's layout: safetensors, config.json, model card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from pafpose.errors import PafposeError
from pafpose.inference.checkpoint import TrainedNetwork, load_network
from pafpose.inference.exported_folder import CARD, CONFIG, WEIGHTS
from pafpose.models.summary import summarise
from pafpose.runtime.files import write_whole, write_whole_folder
from pafpose.tools.export.card import write_card
from pafpose.tools.export.manifest import write_manifest


def write_folder(trained: TrainedNetwork, folder: Path, *, metrics: Mapping[str, Any]) -> Path:
    """Write the folder and read it back; return it. It appears once it is complete and equal.

    ``metrics`` are those of the training run, for the model card.
    """
    figures = summarise(trained.network, size=trained.settings.input_size)
    state = {name: value.contiguous() for name, value in trained.network.state_dict().items()}
    files = {
        WEIGHTS: save(state, metadata={"format": "pt"}),
        CONFIG: write_manifest(trained).encode(),
        CARD: write_card(trained, figures, metrics).encode(),
    }
    with write_whole_folder(folder) as part:
        for name, content in files.items():
            with write_whole(part / name) as file:
                file.write(content)
        _compare(load_network(part, trust=True), trained, folder)
    return folder


def _compare(written: TrainedNetwork, trained: TrainedNetwork, folder: Path) -> None:
    """Raise ``PafposeError`` unless the network that was read back is the one that was written."""
    ours, theirs = trained.network.state_dict(), written.network.state_dict()
    same = ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    if not same or written.config != trained.config:
        raise PafposeError(f"{folder}: what was written differs from the network; please report this bug")
