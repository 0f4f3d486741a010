"""Public weight files with random values, and their networks in plain torch functions by the files' names.

Written from the published layer lists, independently of the package: nothing here imports pafpose.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = dict[str, Tensor]

VGG = {
    "conv1_1": (3, 64), "conv1_2": (64, 64), "conv2_1": (64, 128), "conv2_2": (128, 128),
    "conv3_1": (128, 256), "conv3_2": (256, 256), "conv3_3": (256, 256), "conv3_4": (256, 256),
    "conv4_1": (256, 512), "conv4_2": (512, 512), "conv4_3_CPM": (512, 256), "conv4_4_CPM": (256, 128),
}  # fmt: skip

# OpenPose's numbering, and the ends and channels of its limbs (poseParameters: PART_PAIRS and MAP_INDEX)
COCO_PARTS = [
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
]  # fmt: skip
COCO_PAIRS = [1, 2, 1, 5, 2, 3, 3, 4, 5, 6, 6, 7, 1, 8, 8, 9, 9, 10, 1, 11, 11, 12, 12, 13, 1, 0, 0, 14, 14,
              16, 0, 15, 15, 17, 2, 16, 5, 17]  # fmt: skip
COCO_MAP = [12, 13, 20, 21, 14, 15, 16, 17, 22, 23, 24, 25, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 28, 29, 30,
            31, 34, 35, 32, 33, 36, 37, 18, 19, 26, 27]  # fmt: skip
BODY25_PARTS = [
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee",
    "left_ankle", "right_eye", "left_eye", "right_ear", "left_ear", "left_big_toe", "left_small_toe",
    "left_heel", "right_big_toe", "right_small_toe", "right_heel",
]  # fmt: skip
BODY25_PAIRS = [1, 8, 1, 2, 1, 5, 2, 3, 3, 4, 5, 6, 6, 7, 8, 9, 9, 10, 10, 11, 8, 12, 12, 13, 13, 14, 1, 0, 0,
                15, 15, 17, 0, 16, 16, 18, 2, 17, 5, 18, 14, 19, 19, 20, 14, 21, 11, 22, 22, 23, 11,
                24]  # fmt: skip
BODY25_MAP = [0, 1, 14, 15, 22, 23, 16, 17, 18, 19, 24, 25, 26, 27, 6, 7, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13,
              30, 31, 32, 33, 36, 37, 34, 35, 38, 39, 20, 21, 28, 29, *range(40, 52)]  # fmt: skip


def conv(weights: Weights, name: str, inputs: int, outputs: int, size: int, *, bias: bool = True) -> None:
    """Random values of a trained layer's size, so that fields neither vanish nor explode."""
    spread = (2 / (inputs * size * size)) ** 0.5
    weights[f"{name}.weight"] = torch.randn(outputs, inputs, size, size) * spread
    if bias:
        weights[f"{name}.bias"] = torch.randn(outputs) * 0.1


def norm(weights: Weights, name: str, channels: int) -> None:
    weights[f"{name}.weight"] = torch.rand(channels) + 0.5
    weights[f"{name}.bias"] = torch.randn(channels) * 0.1
    weights[f"{name}.running_mean"] = torch.randn(channels) * 0.1
    weights[f"{name}.running_var"] = torch.rand(channels) + 0.5


def caffe_pixels(rgb: Tensor) -> Tensor:
    """(x - 128) / 256 in the order blue, green, red."""
    return torch.stack([rgb[:, 2], rgb[:, 1], rgb[:, 0]], 1).float() / 256 - 0.5


def openpose_coco_file() -> Weights:
    w: Weights = {}
    for name, (inputs, outputs) in VGG.items():
        conv(w, name, inputs, outputs, 3)
    for branch, fields in (("L1", 38), ("L2", 19)):
        for n in (1, 2, 3):
            conv(w, f"conv5_{n}_CPM_{branch}", 128, 128, 3)
        conv(w, f"conv5_4_CPM_{branch}", 128, 512, 1)
        conv(w, f"conv5_5_CPM_{branch}", 512, fields, 1)
        for stage in range(2, 7):
            for n in range(1, 6):
                conv(w, f"Mconv{n}_stage{stage}_{branch}", 185 if n == 1 else 128, 128, 7)
            conv(w, f"Mconv6_stage{stage}_{branch}", 128, 128, 1)
            conv(w, f"Mconv7_stage{stage}_{branch}", 128, fields, 1)
    return w


