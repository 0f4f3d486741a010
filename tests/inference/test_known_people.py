"""From photos to people and back, with a network that is right in every view: AP 1, whatever the settings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pafpose import factory
from pafpose.data.photos.images import load_image
from pafpose.inference.evaluate import evaluate_saved, evaluate_trained
from pafpose.inference.predictor import Predictor
from pafpose.inference.saved_fields import SavedFields
from tests.known_people import PEOPLE, known_config, known_network, write_photos


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"))


VIEWS = {
    (): [(256, 256)],
    ("evaluate.fit=height",): [(256, 512)],
    ("evaluate.flip=true",): [(256, 256), (256, 256)],
    ("evaluate.scales=[0.5,1,2]",): [(128, 128), (256, 256), (512, 512)],
    ("evaluate.flip=true", "evaluate.scales=[1.25]"): [(320, 320), (320, 320)],
}


@pytest.mark.parametrize("choices", VIEWS)
def test_evaluation_is_right_in_every_view(photos: Path, choices: tuple[str, ...]) -> None:
    """The data module was built for other views, as that of a training run is."""
    config = known_config(photos, *choices)
    trained = known_network(config)
    result = evaluate_trained(trained, factory.build_datamodule(known_config(photos, *choices[:1])))
    assert result.metrics["AP"] == pytest.approx(1)
    assert (result.metrics["photos"], result.metrics["people"]) == (3, 3)
    assert [detection["image_id"] for detection in result.detections] == [101, 101, 102]
    assert [shape[2:] for shape, _ in trained.network.inputs] == VIEWS[choices]


def test_nobody_is_found_in_padding(photos: Path) -> None:
    config = known_config(photos)
    result = evaluate_trained(known_network(config, ghosts=True), factory.build_datamodule(config))
    assert result.metrics["AP"] == pytest.approx(1) and result.metrics["people"] == 3


@pytest.mark.parametrize(("precision", "dtype"), [("32-true", None), ("bf16-mixed", torch.bfloat16)])
def test_the_network_runs_in_the_precision_of_its_config(
    photos: Path, precision: str, dtype: torch.dtype | None
) -> None:
    trained = known_network(known_config(photos, f"precision={precision}"))
    Predictor(trained)(photos / "val2017" / f"{101:012d}.png")
    assert [seen for _, seen in trained.network.inputs] == [dtype]


def test_a_skipped_photo_is_not_missed_and_its_substitute_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_photos(tmp_path)
    (root / "val2017" / f"{102:012d}.png").unlink()
    config = known_config(root, "data.on_error=skip")
    data = factory.build_datamodule(config)
    reports: list[str] = []
    monkeypatch.setattr(data, "report_skipped", reports.append)
    result = evaluate_trained(known_network(config), data)
    assert reports == ["val"]
    assert (result.metrics["photos"], result.metrics["people"]) == (2, 2)
    assert result.metrics["AP"] == pytest.approx(1)
    assert [image["id"] for image in result.ground_truth["images"]] == [101, 103]


@pytest.mark.parametrize(("limit", "recall"), [(2, 1), (1, 2 / 3)])
def test_only_the_best_people_of_a_photo_count(
    photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, limit: int, recall: float
) -> None:
    """Two of the three people are in one photo."""
    config = known_config(photos, f"evaluate.max_detections={limit}")
    trained = known_network(config)
    with caplog.at_level("INFO"):
        direct = evaluate_trained(trained, factory.build_datamodule(config), save_to=tmp_path)
        again = evaluate_saved(SavedFields(tmp_path), trained.decoder, max_detections=limit)
    assert direct.metrics["people"] == 3  # all are in detections.json
    for result in (direct, again):
        assert result.metrics["AR"] == pytest.approx(recall) and result.max_detections == limit
    line = "evaluate.max_detections=1: more people were found in 1 of 3 photos; only the best 1 count"
    assert caplog.text.count(line) == (2 if limit == 1 else 0)


def test_evaluation_asks_nothing_of_other_ranks(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rank 0 evaluates the best checkpoint while the others wait for its metrics."""
    monkeypatch.setattr("torch.distributed.all_gather_object", lambda *_: pytest.fail("asked other ranks"))
    config = known_config(photos)
    torch.distributed.init_process_group("gloo", f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        result = evaluate_trained(known_network(config), factory.build_datamodule(config))
    finally:
        torch.distributed.destroy_process_group()
    assert result.metrics["photos"] == 3


def test_saved_fields_hold_all_that_decoding_needs(photos: Path, tmp_path: Path) -> None:
    config = known_config(photos)
    trained = known_network(config, ghosts=True)
    direct = evaluate_trained(trained, factory.build_datamodule(config), save_to=tmp_path)
    saved = SavedFields(tmp_path)
    assert saved.config == config
    assert saved.read(101).pafs.shape == (38, 16, 32)  # 400 x 200 px at 256 px, without the padding
    again = evaluate_saved(saved, trained.decoder)
    assert again.detections == direct.detections
    assert again.ground_truth == {key: direct.ground_truth[key] for key in again.ground_truth}
    assert {"images", "annotations", "categories"} <= set(again.ground_truth)
    assert {k: v for k, v in again.metrics.items() if "seconds" not in k} == {
        k: v for k, v in direct.metrics.items() if "seconds" not in k
    }
    assert direct.metrics["AP"] == pytest.approx(1)
    for metrics in (direct.metrics, again.metrics):
        assert metrics["seconds_decode"] > 0 and metrics["seconds_metrics"] > 0


@pytest.mark.parametrize("choices", [*VIEWS, ("evaluate.input_size=200", "head.stride=4")])
def test_the_predictor_finds_people_in_photo_pixels(photos: Path, choices: tuple[str, ...]) -> None:
    trained = known_network(known_config(photos, *choices), ghosts=True)
    predictor = Predictor(trained)
    for image_id, truth in PEOPLE.items():
        path = photos / "val2017" / f"{image_id:012d}.png"
        found, again = predictor(path), predictor(load_image(path))
        assert torch.equal(found.keypoints, again.keypoints)
        assert len(found.scores) == len(truth)
        assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
        expected = sorted(truth, key=lambda xy: xy[0, 0])
        xy = sorted(found.keypoints[:, :17, :2].numpy(), key=lambda xy: xy[0, 0])
        for ours, theirs in zip(xy, expected, strict=True):
            assert np.abs(ours - theirs).mean() < 1  # px of the photo


def test_the_predictor_fits_photos_as_evaluation_does(photos: Path) -> None:
    trained = known_network(known_config(photos, "evaluate.fit=height", "evaluate.scales=[0.5,1.5]"))
    Predictor(trained)(photos / "val2017" / f"{101:012d}.png")
    assert [shape[2:] for shape, _ in trained.network.inputs] == [(128, 256), (384, 768)]
