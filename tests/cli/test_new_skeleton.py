"""docs/skeletons.md does what it says: its file and its commands, from zero to predictions."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pafpose.skeleton import Skeleton

ROOT = Path(__file__).resolve().parents[2]
ENV = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
SMALLER = {  # what makes the page's commands quick; nothing else is changed
    "make_synthetic": "data.train_count=8 data.val_count=4 data.picture_size=128 sheet=0",
    "visualize": "visualize.count=1 visualize.split=val hydra.run.dir=look",
    "oracle": "hydra.run.dir=oracle",
    "train": "data.schedule.max_steps=3 data.schedule.val_every=3 data.batch_size=2 data.num_workers=0 "
    "augment.crop=96 evaluate.input_size=128 trainer.accelerator=cpu",
    "evaluate": "hydra.run.dir=evaluated data.num_workers=0 device=cpu",
    "predict": "hydra.run.dir=predicted device=cpu",
}


def blocks(language: str) -> list[str]:
    """The fenced blocks of the page in one language."""
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / "skeletons.md").read_text(), re.DOTALL)


def test_the_file_of_the_page_is_a_skeleton_and_its_json_fits():
    config = yaml.safe_load(blocks("yaml")[0])
    for limbs in config["limb_sets"]:
        assert Skeleton.from_config(config, limbs).num_keypoints == 10
    content = json.loads(blocks("json")[0])
    assert content["categories"][0]["keypoints"] == config["keypoints"]
    keypoints = content["annotations"][0]["keypoints"]
    assert len(keypoints) == 30 and sum(v > 0 for v in keypoints[2::3]) == 2


@pytest.mark.slow
def test_from_zero_to_training(tmp_path: Path) -> None:
    (tmp_path / "my" / "skeleton").mkdir(parents=True)
    (tmp_path / "my" / "skeleton" / "heron.yaml").write_text(blocks("yaml")[0])
    commands = [line for block in blocks("bash") for line in block.splitlines()]
    assert [Path(shlex.split(command)[1]).stem for command in commands] == list(SMALLER)
    for command in commands:
        words = shlex.split(command)
        script = ROOT / words[1]
        done = subprocess.run(
            [sys.executable, str(script), *words[2:], *SMALLER[script.stem].split()],
            cwd=tmp_path,
            env=ENV,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert len(list((tmp_path / "look" / "images").glob("*.png"))) == 1
    assert json.loads((tmp_path / "oracle" / "metrics.json").read_text())["AP"] > 0.5
    scores = json.loads((tmp_path / "evaluated" / "metrics.json").read_text())
    assert "AP" in scores and 0 <= scores["AP"] <= 1
    assert len(list((tmp_path / "predicted" / "images").glob("*"))) == 4
    assert (tmp_path / "outputs" / "heron" / "checkpoints" / "best.ckpt").is_file()
