"""Convert published weights to a checkpoint that evaluate.py and predict.py load."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from omegaconf import DictConfig

from pafpose import factory
from pafpose.config import load_config, plain
from pafpose.errors import PafposeError
from pafpose.inference.format_version import FORMAT_VERSION
from pafpose.models.summary import describe, summarise
from pafpose.tools.convert import LAYOUTS, convert_weights, guess_layout, read_weights
from pafpose.tools.convert.convert import count_stages

log = logging.getLogger(__name__)


def convert(cfg: DictConfig) -> Path:
    """Convert the weights in ``cfg.source``; return the path of the checkpoint, in the run folder.

    Like a checkpoint of training, it holds tensors and a plain config (skeleton, network, normalisation,
    decode preset). It has no optimiser state: training starts from it with ``weights=``, but cannot resume.
    """
    if not cfg.source:
        raise PafposeError("source is missing: name a file of weights, such as source=body_pose_model.pth")
    weights = read_weights(cfg.source)
    name = cfg.format or guess_layout(weights, source=cfg.source)
    if name not in LAYOUTS:
        raise PafposeError(
            f"format={name}: choose one of {', '.join(LAYOUTS)}, or null to detect it from the tensors"
        )
    layout = LAYOUTS[name]
    refinements = _refinements(cfg, count_stages(weights, layout))
    config = plain(
        load_config([*layout.recipe, *([f"head.refinements={refinements}"] if layout.stages else [])])
    )
    config |= {"task_name": "convert", "tags": [f"converted from {Path(cfg.source).name}"]}
    config["paths"]["output_dir"] = cfg.paths.output_dir
    network = factory.build_network(config)
    state = convert_weights(
        weights,
        layout,
        network,
        factory.build_skeleton(config),
        source=cfg.source,
        refinements=refinements,
    )
    network.load_state_dict(state)
    path = Path(cfg.paths.output_dir, "checkpoints", "best.ckpt")
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {f"network.{name}": value for name, value in state.items()}
    parameters = {"config": config, "format_version": FORMAT_VERSION}
    torch.save({"state_dict": tensors, "hyper_parameters": parameters}, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)
    log.info("%s: all %d tensors converted", layout.title, len(weights))
    log.info("%s", describe(summarise(network)))
    log.info("licence of the weights: %s", layout.licence)
    log.info("checkpoint   %s", path)
    return path


def _refinements(cfg: DictConfig, found: int) -> int:
    """Return the number of refinement stages to convert: ``cfg.refinements``, or all in the file."""
    if cfg.refinements is None:
        return found
    if not found:
        raise PafposeError("refinements: applies to format=lightweight only; leave this key out")
    if not 0 <= cfg.refinements <= found:
        raise PafposeError(f"refinements={cfg.refinements}: the file has {found} stages; choose 0 to {found}")
    return int(cfg.refinements)
