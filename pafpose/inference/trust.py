"""What a file may ask for without being trusted: plain values, and classes of pafpose by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import timm
from torchvision.models import list_models

from pafpose.data.annotations.formats import FORMATS
from pafpose.errors import PafposeError, shown

BACKBONES = (
    "pafpose.models.backbones.dense.DenseBackbone",
    "pafpose.models.backbones.mobilenet.MobileNetV1",
    "pafpose.models.backbones.small.SmallBackbone",
    "pafpose.models.backbones.timm.TimmBackbone",
    "pafpose.models.backbones.torchvision.TorchvisionBackbone",
    "pafpose.models.backbones.vgg.VGG19",
)
HEADS = (
    "pafpose.models.heads.cmu2017.CMU2017",
    "pafpose.models.heads.lightweight2018.Lightweight2018",
    "pafpose.models.heads.openpose2019.OpenPose2019",
    "pafpose.models.heads.single.SingleHead",
)
DATA = (
    "pafpose.data.folder.FolderDataModule",
    "pafpose.data.mix.MixDataModule",
    "pafpose.synthetic.datamodule.SyntheticDataModule",
)
CLASSES = {"backbone": BACKBONES, "head": HEADS, "data": DATA}  # what is built from a checkpoint's config
DATA_DEFAULTS = {"index_cache": "auto", "subset": None, "allow_outside": False}
NEVER_BUILT = ("callbacks", "logger", "loss", "optimizer", "scheduler", "trainer")  # from a checkpoint


def refuse_code(config: Mapping[str, Any], source: object) -> None:
    """Raise ``PafposeError`` if a config that came out of the file ``source`` could run code of its choice.

    Allowed are plain values and, at the top of a group, the classes of ``CLASSES``. Refused are other and
    nested ``_target_`` keys, interpolations, readers of annotations outside pafpose, and networks that timm
    or torchvision do not know by name.
    """
    for group in (*CLASSES, "skeleton"):
        if not isinstance(config.get(group, {}), Mapping):
            raise PafposeError(f"{source}: its {group}={shown(config[group])} is no group of keys")
    for path, value in _leaves(config):
        group, key = path[0], path[-1]
        name = ".".join(path)
        if isinstance(value, str) and "${" in value:
            _refuse(source, name, value, "an interpolation")
        if group in NEVER_BUILT:
            continue
        if key == "_target_" and (value not in CLASSES.get(group, ()) or not _at_top(path)):
            _refuse(source, name, value, "code outside the classes that a checkpoint may name")
        if key.startswith("_") and key not in ("_target_", "_recursive_"):
            _refuse(source, name, value, "an instruction to Hydra")
        if key == "format" and group == "data" and value not in FORMATS:
            _refuse(source, name, value, "a reader outside pafpose")
    _check_extractor(config, source)


def forget_paths(config: Mapping[str, Any]) -> None:
    """Set the keys of a stranger's data that lead beyond their root back to their defaults, in place.

    ``index_cache`` is a folder to write to, ``subset`` may be a file to read, and ``allow_outside`` lets
    annotations name any photo. Typed on the command line, they count.
    """
    data = config.get("data", {})
    sets = data.get("sets", {})
    for node in (data, *(sets.values() if isinstance(sets, Mapping) else ())):
        for key, default in DATA_DEFAULTS.items():
            if isinstance(node, dict) and key in node:
                node[key] = default


def _leaves(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every value that is no container, with the keys that lead to it."""
    if path and path[-1].startswith("_"):
        yield path, node
    elif isinstance(node, Mapping):
        for key, value in node.items():
            yield from _leaves(value, (*path, str(key)))
    elif isinstance(node, list | tuple):
        for number, value in enumerate(node):
            yield from _leaves(value, (*path, str(number)))
    else:
        yield path, node


def _at_top(path: tuple[str, ...]) -> bool:
    """Whether a ``_target_`` is that of a group, or of one set of ``data=mix``."""
    return len(path) == 2 or (path[:2] == ("data", "sets") and len(path) == 4)


def _check_extractor(config: Mapping[str, Any], source: object) -> None:
    backbone = config.get("backbone", {})
    target, name = str(backbone.get("_target_")), str(backbone.get("name"))
    known = {"TimmBackbone": timm.list_models, "TorchvisionBackbone": list_models}
    for kind, names in known.items():
        if target.endswith(f".{kind}") and name not in names():
            _refuse(source, "backbone.name", name, "no network that the library knows by name")


def _refuse(source: object, key: str, value: object, what: str) -> None:
    raise PafposeError(
        f"{source}: its {key}={value!r} is {what}; if you trust the file, load it with trust=True (on the "
        "command line trust=true), which lets it run code of its choice"
    )
