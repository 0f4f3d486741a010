"""Write the reference of all config keys, in Markdown, from the yaml files in ``conf/`` and their comments.

A comment belongs to the key on its line. Lines below it that hold a comment alone and are indented further
continue it; lines that begin where the next key begins belong to that key. What stands before the first key
of a file describes the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

_LONGEST_VALUE = 60  # characters of a value in a table


@dataclass(frozen=True)
class Key:
    """A key of a yaml file: its dotted name, its value as written, and its comment."""

    name: str
    value: str
    comment: str


@dataclass(frozen=True)
class ConfigFile:
    """What a yaml file says: its description, the files it starts from, and its own keys."""

    description: str
    defaults: list[Key]
    keys: list[Key]


def read_file(path: Path, conf: Path) -> ConfigFile:
    """Return what a file of ``conf`` says; the names of its keys begin with the package of its group."""
    lines = path.read_text(encoding="utf-8").splitlines()
    root = yaml.compose("\n".join(lines))
    if not isinstance(root, yaml.MappingNode) or not root.value:
        return ConfigFile(_above(lines, root.start_mark.line if root else len(lines)), [], [])
    group = path.parent.relative_to(conf).as_posix()
    is_global = group == "." or "# @package _global_" in lines
    first = root.value[0][0].start_mark.line
    defaults = [value for key, value in root.value if key.value == "defaults"]
    return ConfigFile(
        description=_above(lines, first),
        defaults=[entry for value in defaults for entry in _defaults(value, lines)],
        keys=list(_keys(root, lines, "" if is_global else f"{group}.", first)),
    )


def reference(conf: Path) -> str:
    """Return the tables of all files of ``conf`` in Markdown: commands first, then groups by name.

    ``conf/local`` holds the reader's own defaults, which are not part of pafpose.
    """
    groups = sorted(path for path in conf.iterdir() if path.name != "local" and list(path.glob("*.yaml")))
    links = " · ".join(["[commands](#commands)", *(f"[{path.name}](#group-{path.name})" for path in groups)])
    return "\n".join([f"{links}\n", *(_section(folder, conf) for folder in [conf, *groups])])


def _section(folder: Path, conf: Path) -> str:
    group = "" if folder == conf else folder.name
    files = sorted(folder.glob("*.yaml"), key=lambda path: (path.stem != "default", path.stem))
    parts = [f"## Group {group}\n" if group else "## Commands\n"]
    for path in files:
        title = f"{group}={path.stem}" if group else f"{path.stem}.py"
        parts.append(f"### {title}\n\n{_describe(read_file(path, conf))}")
    return "\n".join(parts)


def _describe(file: ConfigFile) -> str:
    parts = [_prose(file.description)] if file.description else []
    if any(entry.comment for entry in file.defaults):
        rows = [f"| {_code(entry.value)} | {_prose(entry.comment)} |" for entry in file.defaults]
        parts.append("\n".join(["| starts from | meaning |", "|---|---|", *rows]))
    elif file.defaults:
        parts.append(f"Starts from {', '.join(_code(entry.value) for entry in file.defaults)}.")
    if file.keys:
        rows = [f"| {_code(key.name)} | {_code(key.value)} | {_prose(key.comment)} |" for key in file.keys]
        parts.append("\n".join(["| key | default | meaning |", "|---|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def _defaults(node: yaml.Node, lines: list[str]) -> Iterator[Key]:
    """Yield the entries of a defaults list, without ``_self_``."""
    for item in node.value:
        value = yaml.safe_load(yaml.serialize(item))
        words = (
            " ".join(f"{group}={option}" for group, option in value.items())
            if isinstance(value, dict)
            else value
        )
        if words != "_self_":
            yield Key("", str(words), _comment(item.start_mark, item.end_mark, lines))


def _keys(node: yaml.MappingNode, lines: list[str], prefix: str, first: int = -1) -> Iterator[Key]:
    """Yield all keys in the order of the file; a mapping of keys without comments is one value."""
    for key, value in node.value:
        if first >= 0 and key.value == "defaults":
            continue
        name, start = f"{prefix}{key.value}", key.start_mark
        above = "" if start.line == first else _above(lines, start.line, start.column)
        comment = f"{above} {_comment(start, _end_of_line(key, value), lines)}".strip()
        nested = list(_keys(value, lines, f"{name}.")) if isinstance(value, yaml.MappingNode) else []
        if any(entry.comment for entry in nested) and not _is_flow(value):
            yield from [Key(name, "", comment)] if comment else []
            yield from nested
        else:
            yield Key(name, _shown(value, lines), comment)


def _end_of_line(key: yaml.Node, value: yaml.Node) -> yaml.Mark:
    """Return where the comment of a key may begin: after its value, or after the key if that is below."""
    is_block = isinstance(value, yaml.CollectionNode) and not _is_flow(value)
    is_text = isinstance(value, yaml.ScalarNode) and value.style in ("|", ">")
    return key.end_mark if is_block or is_text else value.end_mark


def _is_flow(node: yaml.Node) -> bool:
    return isinstance(node, yaml.CollectionNode) and bool(node.flow_style)


def _comment(start: yaml.Mark, end: yaml.Mark, lines: list[str]) -> str:
    """Return the comment after ``end``, with the lines below that are indented further than ``start``."""
    found = re.search(r"(?:^|\s)# ?(.*)", lines[end.line][end.column :]) if end.line < len(lines) else None
    if not found:
        return ""
    words = [found.group(1)]
    for line in lines[end.line + 1 :]:
        continued = re.fullmatch(r"(\s+)# ?(.*)", line)
        if not continued or len(continued.group(1)) <= start.column:
            break
        words.append(continued.group(2))
    return " ".join(word.strip() for word in words)


def _above(lines: list[str], number: int, column: int = 0) -> str:
    """Return the comment in the lines above a line that begin in ``column``."""
    words: list[str] = []
    for line in reversed(lines[:number]):
        found = re.fullmatch(rf" {{{column}}}# ?(.*)", line)
        if not found:
            return " ".join(words)
        if not found.group(1).startswith("@package"):
            words.insert(0, found.group(1).strip())
    return " ".join(words)


def _shown(node: yaml.Node, lines: list[str]) -> str:
    """Return a value as the file has it, in one line without comments, shortened if it is long."""
    written = "\n".join(lines)[node.start_mark.index : node.end_mark.index]
    if isinstance(node, yaml.CollectionNode) and not node.flow_style:
        written = yaml.safe_dump(
            yaml.safe_load(yaml.serialize(node)), default_flow_style=True, sort_keys=False, width=10**6
        )
    else:
        written = re.sub(r"\s#[^\n]*", "", written)
    shown = " ".join(written.split())
    return shown if len(shown) <= _LONGEST_VALUE else f"{shown[: _LONGEST_VALUE - 2]} …"


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|") if text else ""


def _prose(text: str) -> str:
    """Return a comment as literal text: nothing in it is Markdown, and no bar ends a cell of a table."""
    return re.sub(r"([\\`*_{}\[\]<>#|$~])", r"\\\1", text)