def apply(w: Weights, name: str, x: Tensor, act: str = "relu") -> Tensor:
    kernel = w[f"{name}.weight"]
    x = F.conv2d(x, kernel, w[f"{name}.bias"], padding=kernel.shape[-1] // 2)
    if act == "prelu":
        return F.prelu(x, w[f"{name.replace('conv', 'prelu')}.weight"])
    return F.relu(x) if act == "relu" else x


def vgg(w: Weights, rgb: Tensor, *, prelu: bool) -> Tensor:
    x = caffe_pixels(rgb)
    for name in VGG:
        x = apply(w, name, x, "prelu" if prelu and name >= "conv4_2" else "relu")
        if name in ("conv1_2", "conv2_2", "conv3_4"):
            x = F.max_pool2d(x, 2)
    return x


def openpose_coco(w: Weights, rgb: Tensor) -> list[tuple[Tensor, Tensor]]:
    """(heatmaps, pafs) of the six stages."""
    seen = vgg(w, rgb, prelu=False)
    stages = []
    x = seen
    for stage in range(1, 7):
        outputs = {}
        for branch in ("L1", "L2"):
            names = (
                [f"conv5_{n}_CPM_{branch}" for n in range(1, 6)]
                if stage == 1
                else [f"Mconv{n}_stage{stage}_{branch}" for n in range(1, 8)]
            )
            y = x
            for name in names:
                y = apply(w, name, y, "none" if name == names[-1] else "relu")
            outputs[branch] = y
        stages.append((outputs["L2"], outputs["L1"]))
        x = torch.cat([outputs["L1"], outputs["L2"], seen], 1)
    return stages


BODY25_STAGES = (  # name, channels in, width of blocks, hidden, channels out
    ("stage0_L2", 128, 96, 256, 52),
    ("stage1_L2", 180, 128, 512, 52),
    ("stage2_L2", 180, 128, 512, 52),
    ("stage3_L2", 180, 128, 512, 52),
    ("stage0_L1", 180, 96, 256, 26),
    ("stage1_L1", 206, 128, 512, 26),
)


def openpose_body25_file() -> Weights:
    w: Weights = {}
    for name, (inputs, outputs) in VGG.items():
        conv(w, name, inputs, outputs, 3)
    for name in ("4_2", "4_3_CPM", "4_4_CPM"):
        w[f"prelu{name}.weight"] = torch.rand(w[f"conv{name}.bias"].shape) * 0.5
    for stage, inputs, width, hidden, outputs in BODY25_STAGES:
        for block in range(1, 6):
            for n in range(3):
                before = width if n else inputs if block == 1 else 3 * width
                conv(w, f"Mconv{block}_{stage}_{n}", before, width, 3)
                w[f"Mprelu{block}_{stage}_{n}.weight"] = torch.rand(width) * 0.5
        conv(w, f"Mconv6_{stage}", 3 * width, hidden, 1)
        w[f"Mprelu6_{stage}.weight"] = torch.rand(hidden) * 0.5
        conv(w, f"Mconv7_{stage}", hidden, outputs, 1)
    return w


def openpose_body25(w: Weights, rgb: Tensor) -> list[Tensor]:
    """PAFs of four stages, then heatmaps of two."""
    seen = vgg(w, rgb, prelu=True)

    def run(stage: str, x: Tensor) -> Tensor:
        for block in range(1, 6):
            parts = []
            for n in range(3):
                x = apply(w, f"Mconv{block}_{stage}_{n}", x, "prelu")
                parts.append(x)
            x = torch.cat(parts, 1)
        return apply(w, f"Mconv7_{stage}", apply(w, f"Mconv6_{stage}", x, "prelu"), "none")

    pafs = [run("stage0_L2", seen)]
    for n in (1, 2, 3):
        pafs.append(run(f"stage{n}_L2", torch.cat([seen, pafs[-1]], 1)))
    first = run("stage0_L1", torch.cat([seen, pafs[-1]], 1))
    return [*pafs, first, run("stage1_L1", torch.cat([seen, first, pafs[-1]], 1))]


MOBILENET = ((64, 1, 1), (128, 2, 1), (128, 1, 1), (256, 2, 1), (256, 1, 1), (512, 1, 1), (512, 1, 2),
             (512, 1, 1), (512, 1, 1), (512, 1, 1), (512, 1, 1))  # fmt: skip


def lightweight_file(stages: int) -> Weights:
    w: Weights = {}
    conv(w, "model.0.0", 3, 32, 3, bias=False)
    norm(w, "model.0.1", 32)
    before = 32
    for n, (channels, _, _) in enumerate(MOBILENET, start=1):
        conv(w, f"model.{n}.0", 1, before, 3, bias=False)
        norm(w, f"model.{n}.1", before)
        conv(w, f"model.{n}.3", before, channels, 1, bias=False)
        norm(w, f"model.{n}.4", channels)
        before = channels
    conv(w, "cpm.align.0", 512, 128, 1)
    for n in range(3):
        conv(w, f"cpm.trunk.{n}.0", 1, 128, 3, bias=False)
        conv(w, f"cpm.trunk.{n}.2", 128, 128, 1, bias=False)
    conv(w, "cpm.conv.0", 128, 128, 3)
    for n in range(3):
        conv(w, f"initial_stage.trunk.{n}.0", 128, 128, 3)
    _light_outputs(w, "initial_stage", 512)
    for s in range(stages):
        for n in range(5):
            name = f"refinement_stages.{s}.trunk.{n}"
            conv(w, f"{name}.initial.0", 185 if n == 0 else 128, 128, 1)
            for m in (0, 1):
                conv(w, f"{name}.trunk.{m}.0", 128, 128, 3)
                norm(w, f"{name}.trunk.{m}.1", 128)
        _light_outputs(w, f"refinement_stages.{s}", 128)
    return w


def _light_outputs(w: Weights, stage: str, hidden: int) -> None:
    for field, channels in (("heatmaps", 19), ("pafs", 38)):
        conv(w, f"{stage}.{field}.0.0", 128, hidden, 1)
        conv(w, f"{stage}.{field}.1.0", hidden, channels, 1)


def lightweight(w: Weights, rgb: Tensor, stages: int) -> list[tuple[Tensor, Tensor]]:
    """(heatmaps, pafs) of the initial stage and the refining ones."""

    def bn(x: Tensor, name: str) -> Tensor:
        mean, var = w[f"{name}.running_mean"], w[f"{name}.running_var"]
        return F.relu(F.batch_norm(x, mean, var, w[f"{name}.weight"], w[f"{name}.bias"]))

    def raw(x: Tensor, name: str, step: int = 1, spread: int = 1) -> Tensor:
        kernel, bias = w[f"{name}.weight"], w.get(f"{name}.bias")
        groups = x.shape[1] // kernel.shape[1]
        return F.conv2d(x, kernel, bias, step, spread * (kernel.shape[-1] // 2), spread, groups)

    x = bn(raw(caffe_pixels(rgb), "model.0.0", 2), "model.0.1")
    for n, (_, step, spread) in enumerate(MOBILENET, start=1):
        x = bn(raw(x, f"model.{n}.0", step, spread), f"model.{n}.1")
        x = bn(raw(x, f"model.{n}.3"), f"model.{n}.4")
    x = short = F.relu(raw(x, "cpm.align.0"))
    for n in range(3):
        x = F.elu(raw(F.elu(raw(x, f"cpm.trunk.{n}.0")), f"cpm.trunk.{n}.2"))
    seen = F.relu(raw(short + x, "cpm.conv.0"))

    def outputs(x: Tensor, stage: str) -> tuple[Tensor, Tensor]:
        two = [raw(F.relu(raw(x, f"{stage}.{f}.0.0")), f"{stage}.{f}.1.0") for f in ("heatmaps", "pafs")]
        return two[0], two[1]

    x = seen
    for n in range(3):
        x = F.relu(raw(x, f"initial_stage.trunk.{n}.0"))
    result = [outputs(x, "initial_stage")]
    for s in range(stages):
        x = torch.cat([seen, *result[-1]], 1)
        for n in range(5):
            name = f"refinement_stages.{s}.trunk.{n}"
            short = F.relu(raw(x, f"{name}.initial.0"))
            x = bn(raw(short, f"{name}.trunk.0.0"), f"{name}.trunk.0.1")
            x = short + bn(raw(x, f"{name}.trunk.1.0", 1, 2), f"{name}.trunk.1.1")
        result.append(outputs(x, f"refinement_stages.{s}"))
    return result
