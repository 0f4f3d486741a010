"""ONNX files that are loaded, and those of others, which are refused in one sentence."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

import pafpose
from pafpose.errors import PafposeError
from pafpose.inference.checkpoint import load_network, read_weights
from pafpose.training.run import find_resumable


@pytest.fixture
def edited(onnx_file: Path, tmp_path: Path) -> Callable[..., Path]:
    """Writes the exported file with another value in its manifest, or with its graph changed."""

    def edit(key: str = "", value: Any = None, change: Callable[[Any], None] = lambda model: None) -> Path:
        model = onnx.load(onnx_file)
        manifest = json.loads(model.metadata_props[0].value)
        *groups, last = key.split(".")
        node = manifest
        for group in groups:
            node = node[group]
        node[last] = value
        model.metadata_props[0].value = json.dumps(manifest)
        change(model)
        onnx.save(model, tmp_path / "net.onnx")
        return tmp_path / "net.onnx"

    return edit


def foreign(path: Path) -> Path:
    """A network of somebody else."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def test_a_loaded_file_has_no_weights_of_torch(onnx_file: Path) -> None:
    trained = load_network(onnx_file)
    assert not list(trained.network.parameters()) and not trained.network.state_dict()
    assert (trained.stride, trained.device, trained.skeleton.name) == (4, torch.device("cpu"), "coco18")
    assert repr(pafpose.load(str(onnx_file)).skeleton) == repr(trained.skeleton)


def test_it_runs_with_as_many_threads_as_torch(onnx_file: Path) -> None:
    threads = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            network: Any = load_network(onnx_file).network
            assert network.session.get_session_options().intra_op_num_threads == count
    finally:
        torch.set_num_threads(threads)


def test_the_gpu_is_used_where_onnx_runtime_can(onnx_file: Path, monkeypatch: Any) -> None:
    asked: list[list[str]] = []
    real = onnxruntime.InferenceSession

    def session(content: bytes, options: Any, providers: list[str]) -> Any:
        asked.append(providers)
        return real(content, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr("onnxruntime.InferenceSession", session)
    load_network(onnx_file, device="cuda")  # this build has none
    monkeypatch.setattr(
        "onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    load_network(onnx_file, device="cuda")
    load_network(onnx_file, device="cpu")
    cpu = ["CPUExecutionProvider"]
    assert asked == [cpu, ["CUDAExecutionProvider", *cpu], cpu]


def test_one_picture_gives_the_same_fields_alone_and_in_a_batch(onnx_file: Path, rng: Any) -> None:
    images = torch.from_numpy(rng.integers(0, 256, (4, 3, 64, 96), dtype=np.uint8))
    trained = load_network(onnx_file)
    together, alone = trained.predict_fields(images), [trained.predict_fields(each[None]) for each in images]
    for field in range(2):
        torch.testing.assert_close(
            torch.cat([each[field] for each in alone]), together[field], atol=1e-6, rtol=0
        )


def test_pictures_of_another_size_are_refused(onnx_file: Path) -> None:
    network = load_network(onnx_file).network
    with pytest.raises(PafposeError, match="66 x 64 is not a multiple of the stride 4"):
        network(torch.zeros(1, 3, 66, 64))
    with pytest.raises(PafposeError, match=r"expected \(B, 3, H, W\)"):
        network(torch.zeros(3, 64, 64))


def test_files_of_others_are_refused(onnx_file: Path, tmp_path: Path) -> None:
    whole = onnx_file.read_bytes()
    for name, content, message in (
        ("foreign.onnx", foreign(tmp_path / "foreign.onnx").read_bytes(), "but not one of pafpose's"),
        ("empty.onnx", b"", "ONNX Runtime cannot read it"),
        ("text.onnx", b"hello", "ONNX Runtime cannot read it"),
        ("half.onnx", whole[: len(whole) // 2], "ONNX Runtime cannot read it"),
        ("end.onnx", whole[:-10], "ONNX Runtime cannot read it"),
    ):
        (tmp_path / name).write_bytes(content)
        for load in (load_network, pafpose.load):
            with pytest.raises(PafposeError, match=rf"{name}: .*{message}") as error:
                load(tmp_path / name)
            assert "\n" not in str(error.value)
    with pytest.raises(PafposeError, match=r"ckpt_path=.*nowhere\.onnx: no such file"):
        load_network(tmp_path / "nowhere.onnx")


def test_onnx_runtime_missing_is_told(onnx_file: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(PafposeError, match=r"model\.onnx: needs ONNX Runtime; .*'pafpose\[onnx\]'"):
        load_network(onnx_file)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("model_type", "bert", "not a network that pafpose exported"),
        ("format_version", 2, "written by a newer pafpose"),
        ("config", [], "its config is incomplete"),
        ("config.decode.samples", "many", "samples"),
        ("config.head.stride", "4", r"head\.stride='4' is no number of pixels"),
        ("config.head.stride", 8, "predicts fields of"),
        ("config.skeleton.keypoints", ["nose"], "net.onnx: "),
        ("config.paf.limbs", "tree", r"has the channels .* but its config describes"),
        ("config.heatmap.background", "none", r"has the channels .* but its config describes"),
        ("config.head._target_", "os.system", r"its head\._target_='os\.system'.*trust=True"),
        ("config.decode.samples", {"_target_": "os.system"}, r"decode\.samples\._target_.*trust=True"),
        ("config.paf.limbs", "${oc.env:SECRET}", "an interpolation"),
    ],
)
def test_a_manifest_is_not_trusted(edited: Any, key: str, value: Any, message: str) -> None:
    with pytest.raises(PafposeError, match=rf"net\.onnx: .*{message}|{message}") as error:
        load_network(edited(key, value)).predict_fields(torch.zeros(1, 3, 64, 64))
    assert "net.onnx" in str(error.value)


def test_paths_of_strangers_are_forgotten(edited: Any) -> None:
    assert load_network(edited("config.data.index_cache", "/etc")).config["data"]["index_cache"] == "auto"


def test_no_other_file_is_read(edited: Any, tmp_path: Path) -> None:
    """Weights in a file beside it, which the graph names by a path of its choice."""
    (tmp_path / "secret.bin").write_bytes(bytes(10**6))

    def point(where: str) -> Callable[[Any], None]:
        def change(model: Any) -> None:
            weights = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
            size = len(weights.raw_data)
            weights.ClearField("raw_data")
            weights.data_location = TensorProto.EXTERNAL
            for name, value in (("location", where), ("offset", "0"), ("length", str(size))):
                weights.external_data.add(key=name, value=value)

        return change

    for where in (str(tmp_path / "secret.bin"), "secret.bin", "../secret.bin"):
        with pytest.raises(PafposeError, match=r"net\.onnx: ONNX Runtime cannot read it"):
            load_network(edited("versions", {}, point(where)))


def test_training_does_not_start_from_it(onnx_file: Path) -> None:
    with pytest.raises(PafposeError, match=r"weights=.*model\.onnx: an ONNX file holds no weights"):
        read_weights(onnx_file, key="weights")
    with pytest.raises(PafposeError, match=r"ckpt_path=.*model\.onnx: an ONNX file holds no state"):
        find_resumable(str(onnx_file))
