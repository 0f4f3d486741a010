"""Networks in ONNX files that pafpose exported, run by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pafpose.errors import PafposeError
from pafpose.fields import Fields
from pafpose.inference.manifest import INPUT, METADATA_KEY, OUTPUTS, read_manifest
from pafpose.models.network import check_images


class OnnxNetwork(nn.Module):
    """Predicts the fields of the last stage as ``PoseNetwork`` does, without parameters of its own."""

    def __init__(self, session: Any, *, stride: int, source: Path) -> None:
        super().__init__()
        self.session, self.stride, self.source = session, stride, source

    def forward(self, images: Tensor) -> list[Fields]:
        """Predict from (B, 3, H, W) RGB, uint8 or float 0..255; H and W are multiples of the stride."""
        check_images(images, self.stride)
        pixels = np.ascontiguousarray(images.detach().cpu().numpy(), np.float32)
        try:
            maps = self.session.run(list(OUTPUTS), {INPUT: pixels})
        except Exception as error:  # ONNX Runtime has its own kinds
            raise PafposeError(
                f"{self.source}: ONNX Runtime cannot run it on a picture of {tuple(images.shape)} ({error})"
            ) from error
        cells = tuple(side // self.stride for side in images.shape[2:])
        if any(each.shape[2:] != cells for each in maps):
            shapes = [each.shape[2:] for each in maps]
            raise PafposeError(
                f"{self.source}: predicts fields of {shapes} cells, not {cells}; export it again"
            )
        return [Fields(*(torch.from_numpy(each) for each in maps))]


def read_onnx(
    path: Path, *, device: str | torch.device = "cpu", key: str = "ckpt_path"
) -> tuple[dict[str, Any], OnnxNetwork]:
    """Return the config and the network in an ONNX file of pafpose; the config is not trusted.

    It runs on the GPU if ``device`` is one and ONNX Runtime was installed for GPUs, else on the CPU with as
    many threads as torch uses. Fields are on the CPU. Raises ``PafposeError`` for files of other programs.
    """
    if not path.is_file():
        raise PafposeError(f"{key}={path}: no such file; pafpose export makes one")
    session = _open(path, torch.device(device))
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise PafposeError(
            f"{path}: an ONNX file, but not one of pafpose's, which say what their channels mean; make one "
            "with pafpose export"
        )
    config = read_manifest(text, path)
    stride = config["head"].get("stride")
    if not isinstance(stride, int) or stride < 1:
        raise PafposeError(f"{path}: its head.stride={stride!r} is no number of pixels; export it again")
    return config, OnnxNetwork(session, stride=stride, source=path)


def check_channels(network: OnnxNetwork, *, num_heatmaps: int, num_pafs: int) -> None:
    """Raise ``PafposeError`` unless the file has the input and the outputs that its config describes."""
    session = network.session
    found = {each.name: each.shape[1:2] for each in (*session.get_inputs(), *session.get_outputs())}
    expected = {INPUT: [3], OUTPUTS[0]: [num_heatmaps], OUTPUTS[1]: [num_pafs]}
    if found != expected:
        raise PafposeError(
            f"{network.source}: has the channels {found}, but its config describes {expected}; export it "
            "again"
        )


def _open(path: Path, device: torch.device) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise PafposeError(
            f"{path}: needs ONNX Runtime; python -m pip install 'pafpose[onnx]' (with a GPU: onnxruntime-gpu)"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors alone
    gpu = ["CUDAExecutionProvider"] if device.type == "cuda" else []
    known = onnxruntime.get_available_providers()
    providers = [name for name in (*gpu, "CPUExecutionProvider") if name in known]
    try:  # from bytes, so that no other file that the model names is read
        return onnxruntime.InferenceSession(path.read_bytes(), options, providers=providers)
    except Exception as error:  # ONNX Runtime has its own kinds
        reason = str(error).strip().splitlines()[0][:200]
        raise PafposeError(
            f"{path}: ONNX Runtime cannot read it ({reason}); it is damaged, incomplete, or no ONNX file; "
            "copy it again, or export the network again"
        ) from error
