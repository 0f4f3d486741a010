"""Paths as people type them, hints for what cannot be composed, and yaml files that would fill the memory."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from pafpose.cli.arguments import config_folders, explain_failure, quote_paths
from pafpose.config import conf_dir, refuse_alias_bombs
from pafpose.errors import PafposeError
from tests.conftest import ROOT


@pytest.mark.parametrize(
    "path",
    [
        "/a=b",
        "/a b/c [1]",
        "~/x",
        "/a(1)",
        "/a{1}",
        "/写真",
        "/it's",
        'say/"x"',
        "a/b&c",
        "x/#1",
        "/a:b",
        "/a%b",
    ],
)
def test_paths_reach_the_config_as_they_are_typed(path: str) -> None:
    (argument,) = quote_paths([f"data.root={path}"])
    assert OverridesParser.create().parse_override(argument).value() == path


@pytest.mark.parametrize(
    "argument", ["-m", "paf.width=8", "data.people=[1,5]", "data.root='/a=b'", "sweep=optuna"]
)
def test_other_arguments_stay(argument: str) -> None:
    assert quote_paths([argument]) == [argument]


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["paf.widht=8"], "no key paf.widht; did you mean paf.width?"),
        (["dta=coco"], "no key dta; did you mean data?"),
        (["data=coco", "data.rooot=x"], "no key data.rooot; did you mean data.root?"),
        (["data=coco", "paf.width=5", "augment.oclusion.p=1"], "did you mean augment.occlusion.p?"),
        (["data=cocoo"], "did you mean data=coco?"),
        (["backbone=vgg_19"], "did you mean backbone=vgg19?"),
        (["hydra/launcher=no_such_launcher"], r"not installed; python -m pip install 'pafpose\[sweep\]'"),
        (["data.name=a(b"], r"""'data.name="a\(b"'"""),
        (["data=coco"], ""),
    ],
)
def test_hints_name_the_nearest_key_option_or_install_line(arguments: list[str], hint: str) -> None:
    text = explain_failure(arguments, "train")
    assert re.search(hint, text) if hint else text == ""


def bomb(levels: int) -> str:
    """Each list holds ten times the one before."""
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(["name: bomb", *rows, f"keypoints: *a{levels - 1}"])


def test_yaml_files_whose_aliases_would_fill_the_memory_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "skeleton"
    folder.mkdir()
    (folder / "few.yaml").write_text(bomb(3))
    (folder / "damaged.yaml").write_text("a: &a [*a, *b")
    refuse_alias_bombs([tmp_path, tmp_path / "nowhere", conf_dir()])
    (folder / "bomb.yaml").write_text(bomb(9))
    with pytest.raises(PafposeError, match=r"bomb\.yaml: its aliases stand for 2\.\de\+09 values"):
        refuse_alias_bombs([tmp_path])


@pytest.mark.timeout(30)
def test_a_skeleton_of_aliases_is_refused_too() -> None:
    from pafpose.skeleton import Skeleton

    content = yaml.safe_load(bomb(9))
    for key in ("keypoints", "name", "pairs", "sigmas", "derived", "aliases", "colours", "limb_sets"):
        plain = {"name": "x", "keypoints": ["a", "b"], "sigmas": [1, 1], "default_limbs": "t"}
        plain |= {"limb_sets": {"t": [["a", "b"]]}, key: [content["a8"], content["a8"]]}
        with pytest.raises(PafposeError, match=r"skeleton") as error:
            Skeleton.from_config(plain)
        assert len(str(error.value)) < 500


def test_where_configs_are_looked_for() -> None:
    arguments = ["--config-dir=/a", "-cd", "/b", "hydra.searchpath=[file:///c,/d]", "paf.width=8"]
    assert config_folders(arguments)[1:] == [Path(p) for p in ("/a", "/b", "/c", "/d")]


@pytest.mark.slow
def test_commands_print_hints_and_refuse_bombs(tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        script = [sys.executable, str(ROOT / "scripts" / "train.py"), f"hydra.run.dir={tmp_path}/run"]
        done = subprocess.run([*script, *arguments], capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 1
        return done.stderr + done.stdout

    assert run("paf.widht=8").splitlines()[-1] == "there is no key paf.widht; did you mean paf.width?"
    assert "looked for /no=where [1]/" in run("data=coco", "data.root=/no=where [1]")
    (tmp_path / "conf" / "skeleton").mkdir(parents=True)
    (tmp_path / "conf" / "skeleton" / "bomb.yaml").write_text(bomb(9))
    assert run("--config-dir", str(tmp_path / "conf")).startswith(
        f"train.py: {tmp_path}/conf/skeleton/bomb.yaml"
    )
