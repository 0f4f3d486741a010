"""What people type: paths that Hydra cannot parse, keys that nearly exist, plugins that are not installed."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import OmegaConf

from pafpose.config import conf_dir, load_config

_FOLDERS = ("--config-dir", "-cd", "--config-path", "-cp")


def quote_paths(arguments: Sequence[str]) -> list[str]:
    r"""Return the arguments with quotes around paths that Hydra's grammar does not know as they are.

    >>> quote_paths(["data.root=/my=set [1]", "paf.width=8", "data.root=~/写真"])
    ['data.root="/my=set [1]"', 'paf.width=8', 'data.root="~/写真"']
    """
    return [argument if _is_parsed(argument) else _quoted(argument) for argument in arguments]


def config_folders(arguments: Sequence[str]) -> list[Path]:
    """Return the folders of configs that the arguments add, and that of ``conf/local``."""
    folders = [conf_dir() / "local"]
    for n, argument in enumerate(arguments):
        flag, equals, value = argument.partition("=")
        if flag in _FOLDERS:
            folders += [Path(value)] if equals else [Path(name) for name in arguments[n + 1 : n + 2]]
        elif flag == "hydra.searchpath":
            folders += [Path(name.removeprefix("file://")) for name in value.strip("[]").split(",")]
    return folders


def explain_failure(arguments: Sequence[str], config_name: str) -> str:
    """Return what to type instead, for arguments with which no config can be composed; empty if unknown."""
    overrides = [argument for argument in arguments if "=" in argument and not argument.startswith("-")]
    try:
        load_config(overrides, name=config_name)
    except OverrideParseException as error:
        return _explain_grammar(str(error.override))
    except MissingConfigException as error:
        return _explain_missing(error)
    except ConfigCompositionException as error:
        return _explain_key(str(error), overrides, config_name)
    except HydraException:
        return ""
    return ""


def _is_parsed(argument: str) -> bool:
    if argument.startswith("-") or "=" not in argument:
        return True
    try:
        OverridesParser.create().parse_override(argument)
    except HydraException:
        return False
    return True


def _quoted(argument: str) -> str:
    key, _, value = argument.partition("=")
    looks_like_a_path = os.sep in value or value.startswith("~")
    if not looks_like_a_path or value[:1] in ("'", '"', "[", "{"):
        return argument
    return f"{key}='{value}'" if '"' in value else f'{key}="{value}"'


def _explain_grammar(override: str) -> str:
    key, _, value = override.partition("=")
    return f"quote the value twice, for the shell and for Hydra: '{key}=\"{value}\"'"


def _explain_missing(error: MissingConfigException) -> str:
    missing = str(error.missing_cfg_file)
    if re.match(r"hydra/(sweeper|launcher)/", missing):
        return f"{missing} is a plugin that is not installed; python -m pip install 'pafpose[sweep]'"
    group, _, name = missing.rpartition("/")
    near = difflib.get_close_matches(name, error.options or [], n=1)
    return f"did you mean {group}={near[0]}?" if near else ""


def _explain_key(message: str, overrides: Sequence[str], config_name: str) -> str:
    found = re.search(
        r"(?:Could not override|Could not append|In '[^']*': Could not find) '([^']+)'", message
    )
    if not found:
        return ""
    wrong = found.group(1).split("@")[0]
    others = [text for text in overrides if not text.lstrip("+~").startswith((f"{wrong}=", f"{wrong}@"))]
    try:
        cfg = load_config(others, name=config_name)
    except HydraException:  # another one is wrong too
        cfg = load_config([], name=config_name)
    known = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(known, dict)
    near = difflib.get_close_matches(wrong, list(_keys(known)), n=1, cutoff=0.7)
    return f"there is no key {wrong}; did you mean {near[0]}?" if near else f"there is no key {wrong}"


def _keys(cfg: Mapping[Any, Any], prefix: str = "") -> Iterator[str]:
    """Yield every key of a plain config with the keys above it."""
    for key, value in cfg.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _keys(value, f"{prefix}{key}.")
