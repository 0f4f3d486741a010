"""Print the config as a tree, and silence warnings that need no action."""

from __future__ import annotations

import logging
import warnings

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.syntax import Syntax
from rich.tree import Tree

NOISE = (
    r".*isinstance\(treespec, LeafSpec\).*",  # Lightning 2.6.6 on torch 2.14
    r".*does not have many workers.*",  # data.num_workers is chosen on purpose
    r".*litlogger.*",
    r".*The dirpath has changed.*",  # a resumed run has a new folder
    r".*resuming from a checkpoint that ended before the epoch ended.*",  # the loaders resume within an epoch
    r".*module\(s\) in eval mode at the start of training.*",  # frozen layers are in eval mode on purpose
    r".*Detected call of `lr_scheduler\.step\(\)` before.*",  # 16-mixed skips the first steps
    r".*Checkpoint directory .* exists and is not empty.*",
)


def quiet_known_warnings() -> None:
    """Silence warnings that need no action, Lightning's notices of products, and the steps of an export."""
    for library in ("pytorch_lightning", "onnxscript", "onnx_ir"):
        logging.getLogger(library).setLevel(logging.WARNING)
    for message in NOISE:
        warnings.filterwarnings("ignore", message=message)


def print_config(cfg: DictConfig) -> None:
    """Print the config on the terminal as a tree of groups."""
    tree = Tree("config", guide_style="dim")
    for key in map(str, cfg):
        node = cfg[key]
        if OmegaConf.is_config(node) and len(node):
            text = OmegaConf.to_yaml(node, resolve=True).rstrip()
            tree.add(f"[bold]{key}").add(Syntax(text, "yaml", background_color="default", word_wrap=True))
        else:
            tree.add(f"{key}: {node}")
    Console().print(tree)
