"""What a run prints: the config as a tree; known noise kept away."""

from __future__ import annotations

import warnings

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.syntax import Syntax
from rich.tree import Tree

NOISE = (
    r".*isinstance\(treespec, LeafSpec\).*",  # Lightning 2.6.6 on torch 2.14
    r".*does not have many workers.*",  # num_workers is a choice of conf/data
    r".*litlogger.*",
    r".*The dirpath has changed.*",  # a resumed run has a folder of its own
    r".*resuming from a checkpoint that ended before the epoch ended.*",  # steps count here, not epochs
    r".*module\(s\) in eval mode at the start of training.*",  # frozen layers are meant to be
    r".*Detected call of `lr_scheduler\.step\(\)` before.*",  # 16-mixed skips first steps
    r".*Checkpoint directory .* exists and is not empty.*",
)


def quiet_known_warnings() -> None:
    """Drop warnings that say nothing a user could act on."""
    for message in NOISE:
        warnings.filterwarnings("ignore", message=message)


def print_config(cfg: DictConfig) -> None:
    """The config as a tree of groups, on the terminal."""
    tree = Tree("config", guide_style="dim")
    for key in map(str, cfg):
        node = cfg[key]
        if OmegaConf.is_config(node) and len(node):
            text = OmegaConf.to_yaml(node, resolve=True).rstrip()
            tree.add(f"[bold]{key}").add(Syntax(text, "yaml", background_color="default", word_wrap=True))
        else:
            tree.add(f"{key}: {node}")
    Console().print(tree)
