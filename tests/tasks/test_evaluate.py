"""evaluate() writes metrics and detections; flip, scales and saved fields work end to end."""

from __future__ import annotations

import json

import numpy as np
import pytest

import pafpose.evaluation
from pafpose.config import load_config
from pafpose.fields import People
from pafpose.metrics import METRICS
from pafpose.tasks.evaluate import evaluate


def run(checkpoint, folder, *overrides):
    overrides = [f"ckpt_path={checkpoint}", f"paths.output_dir={folder}", "device=cpu", *overrides]
    return evaluate(load_config(overrides, name="evaluate"), overrides)


def test_metrics_detections_and_table(checkpoint, tmp_path, capsys):
    metrics = run(checkpoint, tmp_path)
    assert metrics == json.loads((tmp_path / "metrics.json").read_text())
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
        saved["heatmaps"].shape[1] * 4 == saved["heatmaps"].shape[2] * 3 and saved["pafs"].dtype == np.float16
    )
    assert tuple(saved["valid"]) == (108, 144)  # 1.5 x 96 on the long side of 120 x 90
    np.testing.assert_allclose(saved["matrix"][0, 0], 144 / 120)


@pytest.mark.parametrize("scales", ["[1]", "[0.5,1,2]"])
def test_true_people_score_one_through_every_frame(checkpoint, tmp_path, monkeypatch, scales, coco_root):
    """A decoder that knows the truth, told in the frame of the batch, must reach AP 1 in photo pixels."""
    batches = []
    fields_of = pafpose.evaluation.predict_fields

    def remember(network, images, **how):
        return fields_of(network, images, **how)

    class Oracle:
        def warm_up(self): ...

        def decode_batch(self, heatmaps, pafs, valid):
            return [People(k, k[..., 2].mean(-1)) for k in batches.pop(0).keypoints]

    original = pafpose.evaluation._batches_of_fields

    def spy(*args):
        for batch, fields in original(*args):
            batches.append(batch)
            yield batch, fields

    monkeypatch.setattr(pafpose.evaluation, "predict_fields", remember)
    monkeypatch.setattr(pafpose.evaluation, "_batches_of_fields", spy)
    monkeypatch.setattr("pafpose.api.build_decoder", lambda config: Oracle())
    metrics = run(checkpoint, tmp_path, f"evaluate.scales={scales}")
    assert metrics["AP"] == pytest.approx(1)
    found = json.loads((tmp_path / "detections.json").read_text())
    truth = json.loads((coco_root / "annotations" / "person_keypoints_val2017.json").read_text())
    expected = {a["image_id"]: a["keypoints"] for a in truth["annotations"]}
    for detection in found:
        np.testing.assert_allclose(detection["keypoints"], expected[detection["image_id"]], atol=2e-3)
