"""The networks of the recipes compared: size, cost and speed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch

from pafpose import factory
from pafpose.config import load_config
from pafpose.models import PoseNetwork
from pafpose.models.summary import summarise

RECIPES = ("cao2017", "part_affinity", "openpose2019", "lightweight2018", "modern", "coco_mini", "quickstart")
SIDE = 368  # px


def networks_table(recipes: Sequence[str] = RECIPES, *, rounds: int = 3) -> list[dict[str, Any]]:
    """Measure the networks on one picture of 368 x 368 px, one row per recipe; weights are random.

    ``M``: millions of parameters. ``GFLOPs``: cost of a forward pass, 2 operations per multiply-add.
    ``CPU ms``: the fastest of ``rounds`` forward passes on one thread, in the recipe's memory format. All
    networks run once per round, so that other work on the machine affects all of them.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        networks = {name: _network(name) for name in recipes}
        times: dict[str, list[float]] = {name: [] for name in recipes}
        for _ in range(rounds + 1):  # the first round warms up
            for name, network in networks.items():
                times[name].append(_forward_ms(network))
    finally:
        torch.set_num_threads(threads)
    return [_row(name, network, min(times[name][1:])) for name, network in networks.items()]


def _network(recipe: str) -> PoseNetwork:
    cfg = load_config([f"experiment={recipe}", "backbone.weights=null"])
    network = factory.build_network(cfg).eval()
    return network.to(memory_format=torch.channels_last) if cfg.channels_last else network


@torch.inference_mode()
def _forward_ms(network: PoseNetwork) -> float:
    image = torch.zeros(1, 3, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
    start = time.perf_counter()
    network(image)
    return (time.perf_counter() - start) * 1e3


def _row(name: str, network: PoseNetwork, milliseconds: float) -> dict[str, Any]:
    figures = summarise(network, size=SIDE)
    return {
        "recipe": name,
        "M": f"{figures['parameters'] / 1e6:.2f}",
        "GFLOPs": f"{figures['gflops']:.1f}",
        "stages": figures["stages"],
        "stride": figures["stride"],
        "CPU ms": f"{milliseconds:.0f}",
    }
