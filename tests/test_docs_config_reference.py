"""The reference of config keys says what the yaml files say: every key, its default and its comment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.config_reference import Key, read_file, reference
from pafpose.config import conf_dir

EXAMPLE = """\
# @package _global_
# What it is for:
# two lines.
defaults:
- base           # where it starts
- _self_
first: 1         # one | two; a
                 # second line

# above the key
second: '# no comment'
third: {a: [1, 2], b: "#"}  # flow
plain:           # a mapping whose keys have no comments
  x: 1
  y: [1, 2]
deep:
  # above a nested key
  key: 0.5       # nested
  other: null
  # not of other, but of last
  last: true
listed:
- {name: a}
- b
"""


def test_comments_belong_to_their_keys(tmp_path: Path) -> None:
    (tmp_path / "paf").mkdir()
    (tmp_path / "paf" / "example.yaml").write_text(EXAMPLE)
    file = read_file(tmp_path / "paf" / "example.yaml", tmp_path)
    assert file.description == "What it is for: two lines."
    assert file.defaults == [Key("", "base", "where it starts")]
    assert file.keys == [
        Key("first", "1", "one | two; a second line"),
        Key("second", "'# no comment'", "above the key"),
        Key("third", '{a: [1, 2], b: "#"}', "flow"),
        Key("plain", "{x: 1, y: [1, 2]}", "a mapping whose keys have no comments"),
        Key("deep.key", "0.5", "above a nested key nested"),
        Key("deep.other", "null", ""),
        Key("deep.last", "true", "not of other, but of last"),
        Key("listed", "[{name: a}, b]", ""),
    ]


def test_keys_begin_with_their_group_and_files_may_be_empty(tmp_path: Path) -> None:
    (tmp_path / "paf").mkdir()
    (tmp_path / "paf" / "default.yaml").write_text("# head\nwidth: 8  # px\n")
    (tmp_path / "paf" / "none.yaml").write_text("# nothing\n{}\n")
    (tmp_path / "train.yaml").write_text("seed: 0\n")
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "default.yaml").write_text("mine: 1\n")
    assert read_file(tmp_path / "paf" / "default.yaml", tmp_path).keys == [Key("paf.width", "8", "px")]
    assert read_file(tmp_path / "paf" / "none.yaml", tmp_path).description == "nothing"
    text = reference(tmp_path)
    assert text.index("### train.py") < text.index("### paf=default") < text.index("### paf=none")
    assert "mine" not in text and "| `paf.width` | `8` | px |" in text and "| `seed` | `0` |  |" in text


def leaves(content: Any, prefix: str = "") -> list[str]:
    if not isinstance(content, dict) or not content:
        return [prefix]
    return [leaf for key, value in content.items() for leaf in leaves(value, f"{prefix}.{key}".lstrip("."))]


@pytest.mark.parametrize(
    "path", sorted(conf_dir().rglob("*.yaml")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_no_key_of_conf_is_left_out(path: Path) -> None:
    names = [key.name for key in read_file(path, conf_dir()).keys]
    assert len(set(names)) == len(names)
    content = {
        key: value for key, value in (yaml.safe_load(path.read_text()) or {}).items() if key != "defaults"
    }
    is_global = path.parent == conf_dir() or "# @package _global_" in path.read_text()
    for leaf in leaves(content) if content else []:
        full = leaf if is_global else f"{path.parent.name}.{leaf}"
        assert any(full == name or full.startswith(f"{name}.") for name in names), full


def test_the_defaults_of_targets_and_decoder_are_explained() -> None:
    for group in ("heatmap", "paf", "mask", "decode", "evaluate", "loss"):
        keys = read_file(conf_dir() / group / "default.yaml", conf_dir()).keys
        assert keys and [key.name for key in keys if not key.comment and "_target_" not in key.name] == []
