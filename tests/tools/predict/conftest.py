"""Photos and videos whose people a network of ours knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from pafpose.config import load_config
from pafpose.tools.predict.predict import Summary, predict
from tests.known_people import known_config, known_network, write_photos

Run = Callable[..., Summary]


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos")) / "val2017"


@pytest.fixture(scope="session")
def config(photos: Path) -> dict[str, Any]:
    """The config of the network that knows everybody in the photos."""
    return known_config(photos.parent)


@pytest.fixture(scope="session")
def defaults() -> DictConfig:
    """conf/predict.yaml, which takes half a second to compose."""
    return load_config(name="predict")


@pytest.fixture
def run(
    photos: Path,
    config: dict[str, Any],
    defaults: DictConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """predict() into a folder, with the network that knows everybody in the photos."""
    monkeypatch.setattr(
        "pafpose.tools.predict.predict.load_checkpoint", lambda cfg, typed: known_network(config)
    )

    weights = tmp_path / "known.ckpt"  # looked at only for its size and time
    weights.write_bytes(b"x")

    def predict_into(folder: Path, *overrides: str) -> Summary:
        words = [f"source={photos}", f"paths.output_dir={folder}", f"ckpt_path={weights}", *overrides]
        cfg = defaults.copy()
        for override in OverridesParser.create().parse_overrides(words):
            OmegaConf.update(cfg, override.key_or_group, override.value())
        return predict(cfg, words)

    return predict_into


def write_clip(path: Path, pictures: Iterable[np.ndarray], rate: float = 25) -> Path:
    """Write RGB pictures as a video without losses."""
    writer = None
    for picture in pictures:
        if writer is None:
            size = picture.shape[1::-1]
            writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), rate, size)
        writer.write(picture[..., ::-1])
    assert writer is not None
    writer.release()
    return path
