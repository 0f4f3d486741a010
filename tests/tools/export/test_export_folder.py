"""format=folder: Hugging Face's layout, whole or absent, and read back as the network that was exported."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from safetensors import safe_open

import pafpose
from pafpose.config import load_config
from pafpose.errors import PafposeError
from pafpose.inference.checkpoint import load_network, read_weights
from pafpose.tools.evaluate import evaluate
from pafpose.tools.export.export import export
from pafpose.tools.predict.predict import predict
from tests.tools.export import exporting


def run_export(checkpoint: Path, folder: Path, *words: str) -> Path:
    return exporting.run_export(checkpoint, folder, "format=folder", *words)


@pytest.fixture(scope="module")
def exported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_export(checkpoint, tmp_path_factory.mktemp("export"))


def test_three_files_and_nothing_else(exported: Path) -> None:
    assert exported.name == "model"
    assert {path.name for path in exported.iterdir()} == {"model.safetensors", "config.json", "README.md"}
    assert [path.name for path in exported.parent.iterdir()] == ["model"]


def test_the_weights_are_those_of_the_checkpoint(checkpoint: Path, exported: Path) -> None:
    stored = torch.load(checkpoint / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    with safe_open(exported / "model.safetensors", framework="pt") as file:
        assert {f"network.{name}" for name in file.keys()} == set(stored)  # noqa: SIM118  (it is no dict)
        assert all(torch.equal(file.get_tensor(name), stored[f"network.{name}"]) for name in file.keys())  # noqa: SIM118


def test_config_json_tells_other_programs_how_to_use_the_network(exported: Path, coco18) -> None:
    content = json.loads((exported / "config.json").read_text(), parse_constant=pytest.fail)
    assert (content["model_type"], content["stride"], content["format_version"]) == ("pafpose", 4, 1)
    assert content["versions"] == {"pafpose": pafpose.__version__, "torch": torch.__version__}
    assert content["outputs"]["heatmaps"] == [*coco18.keypoints, "background"]
    assert content["outputs"]["pafs"][:2] == ["neck-right_hip.x", "neck-right_hip.y"]
    assert content["limbs"][0] == ["neck", "right_hip"] and len(content["limbs"]) == 19
    assert content["normalisation"]["mean"] == [123.675, 116.28, 103.53]
    assert content["normalisation"]["std"] == [58.395, 57.12, 57.375]
    assert content["config"]["decode"]["samples"] == 10 and content["config"]["evaluate"]["input_size"] == 96


def test_the_folder_finds_the_same_people(checkpoint: Path, exported: Path, rng: Any) -> None:
    photo = rng.integers(0, 256, (70, 90, 3), dtype=np.uint8)
    ours, theirs = (load_network(path) for path in (checkpoint, exported))
    own = ("ckpt_path", "overwrite", "paths", "trust", "weights", "weights_part")  # of the command
    assert {k: v for k, v in theirs.config.items() if k not in own} == {
        k: v for k, v in ours.config.items() if k not in own
    }
    images = torch.from_numpy(photo[:64, :88]).permute(2, 0, 1)[None]
    for a, b in zip(ours.predict_fields(images), theirs.predict_fields(images), strict=True):
        assert torch.equal(a, b)
    ours, theirs = (pafpose.load(path)(photo) for path in (checkpoint, exported))
    assert torch.equal(ours.keypoints, theirs.keypoints) and torch.equal(ours.scores, theirs.scores)


def test_evaluate_and_predict_take_the_folder(exported: Path, coco_root: Path, tmp_path: Path) -> None:
    words = [f"ckpt_path={exported}", f"paths.output_dir={tmp_path / 'a'}"]
    metrics = evaluate(load_config(words, name="evaluate"), words)
    assert metrics["photos"] == 2
    words = [f"ckpt_path={exported}", f"source={coco_root / 'val2017'}", f"paths.output_dir={tmp_path / 'b'}"]
    assert predict(load_config(words, name="predict"), words).frames == 2


def test_what_is_typed_is_exported(checkpoint: Path, tmp_path: Path) -> None:
    words = ["decode.samples=7", "evaluate.flip=true", "paf.scale_max=inf"]
    trained = load_network(run_export(checkpoint, tmp_path, *words))
    assert trained.decoder.settings.samples == 7 and trained.settings.flip
    assert math.isinf(trained.config["paf"]["scale_max"])  # for which json has no word


def test_the_card_has_the_accuracy_of_the_run(checkpoint: Path, exported: Path, tmp_path: Path) -> None:
    card = (exported / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: pafpose\n") and "Not measured" in card
    assert "18, 3)" in card and "coco18: nose" in card and "TINY" not in card
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    content = (checkpoint / "checkpoints" / "best.ckpt").read_bytes()
    for name in ("best", "last"):
        (run / "checkpoints" / f"{name}.ckpt").write_bytes(content)
    (run / "metrics.json").write_text(json.dumps({"AP": 0.5, "AP50": 0.75, "APL": None, "photos": 300.0}))
    for path, known in (
        (run, True),
        (run / "checkpoints" / "best.ckpt", True),
        (run / "checkpoints" / "last.ckpt", False),  # metrics.json is about the best one
    ):
        card = (run_export(path, tmp_path / str(path.name)) / "README.md").read_text()
        assert ("| 0.500 | 0.750 |" in card and "300 validation photos" in card and "| – |" in card) == known


def test_results_are_not_overwritten(checkpoint: Path, tmp_path: Path) -> None:
    folder = run_export(checkpoint, tmp_path, "decode.samples=7")
    with pytest.raises(PafposeError, match=r"model: is there already.*overwrite=true"):
        run_export(checkpoint, tmp_path, "decode.samples=8")
    assert load_network(folder).decoder.settings.samples == 7
    run_export(checkpoint, tmp_path, "decode.samples=8", "overwrite=true")
    assert load_network(folder).decoder.settings.samples == 8
    (tmp_path / "other" / "model").mkdir(parents=True)
    (tmp_path / "other" / "model" / "mine.txt").write_text("mine")
    with pytest.raises(PafposeError, match=r"model: is there already"):
        run_export(checkpoint, tmp_path / "other", "overwrite=true")
    assert (tmp_path / "other" / "model" / "mine.txt").is_file()


def test_a_failure_leaves_nothing(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pafpose.tools.export.folder.write_card", lambda *_: "x" * 10)
    monkeypatch.setattr("pafpose.tools.export.folder.load_network", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run_export(checkpoint, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which only Linux has")
def test_a_full_disk_is_told_and_leaves_nothing(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pafpose.runtime.full_disk import explain_full_disk

    real = Path.mkdir

    def mkdir(self: Path, *args: Any, **how: Any) -> None:
        real(self, *args, **how)
        if self.name == "model.part":
            (self / "model.safetensors.part").symlink_to("/dev/full")

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(PafposeError, match=r"disk is full"), explain_full_disk(tmp_path):
        run_export(checkpoint, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_other_formats_and_missing_networks_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(PafposeError, match=r"format=tflite: choose one of .*folder"):
        run_export(checkpoint, tmp_path, "format=tflite")
    for word in ("fp16=true", "source=photos"):
        with pytest.raises(PafposeError, match="apply to format=onnx only"):
            run_export(checkpoint, tmp_path, word)
    with pytest.raises(PafposeError, match="ckpt_path is missing"):
        words = [f"paths.output_dir={tmp_path}"]
        export(load_config(words, name="export"), words)


def copy(exported: Path, folder: Path, **files: str | bytes | None) -> Path:
    """The exported folder with some files changed, or left out."""
    folder.mkdir()
    content: dict[str, Any] = {path.stem: path.read_bytes() for path in exported.iterdir()} | files
    for path in exported.iterdir():
        value = content[path.stem]
        if value is not None:
            (folder / path.name).write_bytes(value.encode() if isinstance(value, str) else value)
    return folder


def changed(exported: Path, key: str, value: Any) -> str:
    """config.json with another value."""
    content = OmegaConf.create(json.loads((exported / "config.json").read_text()))
    OmegaConf.update(content, key, value, merge=False, force_add=True)
    return json.dumps(OmegaConf.to_container(content))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("model_type", "bert", r"config\.json: not a network that pafpose exported"),
        ("format_version", 2, r"config\.json: was written by a newer pafpose \(format_version 2"),
        ("format_version", "x", r"config\.json: its format_version='x' is none that pafpose wrote"),
        ("format_version", 0, r"config\.json: its format_version='0' is none that pafpose wrote"),
        ("config", "text", r"config\.json: its config is incomplete"),
        ("config.decode", None, r"config\.json: its config is incomplete"),
        ("config.evaluate.scales", "x", r"model: "),
        ("config.decode.samples", "many", r"model: "),
        ("config.head._target_", "os.system", r"its head\._target_='os\.system'.*trust=True"),
        ("config.backbone.widths", {"_target_": "os.system"}, r"backbone\.widths\._target_.*trust=True"),
        ("config.backbone.width", 33, r"model: its (weights do not fit|config describes no network)"),
    ],
)
def test_bad_configs_are_one_sentence(
    exported: Path, tmp_path: Path, key: str, value: Any, message: str
) -> None:
    folder = copy(exported, tmp_path / "model", config=changed(exported, key, value))
    with pytest.raises(PafposeError, match=message) as error:
        load_network(folder)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize("key", ["precision", "channels_last", "backbone"])
def test_a_config_that_lacks_a_key_is_one_sentence(exported: Path, tmp_path: Path, key: str) -> None:
    content = json.loads((exported / "config.json").read_text())
    del content["config"][key]
    with pytest.raises(PafposeError, match=r"model.*: its config (is|describes no|is damaged)"):
        load_network(copy(exported, tmp_path / "model", config=json.dumps(content)))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"config": None}, r"config\.json: missing"),
        ({"config": "{"}, r"config\.json: damaged"),
        ({"config": "[" * 100_000}, r"config\.json: damaged"),
        ({"config": '{"a":' * 900 + "1" + "}" * 900}, r"config\.json: (damaged|not a network)"),
        ({"config": b"\xff\xfe"}, r"config\.json: cannot be read"),
        ({"config": "[1]"}, r"config\.json: not a network that pafpose exported"),
        ({"config": " " * 50_000_000}, r"config\.json: 50,000,000 bytes are too many"),
        ({"model": b""}, r"model\.safetensors: damaged or incomplete"),
        ({"model": b"\xff" * 100}, r"model\.safetensors: damaged or incomplete"),
    ],
)
def test_damaged_folders_are_one_sentence(
    exported: Path, tmp_path: Path, files: dict[str, Any], message: str
) -> None:
    with pytest.raises(PafposeError, match=message):
        load_network(copy(exported, tmp_path / "model", **files))


def test_a_truncated_file_is_one_sentence(exported: Path, tmp_path: Path) -> None:
    whole = (exported / "model.safetensors").read_bytes()
    for n, size in enumerate((4, 100, len(whole) // 2, len(whole) - 1)):
        with pytest.raises(PafposeError, match=r"model\.safetensors: damaged or incomplete"):
            read_weights(copy(exported, tmp_path / str(n), model=whole[:size]))


def test_paths_of_strangers_are_forgotten(exported: Path, tmp_path: Path) -> None:
    folder = copy(exported, tmp_path / "model", config=changed(exported, "config.data.index_cache", "/etc"))
    assert load_network(folder).config["data"]["index_cache"] == "auto"
