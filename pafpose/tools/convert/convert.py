"""Read a published weight file and map its tensors to our names, with channels in our order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from pafpose.errors import PafposeError
from pafpose.skeleton import Skeleton
from pafpose.tools.convert.layouts import LAYOUTS, Layer, Layout

Weights = Mapping[str, Tensor]
COUNTER = "num_batches_tracked"  # absent from old files, and never used by our networks
OPENPOSE_LAYER = re.compile(r"(?:.*\.)?(M?(?:conv|prelu)\d\w*\.\w+)")  # a layer, after its modules


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a file by layer name.

    Unwraps ``state_dict`` and strips the prefix ``module.``. For OpenPose it also strips the names of
    enclosing modules (``model1_1.conv5_1_CPM_L1.weight``), which differ between copies of the file.
    """
    path = Path(path)
    if not path.is_file():
        raise PafposeError(f"source={path}: no such file; docs/convert.md says where to get the weights")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise PafposeError(
            f"{path}: cannot be read as tensors alone ({type(error).__name__}: {error}); if you trust the "
            "file, load it yourself and save its state dict, tensors only, with torch.save"
        ) from error
    state = content.get("state_dict", content) if isinstance(content, Mapping) else {}
    tensors = {str(k).removeprefix("module."): v for k, v in state.items() if isinstance(v, Tensor)}
    if not tensors:
        raise PafposeError(f"{path}: contains no tensors by name; give a file with a state dict (.pth)")
    return {OPENPOSE_LAYER.sub(r"\1", name): value for name, value in tensors.items()}


def guess_layout(weights: Weights, *, source: str | Path) -> str:
    """Return the key in ``LAYOUTS`` that matches the tensor names of a file."""
    for name, layout in LAYOUTS.items():
        if f"{layout.mark}.weight" in weights:
            return name
    raise PafposeError(
        f"{source}: its {len(weights)} tensors ({', '.join(list(weights)[:3])} ...) match none of "
        f"{', '.join(LAYOUTS)}; docs/convert.md lists the files that can be converted"
    )


def count_stages(weights: Weights, layout: Layout) -> int:
    """Return the number of refinement stages in the file; 0 if the layout has a fixed number."""
    if not layout.stages:
        return 0
    return len({name.split(".")[1] for name in weights if name.startswith(layout.stages)})


def convert_weights(
    weights: Weights,
    layout: Layout,
    network: nn.Module,
    skeleton: Skeleton,
    *,
    source: str | Path,
    refinements: int = 0,
) -> dict[str, Tensor]:
    """Return the state dict of ``network``, filled from ``weights``; every tensor must be used.

    ``refinements`` is the number of refinement stages to convert, for layouts where it varies; later stages
    are left out. Raises ``PafposeError`` if a tensor is missing, has the wrong shape or has no counterpart;
    the message names it and its shape.
    """
    own = network.state_dict()
    orders = channel_orders(layout, skeleton)
    result = {name: value for name, value in own.items() if name.startswith("normalise.")}
    used = set()
    for layer in layout.layers(refinements):
        for name in [n for n in own if n.rpartition(".")[0] == layer.ours]:
            kind = name.rpartition(".")[2]
            theirs = f"{layer.theirs}.{kind}"
            used.add(theirs)
            if kind == COUNTER:
                result[name] = weights.get(theirs, own[name])
                continue
            tensor = _take(weights, theirs, own[name], where=f"{source}: {theirs} (our {name})")
            result[name] = _reorder(tensor, kind, layer, orders)
    _refuse_rest(weights, used, layout, refinements, source)
    missing = sorted(set(own) - set(result))
    if missing:  # the recipe or the layout is wrong, not the file
        raise PafposeError(
            f"{layout.title}: the layout does not cover {', '.join(missing[:5])}; please report this bug"
        )
    return result


def channel_orders(layout: Layout, skeleton: Skeleton) -> dict[str, list[int]]:
    """Return the file's channel for each of our field channels: ``{"heatmaps": (K + 1), "pafs": (2 L)}``."""
    heatmaps = [layout.keypoints.index(name) for name in skeleton.keypoints]
    pafs: list[int] = []
    for a, b in skeleton.limbs:
        limb = layout.limbs.index((skeleton.keypoints[a], skeleton.keypoints[b]))
        pafs += [2 * limb, 2 * limb + 1]
    return {"heatmaps": [*heatmaps, len(layout.keypoints)], "pafs": pafs}


def _take(weights: Weights, name: str, like: Tensor, *, where: str) -> Tensor:
    if name not in weights:
        raise PafposeError(f"{where}: missing; expected a tensor of shape {tuple(like.shape)}")
    tensor = weights[name]
    if tensor.shape != like.shape:
        raise PafposeError(
            f"{where}: has shape {tuple(tensor.shape)}, expected {tuple(like.shape)}; the file belongs to "
            "another network (different keypoints, limbs or width)"
        )
    return tensor.to(like.dtype)


def _reorder(tensor: Tensor, kind: str, layer: Layer, orders: Mapping[str, Sequence[int]]) -> Tensor:
    """Reorder the rows of an output layer, and the columns of a layer whose input includes fields."""
    if layer.gives:
        tensor = tensor[list(orders[layer.gives])]
    if layer.sees and kind == "weight":
        tensor = tensor[:, _columns(layer, tensor.shape[1], orders)]
    return tensor.clone()


def _columns(layer: Layer, total: int, orders: Mapping[str, Sequence[int]]) -> list[int]:
    """Return the file's input channel for each of ours."""
    features = total - sum(len(orders[block]) for block in layer.sees if block != "features")
    inside = {"features": range(features), **orders}
    start, begins = 0, {}
    for block in layer.sees:
        begins[block] = start
        start += len(inside[block])
    return [begins[block] + channel for block in layer.wants for channel in inside[block]]


def _refuse_rest(
    weights: Weights, used: set[str], layout: Layout, refinements: int, source: str | Path
) -> None:
    rest = [name for name in weights if name not in used and not name.endswith(COUNTER)]
    if layout.stages:
        rest = [n for n in rest if not n.startswith(layout.stages) or int(n.split(".")[1]) < refinements]
    if rest:
        names = ", ".join(f"{name} {tuple(weights[name].shape)}" for name in rest[:3])
        raise PafposeError(
            f"{source}: {len(rest)} tensors have no place in {layout.title}: {names}"
            f"{' ...' if len(rest) > 3 else ''}; the file belongs to another network"
        )
