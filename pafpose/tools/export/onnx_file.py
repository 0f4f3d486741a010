"""Write a network as one ONNX file, which appears once ONNX Runtime computes with it what torch does."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim

from pafpose.errors import PafposeError
from pafpose.inference.checkpoint import TrainedNetwork, load_onnx
from pafpose.inference.manifest import INPUT, METADATA_KEY, OUTPUTS
from pafpose.models import PoseNetwork
from pafpose.runtime.files import write_whole
from pafpose.tools.export.check import check_fields, check_people
from pafpose.tools.export.manifest import write_manifest

log = logging.getLogger(__name__)

EXTRA = ("onnx", "onnxscript", "onnxruntime")
TRACED = (2, 17, 23)  # pictures, rows and columns of cells: odd, so that the graph pads whatever a size needs


class LastStage(nn.Module):
    """The fields of a network's last stage, in float32, as a tuple, which is what ONNX knows."""

    def __init__(self, network: PoseNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) float, 0..255 -> heatmaps and PAFs."""
        heatmaps, pafs = self.network(images)[-1]
        assert heatmaps is not None and pafs is not None
        return heatmaps, pafs


def write_onnx(trained: TrainedNetwork, path: Path, *, fp16: bool, photos: Sequence[np.ndarray]) -> Path:
    """Write the file and check it on ``photos``; return its path. ``fp16``: compute in half precision.

    Raises ``PafposeError``, and leaves nothing, if the network cannot be exported or the file differs from
    it.
    """
    model = to_onnx(trained, fp16=fp16)
    with write_whole(path) as file:
        file.write(model.SerializeToString())
        file.flush()
        written = load_onnx(Path(file.name), trust=True)
        check_fields(trained, written, photos, fp16=fp16)
        check_people(trained, written, photos, fp16=fp16)
    return path


def to_onnx(trained: TrainedNetwork, *, fp16: bool) -> Any:
    """Return the network as an ``onnx.ModelProto`` with sizes left open and the manifest inside."""
    require_packages()
    import onnx

    assert isinstance(trained.network, PoseNetwork)
    _refuse_padding_of_tensorflow(trained.network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch and onnxscript warn about themselves
        model = _trace(LastStage(trained.network).eval(), trained.stride)
        model = _in_half_precision(model) if fp16 else model
    _name_sizes(model)
    manifest = write_manifest(trained, precision="float16" if fp16 else "float32")
    onnx.helper.set_model_props(model, {METADATA_KEY: manifest})
    onnx.checker.check_model(model)
    return model


def _refuse_padding_of_tensorflow(network: nn.Module) -> None:
    """Raise for padding that depends on the size of the picture: torch takes ten minutes and more."""
    from timm.layers import Conv2dSame

    if any(isinstance(module, Conv2dSame) for module in network.modules()):
        raise PafposeError(
            "format=onnx: this network pads as TensorFlow does, by the size of the picture; torch cannot "
            "export that with open sizes. Use format=folder, or a backbone whose name has no tf_"
        )


def require_packages() -> None:
    """Raise ``PafposeError`` if a package that exporting needs is missing."""
    missing = [name for name in EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise PafposeError(
            f"format=onnx: needs {', '.join(missing)}; python -m pip install 'pafpose[export]'"
        )


def _trace(network: nn.Module, stride: int) -> Any:
    """Trace a network on a small picture; sizes stay open, but are multiples of the stride."""
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    batch, rows, columns = TRACED
    sizes = {0: Dim("batch"), 2: stride * Dim("rows"), 3: stride * Dim("columns")}
    images = torch.full((batch, 3, stride * rows, stride * columns), 128.0)
    try:
        with torch.no_grad():
            program = torch.onnx.export(
                network,
                (images,),
                dynamo=True,
                dynamic_shapes=(sizes,),
                input_names=[INPUT],
                output_names=list(OUTPUTS),
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # of many kinds, with pages of text
        reason = str(error.__cause__ or error).strip().splitlines()[0][:200]
        raise PafposeError(
            f"format=onnx: torch cannot export this network ({type(error).__name__}: {reason}); "
            "format=folder works with every network"
        ) from error
    assert program is not None
    ClearMetadataAndDocStringPass()(program.model)  # paths of the source code on this machine
    return program.model_proto


def _in_half_precision(model: Any) -> Any:
    """Return a model that computes in float16; input and outputs stay float32."""
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    converted = OnnxModel(convert_float_to_float16(model, keep_io_types=True))
    converted.topological_sort()  # the casts were appended
    return converted.model


def _name_sizes(model: Any) -> None:
    """Name the open sizes of the outputs as those of the input are named: batch, rows, columns."""
    for output in model.graph.output:
        for axis, name in ((0, "batch"), (2, "rows"), (3, "columns")):
            output.type.tensor_type.shape.dim[axis].dim_param = name
