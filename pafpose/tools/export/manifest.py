"""What an exported network says about itself, for pafpose and for other programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

import pafpose
from pafpose.inference.checkpoint import TrainedNetwork
from pafpose.inference.format_version import FORMAT_VERSION
from pafpose.inference.manifest import INPUT, MODEL_TYPE, OUTPUTS, to_json
from pafpose.models import PoseNetwork


def write_manifest(trained: TrainedNetwork, **more: Any) -> str:
    """Return the manifest of a network as JSON text.

    ``config`` is all that pafpose reads back. The rest repeats what other programs need to feed the network
    and to understand its channels; ``more`` adds keys to that.
    """
    skeleton, config = trained.skeleton, trained.config
    assert isinstance(trained.network, PoseNetwork)
    normalise = trained.network.normalise
    content: Mapping[str, Any] = {
        "library_name": "pafpose",
        "model_type": MODEL_TYPE,
        "format_version": FORMAT_VERSION,
        "versions": {"pafpose": pafpose.__version__, "torch": str(torch.__version__)},
        "stride": trained.stride,
        "input": {
            "name": INPUT,
            "shape": ["batch", 3, "height", "width"],
            "pixels": "RGB, 0 to 255",
            "height_and_width": f"multiples of {trained.stride}",
        },
        "normalisation": {
            "where": "inside the network: (pixels - mean) / std, then BGR if bgr is true",
            "mean": [round(value, 4) for value in normalise.mean.flatten().tolist()],
            "std": [round(value, 4) for value in (1 / normalise.scale).flatten().tolist()],
            "bgr": normalise.bgr,
        },
        "outputs": {
            OUTPUTS[0]: [*skeleton.keypoints, *_background(config)],
            OUTPUTS[1]: [f"{limb}.{axis}" for limb in skeleton.limb_names for axis in "xy"],
        },
        "keypoints": list(skeleton.keypoints),
        "limbs": [[skeleton.keypoints[a], skeleton.keypoints[b]] for a, b in skeleton.limbs],
        "oks_sigmas": list(skeleton.sigmas),
        **more,
        "config": config,
    }
    return to_json(content)


def _background(config: Mapping[str, Any]) -> list[str]:
    return [] if config["heatmap"]["background"] == "none" else ["background"]
