"""Mutated folders of saved fields are decoded, or refused by name."""

from __future__ import annotations

import functools
import json
import shutil
from pathlib import Path

import pytest
from omegaconf import DictConfig

from pafpose.config import load_config
from pafpose.errors import PafposeError
from pafpose.tools.evaluate import evaluate
from tests.fuzz import check, mutated_bytes, mutated_json


@functools.cache
def config(folder: Path, out: Path) -> tuple[DictConfig, list[str]]:
    """A config for the fields of a folder, and the overrides that made it."""
    typed = [f"evaluate.fields={folder}", f"paths.output_dir={out}", "device=cpu"]
    return load_config(typed, name="evaluate"), typed


def score(folder: Path, out: Path) -> None:
    """Decode and score the fields of a folder, or refuse it."""
    cfg, typed = config(folder, out)
    evaluate(cfg.copy(), typed)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("count", [12, pytest.param(10_000, marks=pytest.mark.soak)])
def test_saved_fields(checkpoint: Path, tmp_path: Path, count: int) -> None:
    typed = [f"ckpt_path={checkpoint}", f"paths.output_dir={tmp_path / 'run'}", "evaluate.save_fields=true"]
    evaluate(load_config(typed, name="evaluate"), typed)
    whole = tmp_path / "run" / "fields"
    texts = sorted(whole.glob("*.json"))
    files = sorted(whole.iterdir())

    def trial(seed: int) -> None:
        folder = tmp_path / "odd"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole, folder)
        if seed % 3 == 0:
            file = files[seed % len(files)]
            (folder / file.name).write_bytes(mutated_bytes(file.read_bytes(), seed))
        else:
            file = texts[seed % len(texts)]
            content = mutated_json(json.loads(file.read_text()), seed)
            (folder / file.name).write_text(json.dumps(content))
        score(folder, tmp_path / "out")

    check(count, trial, named=str(tmp_path))


@pytest.mark.parametrize(
    ("key", "value"),
    [("evaluate.scales", "x"), ("evaluate.input_size", "total"), ("heatmap.sigma", "/etc"), ("data", 0.5),
     ("backbone", True), ("data", {"sets": 3}), ("data", {"sets": {"a": 3}}), ("decode.refine", "x" * 5000)],
)  # fmt: skip
def test_odd_values_in_the_config_of_fields_are_refused_or_unused(
    checkpoint: Path, tmp_path: Path, key: str, value: object
) -> None:
    typed = [f"ckpt_path={checkpoint}", f"paths.output_dir={tmp_path / 'run'}", "evaluate.save_fields=true"]
    evaluate(load_config(typed, name="evaluate"), typed)
    file = tmp_path / "run" / "fields" / "config.json"
    content = json.loads(file.read_text())
    group, _, leaf = key.partition(".")
    content[group] = content[group] | {leaf: value} if leaf else value
    file.write_text(json.dumps(content))
    try:
        score(file.parent, tmp_path / "out")
    except PafposeError as error:
        assert str(file.parent) in str(error) and len(str(error)) < 1000
    else:
        assert key == "data"  # decoding needs none of it


def test_fields_that_are_not_fields(tmp_path: Path) -> None:
    for content in ("[]", "{", "[" * 100_000):
        for name in ("config.json", "ground_truth.json"):
            (tmp_path / name).write_text(content)
        with pytest.raises(PafposeError, match=r"evaluate\.fields=.*: not a folder of saved fields"):
            score(tmp_path, tmp_path / "out")
