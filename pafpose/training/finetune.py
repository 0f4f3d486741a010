"""Start a new run from the weights of a trained network: ``weights=PATH``.

The new network may have other keypoints, limbs, stages or another stride. Layers that fit are taken; the
channels of keypoints and limbs are matched by name; the rest starts fresh.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from torch import Tensor, nn

from pafpose import factory
from pafpose.config import plain
from pafpose.errors import PafposeError
from pafpose.inference.checkpoint import TrainedNetwork, load_network
from pafpose.models import PoseNetwork
from pafpose.models.field_channels import FieldChannelsOf
from pafpose.runtime.run_status import read_status
from pafpose.skeleton import Skeleton
from pafpose.training.matching import match_fields, match_keypoints, match_limbs, move_channels
from pafpose.training.module import PoseModule

log = logging.getLogger(__name__)

PARTS = ("all", "backbone")
Rows = list[tuple[str, str]]  # a table with a name and a text in each row


def build_from_weights(cfg: DictConfig) -> tuple[PoseModule, Rows]:
    """Build the module of a config, filled from ``cfg.weights``; return it with what came from where.

    ``cfg.backbone.weights`` becomes null, in place, if ``cfg.weights`` has all that it would load. Raises
    ``PafposeError`` if nothing fits.
    """
    old = load_network(cfg.weights, key="weights", trust=bool(cfg.trust))
    config = plain(cfg)
    refuse_another_network(config, old)
    pretrained = cfg.backbone.get("weights")
    if pretrained is not None:
        cfg.backbone.weights = None
    module = PoseModule(plain(cfg))
    taken = fitting_tensors(module, old, head=takes_head(config, old))
    if pretrained is not None and not _covers_trunk(module.network, taken):
        cfg.backbone.weights = pretrained
        module = PoseModule(plain(cfg))
    if not taken:
        raise PafposeError(
            f"weights={cfg.weights}: none of its layers has the name and shape of one in this run's network; "
            "choose the network that it was trained with (backbone=... head=..., as in its config.yaml)"
        )
    if cfg.backbone.get("weights") is None:
        refuse_frozen_noise(module.network, taken)
    module.network.load_state_dict(module.network.state_dict() | taken)
    return module, describe_origins(module, old, taken, source=cfg.weights)


def refuse_another_network(config: Mapping[str, Any], old: TrainedNetwork) -> None:
    """Raise ``PafposeError`` where ``weights=`` would be of no use, or of another use than one thinks."""
    if not isinstance(old.network, PoseNetwork):
        raise PafposeError(
            f"weights={config['weights']}: a compiled graph has no layers by name to train; give the "
            "run or the checkpoint that it was exported from"
        )
    where, new, known = f"weights={config['weights']}", config["backbone"], old.config["backbone"]
    if config["weights_part"] not in PARTS:
        raise PafposeError(f"weights_part={config['weights_part']}: choose one of {', '.join(PARTS)}")
    if not _same_kind(new, known):
        raise PafposeError(
            f"{where}: nothing fits, because its backbone is {_kind(known)} and that of this run "
            f"{_kind(new)}; choose the same one with backbone=... (and backbone.name=...)"
        )
    old_pixels, pixels = (node.get("normalisation", "imagenet") for node in (known, new))
    if old_pixels != pixels:
        raise PafposeError(
            f"{where}: its backbone was trained on pixels of backbone.normalisation={old_pixels}, and this "
            f"run has {pixels}; add backbone.normalisation={old_pixels}"
        )


def takes_head(config: Mapping[str, Any], old: TrainedNetwork) -> bool:
    """Return whether the head is taken too; raise ``PafposeError`` if it shares no keypoint's name."""
    if config["weights_part"] == "backbone" or not _same_kind(config["head"], old.config["head"]):
        return False
    new = factory.build_skeleton(config)
    if not match_keypoints(new, old.skeleton):
        raise PafposeError(
            f"weights={config['weights']}: its skeleton {old.skeleton.name} shares no keypoint's name with "
            f"{new.name} ({', '.join(old.skeleton.keypoints)[:200]}); list its names as aliases in the "
            "skeleton's yaml, or take the backbone alone with weights_part=backbone"
        )
    return True


def fitting_tensors(module: PoseModule, old: TrainedNetwork, *, head: bool) -> dict[str, Tensor]:
    """Return the new values of all tensors of ``module.network`` that fit, by name.

    A layer is taken as a whole: when all of its tensors fit, apart from their channels of fields. A norm or
    an activation, which has vectors alone, also needs the convolution before it to be taken.
    """
    own, known = module.network.state_dict(), old.network.state_dict()
    matches = match_fields(
        module.skeleton,
        old.skeleton,
        new_background=module.config["heatmap"]["background"] != "none",
        old_background=old.config["heatmap"]["background"] != "none",
    )
    new_runs, old_runs = _field_channels(module.network), _field_channels(old.network)
    comparable = bool(new_runs) or _same_channels(module.skeleton, old.skeleton)
    parts = ("backbone", "head") if head and comparable else ("backbone",)
    taken: dict[str, Tensor] = {}
    complete = True  # was the layer before taken?
    for names in _layers(own):
        if names[0].partition(".")[0] not in parts:
            continue
        moved = {
            name: move_channels(
                own[name], known[name], new_runs.get(name, []), old_runs.get(name, []), matches
            )
            for name in names
            if name in known
        }
        fitting = {name: value for name, value in moved.items() if value is not None}
        vectors = all(own[name].ndim < 2 for name in names)
        complete = len(fitting) == len(names) and (complete or not vectors)
        taken |= fitting if complete else {}
    return taken


