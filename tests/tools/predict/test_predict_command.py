"""The command as people type it: interrupted, and typed again."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT

COUNT = 400
pytestmark = pytest.mark.slow


def start(*words: str, source: str = "") -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, *words],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    if source:
        assert process.stdin is not None
        process.stdin.write(source)
        process.stdin.close()
        process.stdin = None
    return process


def images(folder: Path) -> list[str]:
    return [image["file_name"] for image in json.loads((folder / "predictions.json").read_text())["images"]]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_prediction_goes_on(
    checkpoint: Path, coco_root: Path, tmp_path: Path, signum: signal.Signals
) -> None:
    photo = next((coco_root / "val2017").iterdir()).read_bytes()
    (tmp_path / "photos").mkdir()
    for n in range(COUNT):
        (tmp_path / "photos" / f"{n:04d}.png").write_bytes(photo)
    out = tmp_path / "out"
    words = (
        str(ROOT / "scripts" / "predict.py"), f"ckpt_path={checkpoint}", f"source={tmp_path / 'photos'}",
        f"hydra.run.dir={out}", "device=cpu",
    )  # fmt: skip
    process = start(*words)
    deadline = time.monotonic() + 300
    while not (out / "images").is_dir() or len(list((out / "images").iterdir())) < 10:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signum)
    log = process.communicate()[0]
    done = len((out / "predictions.jsonl").read_text().splitlines()) // 2
    assert 0 < done < COUNT, "the machine was too fast"
    if signum == signal.SIGTERM:
        assert process.returncode == 143 and len(images(out)) == done
        (line,) = [line for line in log.splitlines() if "to go on: python " in line]
        words = tuple(shlex.split(line.partition("to go on: python ")[2]))
    again = start(*words)
    log = again.communicate()[0]
    assert again.returncode == 0, log
    assert f"going on: {done} photos" in log
    assert images(out) == [f"{n:04d}.png" for n in range(COUNT)]
    assert not list(out.rglob("*.part*"))


def test_a_list_with_a_name_that_is_not_there(checkpoint: Path, coco_root: Path, tmp_path: Path) -> None:
    photos = sorted((coco_root / "val2017").iterdir())
    listed = "".join(f"{path}\n" for path in [*photos, tmp_path / "gone.png"])
    process = start(
        str(ROOT / "scripts" / "predict.py"), f"ckpt_path={checkpoint}", "source=-",
        f"hydra.run.dir={tmp_path}",
        source=listed,
    )  # fmt: skip
    log = process.communicate()[0]
    assert process.returncode == 1 and "Traceback" not in log
    assert "gone.png: no such file or folder" in log and images(tmp_path) == [path.name for path in photos]
