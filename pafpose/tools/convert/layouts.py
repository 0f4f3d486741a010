"""Layouts of published weight files: layer names, and the order of keypoints and limbs in the channels.

Only names and orders are listed here. The weights themselves are neither included nor downloaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

Pair = tuple[str, str]


class Layer(NamedTuple):
    """One layer under both names, and the fields among its input and output channels, if any."""

    ours: str  # module in PoseNetwork, such as backbone.trunk.0
    theirs: str  # its name in the file, such as conv1_1
    gives: str = ""  # heatmaps or pafs, if the layer outputs them
    sees: tuple[str, ...] = ()  # input blocks in the file's order: features, heatmaps, pafs
    wants: tuple[str, ...] = ()  # the same blocks in our network's order


@dataclass(frozen=True)
class Layout:
    """One file format: the recipe of its network, and all of its layers.

    ``layers`` takes the number of refinement stages, for networks where it varies. ``mark`` is a layer that
    occurs in this format only. Heatmap channels are in the order of ``keypoints``, with the background last;
    PAF channels are in the order of ``limbs``, x before y.
    """

    title: str
    licence: str
    mark: str
    recipe: tuple[str, ...]
    keypoints: tuple[str, ...]
    limbs: tuple[Pair, ...]
    layers: Callable[[int], Iterator[Layer]]
    stages: str = ""  # prefix of the refinement stages, if their number varies


# conv1_1 to conv4_2: their indices in torchvision's VGG19
VGG = dict(
    zip(
        ("1_1", "1_2", "2_1", "2_2", "3_1", "3_2", "3_3", "3_4", "4_1", "4_2"),
        (0, 2, 5, 7, 10, 12, 14, 16, 19, 21),
        strict=True,
    )
)
OPENPOSE_18 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
OPENPOSE_25 = (
    *OPENPOSE_18[:8], "mid_hip", *OPENPOSE_18[8:],
    "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel",
)  # fmt: skip
LIMBS_18 = (
    ("neck", "right_hip"), ("right_hip", "right_knee"), ("right_knee", "right_ankle"),
    ("neck", "left_hip"), ("left_hip", "left_knee"), ("left_knee", "left_ankle"),
    ("neck", "right_shoulder"), ("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist"),
    ("right_shoulder", "right_ear"),
    ("neck", "left_shoulder"), ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"),
    ("left_shoulder", "left_ear"),
    ("neck", "nose"), ("nose", "right_eye"), ("nose", "left_eye"),
    ("right_eye", "right_ear"), ("left_eye", "left_ear"),
)  # fmt: skip
LIMBS_25 = (
    ("neck", "mid_hip"),
    ("right_hip", "right_knee"), ("right_knee", "right_ankle"), ("mid_hip", "right_hip"),
    ("mid_hip", "left_hip"), ("left_hip", "left_knee"), ("left_knee", "left_ankle"),
    ("neck", "right_shoulder"), ("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist"),
    ("right_shoulder", "right_ear"),
    ("neck", "left_shoulder"), ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"),
    ("left_shoulder", "left_ear"),
    ("neck", "nose"), ("nose", "right_eye"), ("nose", "left_eye"),
    ("right_eye", "right_ear"), ("left_eye", "left_ear"),
    ("left_ankle", "left_big_toe"), ("left_big_toe", "left_small_toe"), ("left_ankle", "left_heel"),
    ("right_ankle", "right_big_toe"), ("right_big_toe", "right_small_toe"), ("right_ankle", "right_heel"),
)  # fmt: skip


def _vgg() -> Iterator[Layer]:
    for name, number in VGG.items():
        yield Layer(f"backbone.trunk.{number}", f"conv{name}")
    yield Layer("backbone.added.0.0", "conv4_3_CPM")
    yield Layer("backbone.added.1.0", "conv4_4_CPM")


def _openpose_coco(_: int) -> Iterator[Layer]:
    yield from _vgg()
    order = ("pafs", "heatmaps", "features")
    for branch, field in (("L1", "pafs"), ("L2", "heatmaps")):
        for n in range(4):
            yield Layer(f"head.initial.{field}.{n}.0", f"conv5_{n + 1}_CPM_{branch}")
        yield Layer(f"head.initial.{field}.4", f"conv5_5_CPM_{branch}", gives=field)
        for stage in range(2, 7):
            ours, theirs = f"head.refinements.{stage - 2}.{field}", f"stage{stage}_{branch}"
            yield Layer(f"{ours}.0.0", f"Mconv1_{theirs}", sees=order, wants=order)
            for n in range(1, 6):
                yield Layer(f"{ours}.{n}.0", f"Mconv{n + 1}_{theirs}")
            yield Layer(f"{ours}.6", f"Mconv7_{theirs}", gives=field)


def _openpose_body25(_: int) -> Iterator[Layer]:
    yield from _vgg()
    yield Layer("backbone.trunk.22", "prelu4_2")
    yield Layer("backbone.added.0.1", "prelu4_3_CPM")
    yield Layer("backbone.added.1.1", "prelu4_4_CPM")
    alone, pafs = ("features",), ("features", "pafs")
    yield from _dense_stage("head.initial", "stage0_L2", "pafs", alone, alone)
    for n in range(3):
        yield from _dense_stage(f"head.refinements.pafs.{n}", f"stage{n + 1}_L2", "pafs", pafs, pafs)
    yield from _dense_stage("head.refinements.heatmaps.0", "stage0_L1", "heatmaps", pafs, pafs)
    sees, wants = ("features", "heatmaps", "pafs"), ("features", "pafs", "heatmaps")
    yield from _dense_stage("head.refinements.heatmaps.1", "stage1_L1", "heatmaps", sees, wants)


def _dense_stage(
    ours: str, theirs: str, gives: str, sees: tuple[str, ...], wants: tuple[str, ...]
) -> Iterator[Layer]:
    for block in range(5):
        for n in range(3):
            name, first = f"{block + 1}_{theirs}_{n}", block == n == 0
            layer = Layer(f"{ours}.{block}.layers.{n}.0", f"Mconv{name}")
            yield layer._replace(sees=sees, wants=wants) if first else layer
            yield Layer(f"{ours}.{block}.layers.{n}.1", f"Mprelu{name}")
    yield Layer(f"{ours}.5.0", f"Mconv6_{theirs}")
    yield Layer(f"{ours}.5.1", f"Mprelu6_{theirs}")
    yield Layer(f"{ours}.6", f"Mconv7_{theirs}", gives=gives)


def _lightweight(refinements: int) -> Iterator[Layer]:
    yield from (Layer(f"backbone.trunk.0.{n}", f"model.0.{n}") for n in (0, 1))
    yield from (
        Layer(f"backbone.trunk.{block}.{n}", f"model.{block}.{n}")
        for block in range(1, 12)
        for n in (0, 1, 3, 4)
    )
    yield from (Layer(f"head.reduce.{name}.0", f"cpm.{name}.0") for name in ("align", "conv"))
    for block in range(3):
        yield Layer(f"head.reduce.trunk.{block}.0.0", f"cpm.trunk.{block}.0")
        yield Layer(f"head.reduce.trunk.{block}.1.0", f"cpm.trunk.{block}.2")
        yield Layer(f"head.initial.trunk.{block}.0", f"initial_stage.trunk.{block}.0")
    yield from _light_outputs("head.initial", "initial_stage")
    order = ("features", "heatmaps", "pafs")
    for stage in range(refinements):
        ours, theirs = f"head.refinements.{stage}", f"refinement_stages.{stage}"
        for block in range(5):
            trunk, inputs = f"trunk.{block}", order if block == 0 else ()
            layer = Layer(f"{ours}.{trunk}.initial.0", f"{theirs}.{trunk}.initial.0")
            yield layer._replace(sees=inputs, wants=inputs)
            for n in (0, 1):
                for part in (0, 1):
                    name = f"{trunk}.trunk.{n}.{part}"
                    yield Layer(f"{ours}.{name}", f"{theirs}.{name}")
        yield from _light_outputs(ours, theirs)


def _light_outputs(ours: str, theirs: str) -> Iterator[Layer]:
    for field in ("heatmaps", "pafs"):
        yield Layer(f"{ours}.{field}.0.0", f"{theirs}.{field}.0.0")
        yield Layer(f"{ours}.{field}.1", f"{theirs}.{field}.1.0", gives=field)


NON_COMMERCIAL = "OpenPose's own: academic and non-profit research only, no commercial use"
CAFFE = ("backbone.weights=null", "backbone.normalisation=caffe", "evaluate.fit=height")
LAYOUTS: Mapping[str, Layout] = {
    "openpose_coco": Layout(
        title="OpenPose's COCO body (VGG19, six stages)",
        licence=NON_COMMERCIAL,
        mark="conv5_1_CPM_L1",
        recipe=("experiment=cao2017", "decode=openpose", *CAFFE),
        keypoints=OPENPOSE_18,
        limbs=LIMBS_18,
        layers=_openpose_coco,
    ),
    "openpose_body25": Layout(
        title="OpenPose's BODY_25 (four PAF stages, two heatmap stages)",
        licence=NON_COMMERCIAL,
        mark="Mconv1_stage0_L2_0",
        recipe=("experiment=openpose2019", "skeleton=body25", "decode=openpose", *CAFFE),
        keypoints=OPENPOSE_25,
        limbs=LIMBS_25,
        layers=_openpose_body25,
    ),
    "lightweight": Layout(
        title="Lightweight OpenPose (MobileNet v1)",
        licence="Apache-2.0",
        mark="cpm.align.0",
        recipe=("experiment=lightweight2018", "decode=lightweight", *CAFFE),
        keypoints=OPENPOSE_18,
        limbs=LIMBS_18,
        layers=_lightweight,
        stages="refinement_stages.",
    ),
}
