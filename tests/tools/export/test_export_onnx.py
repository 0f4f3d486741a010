"""format=onnx: one file, equal to torch at any size and in any batch, or an error and no file."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import pafpose
from pafpose import factory
from pafpose.config import conf_dir, load_config, plain
from pafpose.data.photos.images import load_image
from pafpose.errors import PafposeError
from pafpose.fields import Fields, Poses
from pafpose.inference.checkpoint import TrainedNetwork, load_network
from pafpose.models import PoseNetwork
from pafpose.runtime.full_disk import explain_full_disk
from pafpose.tools.evaluate import evaluate
from pafpose.tools.export import onnx_file as exporter
from pafpose.tools.export.check import check_fields, check_people, count_same, draw_photos
from pafpose.tools.predict.predict import predict
from tests.known_people import known_config, known_network, write_photos
from tests.tools.export.exporting import run_export

SIZES = ((64, 96), (36, 52), (128, 32))  # of the stride 4; the second is odd at strides 8, 16 and 32


@pytest.fixture
def noise(rng: Any) -> Tensor:
    return torch.from_numpy(rng.integers(0, 256, (3, 3, 160, 160), dtype=np.uint8))


@pytest.fixture
def traced(onnx_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let exports take the graph from the file, because tracing takes seconds."""
    monkeypatch.setattr(exporter, "to_onnx", lambda *_, **__: onnx.load(onnx_file))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("batch", [1, 3])
def test_the_fields_are_torchs_at_every_size(checkpoint, onnx_file, noise, size, batch) -> None:
    images = noise[:batch, :, : size[0], : size[1]]
    ours, theirs = (load_network(path).predict_fields(images) for path in (checkpoint, onnx_file))
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape and b.dtype == torch.float32
        torch.testing.assert_close(b, a, atol=1e-5, rtol=0)
    assert float(ours.heatmaps.std()) > 0.01  # something to compare


def test_other_programs_find_all_they_need_in_the_file(onnx_file: Path, coco18) -> None:
    session = onnxruntime.InferenceSession(onnx_file, providers=["CPUExecutionProvider"])
    (pixels,), (heatmaps, pafs) = session.get_inputs(), session.get_outputs()
    assert (pixels.name, pixels.type, pixels.shape) == (
        "images", "tensor(float)", ["batch", 3, "4*rows", "4*columns"],
    )  # fmt: skip
    assert (heatmaps.name, heatmaps.shape) == ("heatmaps", ["batch", 19, "rows", "columns"])
    assert (pafs.name, pafs.shape) == ("pafs", ["batch", 38, "rows", "columns"])
    told = json.loads(session.get_modelmeta().custom_metadata_map["pafpose"])
    assert told["keypoints"] == list(coco18.keypoints) and len(told["limbs"]) == 19
    assert (told["stride"], told["precision"], told["normalisation"]["bgr"]) == (4, "float32", False)
    assert told["config"]["decode"]["samples"] == 10 and told["config"]["evaluate"]["input_size"] == 96
    assert [path.name for path in onnx_file.parent.iterdir()] == ["model.onnx"]  # no file beside it
    onnx.checker.check_model(onnx.load(onnx_file), full_check=True)
    assert b"/pafpose/" not in onnx_file.read_bytes()  # where the code lies is nobody's business


def test_load_evaluate_and_predict_take_the_file(onnx_file, checkpoint, coco_root, tmp_path) -> None:
    photo = sorted((coco_root / "val2017").iterdir())[0]
    ours, theirs = (pafpose.load(path)(photo) for path in (checkpoint, onnx_file))
    assert len(ours.scores) == len(theirs.scores)
    torch.testing.assert_close(theirs.keypoints, ours.keypoints, atol=0.05, rtol=0)
    results = []
    for path, name in ((checkpoint, "a"), (onnx_file, "b")):
        words = [f"ckpt_path={path}", f"paths.output_dir={tmp_path / name}", "evaluate.flip=true"]
        results.append(evaluate(load_config(words, name="evaluate"), words))
    assert results[0]["photos"] == 2 and results[0]["AP"] == pytest.approx(results[1]["AP"], abs=1e-3)
    words = [f"ckpt_path={onnx_file}", f"source={photo}", f"paths.output_dir={tmp_path / 'c'}"]
    assert predict(load_config(words, name="predict"), words).frames == 1


