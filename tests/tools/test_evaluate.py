"""evaluate() writes metrics and detections; flip, scales and saved fields work end to end."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import os
import sqlite3
import subprocess
import sys

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from pafpose.config import load_config
from pafpose.errors import PafposeError
from pafpose.inference.settings import EvaluateSettings
from pafpose.metrics import METRICS
from pafpose.tools.evaluate import evaluate
from tests.conftest import ROOT
from tests.known_people import PEOPLE, known_config, known_network, write_photos


def run(checkpoint, folder, *overrides):
    overrides = [f"ckpt_path={checkpoint}", f"paths.output_dir={folder}", "device=cpu", *overrides]
    return evaluate(load_config(overrides, name="evaluate"), overrides)


def test_metrics_detections_and_table(checkpoint, tmp_path, capsys):
    metrics = run(checkpoint, tmp_path)
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert {key: None if math.isnan(value) else value for key, value in metrics.items()} == written
    assert set(METRICS) <= set(metrics) and all(isinstance(value, float) for value in metrics.values())
    assert metrics["photos"] == 2
    assert isinstance(json.loads((tmp_path / "detections.json").read_text()), list)
    assert "precision" in capsys.readouterr().out


def test_views_and_saved_fields(checkpoint, tmp_path):
    run(
        checkpoint, tmp_path, "evaluate.flip=true", "evaluate.scales=[0.5,1,1.5]", "evaluate.save_fields=true"
    )
    saved = np.load(tmp_path / "fields" / "11.npz")
    assert (
        saved["heatmaps"].shape[1] * 4 == saved["heatmaps"].shape[2] * 3 and saved["pafs"].dtype == np.float32
    )
    assert tuple(saved["valid"]) == (108, 144)  # 1.5 x 96 on the long side of 120 x 90
    np.testing.assert_allclose(saved["matrix"][0, 0], 144 / 120)


@pytest.mark.parametrize("choices", [(), ("evaluate.scales=[0.5,1,2]", "evaluate.flip=true")])
def test_known_people_are_found_and_reported_in_detail(tmp_path, monkeypatch, capsys, choices):
    config = known_config(write_photos(tmp_path / "data"), *choices)
    monkeypatch.setattr("pafpose.tools.evaluate.load_checkpoint", lambda cfg, typed: known_network(config))
    out = tmp_path / "out"
    metrics = run("RUN", out, "evaluate.detail=full", "evaluate.errors=true")
    written = json.loads((out / "metrics.json").read_text())
    assert {key: None if math.isnan(value) else value for key, value in metrics.items()} == written
    assert (metrics["AP"], metrics["AP_nose"]) == (pytest.approx(1), pytest.approx(1))
    assert (metrics["photos"], metrics["people"], metrics["errors_missed"]) == (3, 3, 0)
    assert OmegaConf.to_container(OmegaConf.load(out / "config.yaml")) == config
    found = json.loads((out / "detections.json").read_text())
    expected = {image_id: sorted(people, key=lambda xy: xy[0, 0]) for image_id, people in PEOPLE.items()}
    for detection in sorted(found, key=lambda d: d["keypoints"][0]):
        xy = np.array(detection["keypoints"]).reshape(-1, 3)[:, :2]
        assert np.abs(xy - expected[detection["image_id"]].pop(0)).mean() < 1
    printed = capsys.readouterr().out
    assert "coco: 3 photos, 3 people found" in printed and "1.000" in printed


# decoding settings that find people even in the maps of an untrained network
LOOSE = ("decode.min_keypoints=1", "decode.min_sum_per_keypoint=0", "decode.peak_threshold=0")


@pytest.fixture(scope="module")
def saved(checkpoint, tmp_path_factory):
    """An evaluation that kept its fields."""
    folder = tmp_path_factory.mktemp("saved")
    run(checkpoint, folder, "evaluate.save_fields=true")
    return folder


def again(fields, folder, *overrides):
    overrides = [f"evaluate.fields={fields}", f"paths.output_dir={folder}", "device=cpu", *overrides]
    return evaluate(load_config(overrides, name="evaluate"), overrides)


@pytest.mark.parametrize(
    "choice", [(), LOOSE, ("decode=coco",), (*LOOSE, "decode.matching=hungarian", "decode.near=30")]
)
def test_saved_fields_decode_to_the_same_people_bit_by_bit(checkpoint, saved, tmp_path, choice, monkeypatch):
    direct = run(checkpoint, tmp_path / "direct", *choice)
    expected = json.loads((tmp_path / "direct" / "detections.json").read_text())
    monkeypatch.setattr("pafpose.tools.evaluate.load_checkpoint", None)  # neither weights
    monkeypatch.setattr("pafpose.factory.build_datamodule", None)  # nor photos
    metrics = again(saved, tmp_path / "again", *choice)
    assert json.loads((tmp_path / "again" / "detections.json").read_text()) == expected
    assert {k: v for k, v in metrics.items() if "seconds" not in k} == {
        k: v for k, v in direct.items() if "seconds" not in k
    }
    assert bool(expected) or choice != LOOSE


def test_what_is_typed_decodes_and_not_what_the_checkpoint_has(checkpoint, saved, tmp_path):
    """Every one of these must show in the answer, from the network and from its fields."""
    for how, source in ((run, checkpoint), (again, saved)):
        folders = tmp_path / how.__name__
        strict = how(source, folders / "0", *LOOSE, "decode.min_keypoints=18")
        loose = how(source, folders / "1", *LOOSE)
        assert strict["people"] < loose["people"]
        stored = OmegaConf.load(folders / "1" / "config.yaml")
        assert stored.decode.min_keypoints == 1 and stored.decode.peak_threshold == 0
        how(source, folders / "2", "decode=coco")
        assert OmegaConf.load(folders / "2" / "config.yaml").decode == load_config(["decode=coco"]).decode


def test_the_number_of_people_that_count_can_be_typed(checkpoint, saved, tmp_path):
    for how, source in ((run, checkpoint), (again, saved)):
        details = "evaluate.detail=full", "evaluate.errors=true"
        few, many = (how(source, tmp_path, *LOOSE, *details, f"evaluate.max_detections={n}") for n in (1, 99))
        assert few["people"] == many["people"] > 0
        assert few["errors_background"] < many["errors_background"]
    with pytest.raises(PafposeError, match=r"evaluate.max_detections=0"):
        EvaluateSettings(max_detections=0)


def test_saved_fields_are_checked(checkpoint, saved, tmp_path):
    with pytest.raises(PafposeError, match="not a folder of saved fields"):
        again(tmp_path / "nowhere", tmp_path)
    with pytest.raises(PafposeError, match="one of the two"):
        again(saved, tmp_path, f"ckpt_path={checkpoint}")
    for fixed in ("evaluate.flip=true", "data=coco", "heatmap.sigma=9"):
        with pytest.raises(PafposeError, match="saved fields keep the"):
            again(saved, tmp_path, fixed)
    with pytest.raises(PafposeError, match=r"choose 'total' or 'full'"):
        EvaluateSettings(detail="much")


def test_details_and_where_the_time_went(saved, tmp_path, caplog):
    with caplog.at_level("INFO"):
        metrics = again(saved, tmp_path, "evaluate.detail=full", "evaluate.errors=true")
    assert {"errors_missed", "errors_missed_nose", "errors_background", "gain_jitter"} <= set(metrics)
    assert (tmp_path / "errors.png").is_file() and (tmp_path / "errors.pdf").is_file()
    assert {"AP_alone", "AP_nose", "AP_left_ankle"} <= set(metrics)
    assert "% decoding" in caplog.text
    assert 0 <= metrics["seconds_decode"] + metrics["seconds_metrics"] <= metrics["seconds"]


@pytest.mark.slow
def test_a_sweep_over_saved_fields(saved, tmp_path):
    """As it is typed: every job decodes with its own constants and returns its AP."""
    choices = [
        "decode=coco,paper",
        "decode.peak_threshold=0",
        "decode.min_sum_per_keypoint=0",
        "decode.min_keypoints=1,18",
    ]
    choices += ["hydra.sweep.dir=s", "device=cpu"]
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "evaluate.py", "-m", f"evaluate.fields={saved}", *choices],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    jobs = [json.loads((tmp_path / "s" / str(n) / "metrics.json").read_text()) for n in range(4)]
    assert jobs[0]["people"] > jobs[1]["people"] and jobs[2]["people"] > jobs[3]["people"]
    assert jobs[0]["people"] != jobs[2]["people"]
    status = json.loads((tmp_path / "s" / "2" / "status.json").read_text())
    assert status["state"] == "done" and status["value"] == jobs[2]["AP"]


@pytest.mark.slow
def test_optuna_searches_the_constants_on_saved_fields(saved, tmp_path):
    """As docs/sweeps.md has it: trials, a folder for each, going on with the study."""
    if importlib.util.find_spec("optuna") is None:
        pytest.skip("optuna is absent: pip install 'pafpose[sweep]'")
    (tmp_path / "outputs").mkdir()
    script = ROOT / "scripts" / "evaluate.py"
    command = [sys.executable, str(script), "-m", "sweep=optuna_decode", f"evaluate.fields={saved}"]
    for total in (2, 4):
        done = subprocess.run(
            [*command, "hydra.sweeper.n_trials=2"],
            cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, check=False, timeout=400,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        with contextlib.closing(sqlite3.connect(tmp_path / "outputs" / "optuna.db")) as study:
            values = [value for (value,) in study.execute("select value from trial_values")]
            names = [name for (name,) in study.execute("select param_name from trial_params")]
        assert len(values) == total and len(names) == 11 * total
    folder = tmp_path / "outputs" / "evaluate" / "studies" / "decode"
    runs = [path.parent for path in folder.glob("*/metrics.json")]
    scores = [json.loads((run / "metrics.json").read_text())["AP"] for run in runs]
    assert sorted(scores) == pytest.approx(sorted(values))
    assert set(names) <= {f"decode.{key}" for key in load_config([], name="evaluate").decode}
    tried = {OmegaConf.load(run / "config.yaml").decode.near for run in runs}
    assert len(tried) == 4  # every trial decoded with constants of its own


def test_weights_of_another_version_are_refused_in_words(checkpoint, tmp_path):
    content = torch.load(checkpoint / "checkpoints" / "best.ckpt", weights_only=True)
    name = next(iter(content["state_dict"]))
    content["state_dict"][f"{name}.before"] = content["state_dict"].pop(name)
    (tmp_path / "checkpoints").mkdir()
    torch.save(content, tmp_path / "checkpoints" / "best.ckpt")
    with pytest.raises(PafposeError, match=r"best.ckpt: its weights do not fit .* another version"):
        run(tmp_path, tmp_path / "out")
