"""The model card of an exported folder: what the network finds, how well, and how to use it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pafpose
from pafpose.inference.checkpoint import TrainedNetwork
from pafpose.metrics import METRICS, score_text
from pafpose.models.summary import describe

CARD = """\
---
library_name: pafpose
pipeline_tag: keypoint-detection
tags:
- pose-estimation
- part-affinity-fields
---
# {title}
Finds the keypoints of people in a photo, with part affinity fields. Exported by pafpose {version}.

```python
import pafpose

predictor = pafpose.load("FOLDER")  # where this file is
people = predictor("photo.jpg")
people.keypoints  # (N, {keypoints}, 3): x, y in pixels of the photo, confidence
```
On the command line: `pafpose predict ckpt_path=FOLDER source=PHOTOS`.

| | |
|---|---|
| network | backbone {backbone}, head {head}: {figures} |
| skeleton | {skeleton}: {names} |
| limbs | {limbs} |
| input | RGB, 0 to 255; sides are multiples of {stride}. Photos are scaled to {input_size} px ({fit}) |
| views | scales {scales}{flip} |
| trained on | `data.name={data}` |

## Accuracy
{accuracy}

## Files
`model.safetensors` holds the weights. `config.json` holds the skeleton, the settings and the recipe of the
training, paths of its data included.

The licence of the weights is for their authors to choose: state it above as `license:`.
"""


def write_card(
    trained: TrainedNetwork, figures: Mapping[str, float | int], metrics: Mapping[str, Any]
) -> str:
    """Return the text of the card; ``figures`` are those of ``summarise``, ``metrics`` of the training."""
    config, skeleton, views = trained.config, trained.skeleton, trained.settings
    return CARD.format(
        title=f"{config['data'].get('name', 'pose')} {skeleton.name}",
        version=pafpose.__version__,
        keypoints=skeleton.num_keypoints,
        backbone=_class(config["backbone"]),
        head=_class(config["head"]),
        figures=describe(figures),
        skeleton=skeleton.name,
        names=", ".join(skeleton.keypoints),
        limbs=f"{skeleton.num_limbs} ({skeleton.limb_set})",
        stride=trained.stride,
        input_size=views.input_size,
        fit="the long side" if views.fit == "long" else "the height",
        scales=", ".join(f"{scale:g}" for scale in views.scales),
        flip=", each with its mirror image" if views.flip else "",
        data=config["data"].get("name"),
        accuracy=_accuracy(metrics),
    )


def _class(node: Mapping[str, Any]) -> str:
    name = str(node.get("_target_")).rpartition(".")[2]
    return f"{name} ({node['name']})" if node.get("name") else name


def _accuracy(metrics: Mapping[str, Any]) -> str:
    """Return COCO's numbers as a table, as the training run measured them."""
    values = {name: metrics.get(name) for name in METRICS}  # null where nobody is annotated
    if not any(values.values()):
        return "Not measured: no `metrics.json` of a training run lay beside the checkpoint."
    photos = f"on {metrics['photos']:.0f} validation photos " if metrics.get("photos") else ""
    return "\n".join(
        [
            f"COCO's keypoint metrics {photos}of the training run, under its own settings:",
            "",
            f"| {' | '.join(values)} |",
            f"|{'---|' * len(values)}",
            f"| {' | '.join(score_text(math.nan if v is None else v) for v in values.values())} |",
        ]
    )