def refuse_frozen_noise(network: nn.Module, taken: Mapping[str, Tensor]) -> None:
    """Raise ``PafposeError`` for a frozen layer that would keep random values for ever."""
    frozen = [name for name, p in network.named_parameters() if not p.requires_grad and name not in taken]
    if frozen:
        raise PafposeError(
            f"weights=: has nothing for the frozen layer {frozen[0].rpartition('.')[0]} (backbone.freeze, "
            "backbone.fold); train it with backbone.freeze=0, or use the backbone.fold of the run before"
        )


def describe_origins(
    module: PoseModule, old: TrainedNetwork, taken: Mapping[str, Tensor], *, source: str
) -> Rows:
    """Return a table: how many tensors of each part were taken, and which keypoints and limbs."""
    rows = [("weights", f"{source} ({old.skeleton.name})"), *_count_parts(module.network, taken)]
    if any(name.startswith("head.") for name in taken):
        rows += _name_channels(module.skeleton, old.skeleton)
    return rows


def log_origins(rows: Rows) -> None:
    """Log the table of :func:`describe_origins`."""
    width = max((len(name) for name, _ in rows), default=0)
    for name, text in rows:
        log.info("%-*s  %s", width, name, text)


def note_unfinished(path: str) -> None:
    """Log how to go on with a run that was not finished; ``weights=`` starts a new one from it."""
    if read_status(Path(path)).get("state") in ("running", "interrupted", "failed"):
        log.warning(
            "%s is not finished: weights= starts a new run from it, ckpt_path=%s goes on with it", path, path
        )


def _count_parts(network: nn.Module, taken: Mapping[str, Tensor]) -> Rows:
    names = [name for name in network.state_dict() if not name.startswith("normalise.")]
    rows = []
    for part, group in groupby(names, key=_part):
        own = list(group)
        count = sum(name in taken for name in own)
        text = f"{count} of {len(own)} tensors taken" if count else f"fresh ({len(own)} tensors)"
        rows.append((part, text))
    return rows


def _name_channels(new: Skeleton, old: Skeleton) -> Rows:
    keypoints, limbs = match_keypoints(new, old), match_limbs(new, old)
    reversed_limbs = sum(sign < 0 for _, sign in limbs.values())
    note = f" ({reversed_limbs} reversed)" if reversed_limbs else ""
    return [
        ("keypoints", _matched(new.keypoints, set(keypoints))),
        ("limbs", _matched(new.limb_names, set(limbs), note)),
    ]


def _matched(names: tuple[str, ...], found: set[int], note: str = "") -> str:
    fresh = [name for n, name in enumerate(names) if n not in found]
    rest = f"; fresh: {', '.join(fresh)}" if fresh else ""
    return f"{len(found)} of {len(names)} matched by name{note}{rest}"


def _part(name: str) -> str:
    """Return the part of the network that a tensor belongs to.

    >>> _part("backbone.trunk.0.0.weight"), _part("head.refinements.pafs.1.6.bias")
    ('backbone.trunk', 'head.refinements.pafs.1')
    """
    words = name.split(".")
    if words[1] != "refinements":
        return ".".join(words[:2])
    end = next(n for n, word in enumerate(words) if word.isdigit())
    return ".".join(words[: end + 1])


def _layers(names: Mapping[str, Tensor]) -> Iterator[list[str]]:
    """Yield the names of the tensors of each layer."""
    for _, group in groupby(names, key=lambda name: name.rpartition(".")[0]):
        yield list(group)


def _field_channels(network: Any) -> FieldChannelsOf:
    """Return what the head says about its channels; a head of somebody else's may say nothing."""
    describe = getattr(network.head, "field_channels", dict)
    return {f"head.{name}": runs for name, runs in describe().items()}


def _same_channels(new: Skeleton, old: Skeleton) -> bool:
    return (new.keypoints, new.limbs) == (old.keypoints, old.limbs)


def _covers_trunk(network: nn.Module, taken: Mapping[str, Tensor]) -> bool:
    return all(name in taken for name in network.state_dict() if name.startswith("backbone.trunk."))


def _same_kind(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    return all(new.get(key) == old.get(key) for key in ("_target_", "name"))


def _kind(node: Mapping[str, Any]) -> str:
    name = f" {node['name']}" if node.get("name") else ""
    return f"{str(node.get('_target_')).rpartition('.')[2]}{name}"