def test_half_precision_has_its_own_tolerance(checkpoint, onnx_file, noise, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(exporter, "_trace", lambda *_: onnx.load(onnx_file))  # saves seconds
    file = run_export(checkpoint, tmp_path, "fp16=true")
    assert file.stat().st_size < 0.7 * onnx_file.stat().st_size
    ours, theirs = load_network(checkpoint), load_network(file)
    images = noise[:2, :, :64, :96]
    for a, b in zip(ours.predict_fields(images), theirs.predict_fields(images), strict=True):
        assert b.dtype == torch.float32
        assert 1e-5 < float((a - b).abs().max() / a.abs().max()) < 1e-2
    told = json.loads({p.key: p.value for p in onnx.load(file).metadata_props}["pafpose"])
    assert told["precision"] == "float16"
    onnx.checker.check_model(onnx.load(file), full_check=True)


class Shifted(nn.Module):
    """A network whose fields are another's, changed."""

    def __init__(self, network: nn.Module, change: Any) -> None:
        super().__init__()
        self.network, self.change = network, change

    def forward(self, images: Tensor) -> list[Fields]:
        return [Fields(*(self.change(field) for field in self.network(images)[-1]))]


def shift(field: Tensor, by: float) -> Tensor:
    """A field whose error is ``by``, in the unit in which errors are judged."""
    return field + by * max(1.0, float(field.abs().max()))


@pytest.mark.parametrize(
    ("change", "fp16", "fits"),
    [
        (lambda f: shift(f, 5e-5), False, True),
        (lambda f: shift(f, 2e-4), False, False),
        (lambda f: f * torch.nan, False, False),
        (lambda f: shift(f, 5e-3), True, True),
        (lambda f: shift(f, 2e-2), True, False),
        (lambda f: shift(f, 2e-4 * (f.shape[-1] == 13)), False, False),  # at the second size alone
        (lambda f: shift(f, 2e-4 * (len(f) == 2)), False, False),  # in the second batch size alone
    ],
)
def test_fields_that_differ_are_noticed(
    checkpoint: Path, coco18, change: Any, fp16: bool, fits: bool
) -> None:
    trained = load_network(checkpoint)
    written = TrainedNetwork(Shifted(trained.network, change), trained.config)
    photos = draw_photos(coco18)
    if fits:
        check_fields(trained, written, photos, fp16=fp16)
        return
    with pytest.raises(PafposeError, match=r"fields differ from torch's by") as error:
        check_fields(trained, written, photos, fp16=fp16)
    assert ("fp16=true" in str(error.value)) == fp16


def test_people_who_differ_are_noticed(tmp_path: Path, caplog: Any) -> None:
    """The network knows everybody; its double sees the second photo's person elsewhere."""
    root = write_photos(tmp_path)
    config = known_config(root)
    pictures = [load_image(path) for path in sorted((root / "val2017").iterdir())]
    with caplog.at_level("INFO"):
        check_people(known_network(config), known_network(config), pictures, fp16=False)
    assert "3 of 3 in 3 photos" in caplog.text
    moved = known_network(config, change=lambda maps, image_id: maps.roll(1, -1) if image_id == 102 else maps)
    with pytest.raises(PafposeError, match=r"only 2 of 4 people in 3 photos.*report this bug"):
        check_people(known_network(config), moved, pictures, fp16=False)
    with pytest.raises(PafposeError, match=r"only 2 of 4 people in 3 photos.*leave fp16=true out"):
        check_people(known_network(config), moved, pictures, fp16=True)


def people(*rows: tuple[float, float, float]) -> Poses:
    """People at x, with the confidence of their second keypoint, and a score."""
    keypoints = torch.tensor([[[x, 5.0, 0.5], [x, 9.0, c]] for x, c, _ in rows]).reshape(-1, 2, 3)
    return Poses(keypoints, torch.tensor([score for _, _, score in rows]))


@pytest.mark.parametrize(
    ("known", "found", "exact", "half"),
    [
        ([], [], (0, 0), (0, 0)),
        ([(10, 1, 0.9)], [(10, 1, 0.9)], (1, 1), (1, 1)),
        ([(10, 1, 0.9), (20, 1, 0.8)], [(20, 1, 0.8), (10, 1, 0.9)], (2, 2), (2, 2)),  # order is no matter
        ([(10, 1, 0.9)], [(10.5, 1, 0.9)], (0, 2), (1, 1)),
        ([(10, 1, 0.9)], [(12, 1, 0.9)], (0, 2), (0, 2)),
        ([(10, 1, 0.9)], [(10, 0, 0.9)], (0, 2), (0, 2)),  # a keypoint is missing
        ([(10, 1, 0.9)], [(10, 1, 0.895)], (0, 2), (1, 1)),
        ([(10, 1, 0.9), (50, 1, 0.05)], [(10, 1, 0.9)], (1, 2), (1, 1)),  # faint people come and go
        ([(10, 1, 0.9)], [(10, 1, 0.9), (50, 1, 0.5)], (1, 2), (1, 2)),
    ],
)
def test_what_counts_as_the_same_people(known: Any, found: Any, exact: Any, half: Any) -> None:
    assert count_same(people(*known), people(*found), fp16=False) == exact
    assert count_same(people(*known), people(*found), fp16=True) == half


def test_nothing_is_left_when_the_check_fails(checkpoint, onnx_file, tmp_path, monkeypatch) -> None:
    """The file of another network: same shapes, other weights."""
    model = onnx.load(onnx_file)
    weights = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    weights.raw_data = bytes(len(weights.raw_data))
    monkeypatch.setattr(exporter, "to_onnx", lambda *_, **__: model)
    with pytest.raises(PafposeError, match="fields differ from torch's"):
        run_export(checkpoint, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which only Linux has")
@pytest.mark.usefixtures("traced")
def test_a_full_disk_is_told_and_leaves_nothing(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "model.onnx.part").symlink_to("/dev/full")
    with pytest.raises(PafposeError, match=r"disk is full"), explain_full_disk(tmp_path):
        run_export(checkpoint, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("traced")
def test_results_are_not_overwritten(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_text("mine")
    with pytest.raises(PafposeError, match=r"model\.onnx: is there already.*overwrite=true"):
        run_export(checkpoint, tmp_path)
    assert (tmp_path / "model.onnx").read_text() == "mine"
    assert load_network(run_export(checkpoint, tmp_path, "overwrite=true")).stride == 4


@pytest.mark.parametrize("missing", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_told_at_once(checkpoint, tmp_path, monkeypatch, missing: str) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == missing else real(name))
    monkeypatch.setattr("pafpose.tools.export.export.load_checkpoint", pytest.fail)
    with pytest.raises(PafposeError, match=rf"needs {missing}; python -m pip install 'pafpose\[export\]'"):
        run_export(checkpoint, tmp_path)


class Undecided(nn.Module):
    """A head whose branches depend on values, which no graph can express."""

    def __init__(self) -> None:
        super().__init__()
        self.heatmaps, self.pafs, self.stride = nn.Conv2d(4, 19, 1), nn.Conv2d(4, 38, 1), 8

    def forward(self, x: Tensor) -> list[Fields]:
        return [Fields(self.heatmaps(x), self.pafs(x if float(x.sum()) > 0 else 2 * x))]


def test_a_network_that_cannot_be_traced_is_one_sentence(checkpoint: Path) -> None:
    backbone = nn.Conv2d(3, 4, 8, stride=8)
    backbone.stride = 8  # type: ignore[assignment]
    backbone.forward = lambda x: nn.functional.conv2d(x, backbone.weight, stride=8)  # type: ignore[method-assign]
    trained = TrainedNetwork(PoseNetwork(backbone, Undecided()), load_network(checkpoint).config)
    with pytest.raises(PafposeError, match=r"torch cannot export this network .*format=folder") as error:
        exporter.to_onnx(trained, fp16=False)
    assert "\n" not in str(error.value)


def test_an_onnx_file_is_not_exported_again(onnx_file: Path, tmp_path: Path) -> None:
    with pytest.raises(PafposeError, match="is an ONNX file already"):
        run_export(onnx_file, tmp_path)


@pytest.mark.usefixtures("traced")
def test_photos_of_ones_own_are_checked(checkpoint, coco_root, tmp_path, caplog) -> None:
    with caplog.at_level("INFO"):
        run_export(checkpoint, tmp_path, f"source={coco_root / 'val2017'}")
    assert "in 2 photos are found as by torch" in caplog.text


def test_drawn_photos_have_three_shapes_and_whom_the_skeleton_is_for(coco18) -> None:
    assert [photo.shape for photo in draw_photos(coco18, size=64)] == [(64, 64, 3), (64, 48, 3), (48, 64, 3)]
    animal = pafpose.build_skeleton(load_config(["skeleton=animal17", "paf.limbs=ap10k"]))
    assert len(draw_photos(animal, size=64)) == 3


def test_padding_of_tensorflow_is_refused_at_once() -> None:
    cfg = load_config(
        ["backbone=timm", "backbone.name=tf_efficientnet_lite0", "backbone.weights=null", "head=single"]
    )
    trained = TrainedNetwork(pafpose.build_network(cfg), plain(cfg))
    with pytest.raises(PafposeError, match=r"as TensorFlow does.*format=folder"):
        exporter.to_onnx(trained, fp16=False)


EXPERIMENTS = sorted(path.stem for path in (conf_dir() / "experiment").glob("*.yaml"))
RECIPES = sorted(path.stem for path in (conf_dir() / "recipe").glob("*.yaml") if path.stem != "photos")
BACKBONES = sorted(path.stem for path in (conf_dir() / "backbone").glob("*.yaml"))
HEADS = sorted(path.stem for path in (conf_dir() / "head").glob("*.yaml"))
NETWORKS = [
    *((f"experiment={name}",) for name in EXPERIMENTS),
    *((f"recipe={name}", "backbone=tiny") for name in RECIPES),
    *((f"backbone={name}", "head=single") for name in BACKBONES),
    *((f"head={name}", "backbone=tiny") for name in HEADS),
    ("backbone=timm", "backbone.name=convnext_atto", "head=single", "head.stride=4"),
    ("head=single", "head.stride=4", "backbone=tiny", "heatmap.background=none", "skeleton=toy5"),
]


@pytest.mark.slow
@pytest.mark.parametrize("words", NETWORKS, ids=" ".join)
def test_every_network_of_conf_exports(words: tuple[str, ...], tmp_path: Path) -> None:
    config = plain(load_config([*words, "backbone.weights=null", "evaluate.input_size=96"]))
    torch.manual_seed(0)
    network = factory.build_network(config)
    assert isinstance(network, PoseNetwork)
    with torch.no_grad():  # BatchNorm with statistics of its own, outputs that show something
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.normal_(0, 0.1)
                layer.running_var.uniform_(0.5, 2)
    trained = TrainedNetwork(network.eval(), config)
    photos = draw_photos(trained.skeleton, size=96)
    file = exporter.write_onnx(trained, tmp_path / "model.onnx", fp16=False, photos=photos)
    assert load_network(file).stride == trained.stride
