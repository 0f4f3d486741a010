"""Every command in README and docs works: each composes; those of the README run, slowly, on tiny data."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep

from pafpose.config import conf_dir, load_config
from tests.conftest import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
ARGPARSE = ("report", "benchmark")  # scripts without Hydra
COMMAND = re.compile(r"(?:^|[`\s/])python (scripts/\w+\.py[^`\n]*)")


def commands(page: Path) -> list[str]:
    """``scripts/x.py arguments`` of all shell lines and inline commands; lines that go on are joined."""
    text = page.read_text().replace("\\\n", " ")
    return [match.group(1).split("  #")[0].split(" # ")[0].strip() for match in COMMAND.finditer(text)]


def arguments(command: str) -> tuple[str, list[str], list[str]]:
    """Script name, flags, and Hydra overrides or arguments."""
    words = shlex.split(command)
    script = Path(words[0]).stem
    flags = [word for word in words[1:] if word.startswith("-")]
    rest = [word for word in words[1:] if not word.startswith("-")]
    return script, flags, rest


# commands on files that the reader wrote before are run by tests/cli/test_new_skeleton.py
ALL = sorted({c for page in PAGES for c in commands(page) if "--config-dir" not in c})


def first_of_sweep(override: str) -> str:
    """``paf.width=4,8`` as the first job of ``-m`` has it."""
    parsed = OverridesParser.create().parse_override(override)
    if not parsed.is_sweep_override():
        return override
    value = parsed.value()
    if isinstance(value, IntervalSweep):
        return f"{parsed.key_or_group}={value.start}"
    return f"{parsed.key_or_group}={next(iter(parsed.sweep_string_iterator()))}"


def test_the_pages_have_commands() -> None:
    scripts = {path.stem for path in (ROOT / "scripts").glob("*.py")} - {"benchmark"}
    assert {arguments(command)[0] for command in commands(ROOT / "README.md")} >= scripts


@pytest.mark.parametrize("command", ALL)
def test_every_command_composes(command: str) -> None:
    script, flags, rest = arguments(command)
    assert (ROOT / "scripts" / f"{script}.py").is_file()
    if script in ARGPARSE:
        folder = "benchmarks/__main__" if script == "benchmark" else f"pafpose/cli/{script}"
        text = (ROOT / f"{folder}.py").read_text()
        assert all(f'"{flag}"' in text for flag in flags if flag.startswith("--")), command
        return
    assert set(flags) <= {"-m", "--help", "--cfg"} and (conf_dir() / f"{script}.yaml").is_file()
    overrides = [word for word in rest if word not in ("job", "...")]  # "...": as the reader likes
    if "-m" in flags:
        overrides = [first_of_sweep(word) for word in overrides]
    for key in ("hydra", "sweep"):  # those of Hydra's own groups choose engines that may not be installed
        overrides = [word for word in overrides if not word.startswith((f"{key}/", f"{key}=", f"{key}."))]
    load_config(overrides, name=script)


TINY = [
    "data.train_count=4", "data.val_count=2", "data.picture_size=96", "data.generator_workers=1",
    "data.num_workers=0", "data.batch_size=2", "trainer.max_steps=2", "trainer.accelerator=cpu",
    "augment.crop=64", "evaluate.input_size=96",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_readmes_commands_run(tmp_path: Path, coco_mini: Path) -> None:
    """In the README's order, in an empty folder: what one command makes, later ones read."""
    (tmp_path / "photos").mkdir()
    source = sorted((coco_mini / "val2017").glob("*.jpg"))[0]
    (tmp_path / "photos" / source.name).write_bytes(source.read_bytes())
    made = {"train": "", "multi": ""}
    for command in dict.fromkeys(commands(ROOT / "README.md")):
        script, flags, rest = arguments(command)
        if {"data=crowdpose", "data=ap10k", "data=coco_foot", "data=yolo"} & set(rest):
            continue  # other layouts than the photos at hand; tests/data reads tiny ones of each
        if script == "benchmark" or {"--help", "--cfg"} & set(flags):
            flags = flags if flags else ["--help"]
        words = [_filled(word, made, coco_mini, tmp_path) for word in [*flags, *rest]]
        if script not in ARGPARSE and not {"--help", "--cfg"} & set(flags):
            words += _small(script, rest)
        if (script == "report" and not made["multi"]) or script == "convert":  # weights to be fetched first
            continue
        done = subprocess.run(
            [sys.executable, str(ROOT / "scripts" / f"{script}.py"), *words],
            cwd=tmp_path, capture_output=True, text=True, check=False, env=_environment(tmp_path),
        )  # fmt: skip
        assert done.returncode == 0, (
            f"{command}\n{' '.join(words)}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
        )
        runs = sorted((tmp_path / "outputs" / "train").glob("runs/*/checkpoints/best.ckpt"))
        made["train"] = str(runs[0].parent.parent) if runs else ""  # the default recipe, as resuming composes
        sweeps = sorted((tmp_path / "outputs" / "train").glob("multiruns/*"))
        made["multi"] = str(sweeps[-1]) if sweeps else ""


def _environment(folder: Path) -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(ROOT), "PAFPOSE_DATA_DIR": str(folder / "data")}


def _filled(word: str, made: dict[str, str], coco: Path, folder: Path) -> str:
    """Placeholders with what there is."""
    word = word.replace("outputs/train/multiruns/RUN", made["multi"]).replace(
        "outputs/train/runs/RUN", made["train"]
    )
    word = word.replace("ckpt_path=RUN", f"ckpt_path={made['train']}").replace(
        "output=DIR", f"output={folder}/drawn"
    )
    return word.replace("data.root=DIR", f"data.root={coco}")


def _small(script: str, rest: list[str]) -> list[str]:
    """What makes a command quick without changing what it is about."""
    given = {word.split("=")[0] for word in rest}
    real = any(word.startswith(("data=", "experiment=")) for word in rest)
    if script == "make_synthetic":
        small = [
            "data.train_count=4",
            "data.val_count=2",
            "data.picture_size=96",
            "data.generator_workers=1",
            "sheet=2",
        ]
    elif script in ("predict", "export"):
        small = []
    elif script in ("evaluate", "check_data"):
        small = [] if script == "evaluate" else ["check.files=false"]
    elif real:
        small = [*(t for t in TINY if not re.match(r"data\.(train_count|val_count|picture|generator)", t)),
                 "data.limit_train=4", "data.limit_val=2"]  # fmt: skip
        small += ["backbone.weights=null"] if script == "train" else []
    else:
        small = list(TINY)
    if script in ("oracle", "visualize"):
        small = [word for word in small if not word.startswith("trainer.")]
    if script == "visualize":
        small.append("visualize.count=1")
    return [word for word in small if word.split("=")[0] not in given]
