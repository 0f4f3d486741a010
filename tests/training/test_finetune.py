"""Runs that start from a trained network: what is taken, by which names, and what is refused."""

from __future__ import annotations

import copy
import functools
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

import pafpose
from pafpose.config import plain
from pafpose.errors import PafposeError
from pafpose.inference.checkpoint import TrainedNetwork, load_network
from pafpose.models.backbones.small import SmallBackbone
from pafpose.models.heads.single import SingleHead
from pafpose.tools.export.export import export
from pafpose.training.finetune import build_from_weights, log_origins, note_unfinished
from pafpose.training.module import PoseModule
from tests.conftest import ROOT
from tests.training.test_run import TINY as RUN
from tests.training.test_run import run, tiny_config

TINY = ["backbone=tiny", "head=single"]
HEADS = {
    "cmu2017": (["head=cmu2017", "head.stages=2"], ["head.stages=3"]),
    "lightweight2018": (["head=lightweight2018", "head.channels=16"], ["head.refinements=2"]),
    "openpose2019": (
        ["head=openpose2019", "head.paf_stages=2", "head.heatmap_stages=2"],
        ["head.paf_stages=3", "head.heatmap_stages=1"],
    ),
    "single": (["head=single", "head.stages=2"], ["head.stages=3"]),
}
OTHER_ORDER = {  # the keypoints of toy5 in another order, and one more
    "name": "other", "keypoints": ["tail", "b", "a", "d", "c", "e"], "pairs": [], "sigmas": [0.05] * 6,
    "limb_sets": {"own": [["b", "a"], ["b", "c"], ["c", "d"], ["e", "d"], ["e", "tail"]]},
    "default_limbs": "own",
}  # fmt: skip
TOY = OTHER_ORDER | {
    "name": "toy", "keypoints": ["a", "b", "c", "d", "e"], "sigmas": [0.05] * 5,
    "limb_sets": {"own": [["a", "b"], ["b", "c"], ["c", "d"], ["d", "e"]]},
}  # fmt: skip


@functools.cache
def composed(*overrides: str) -> Any:
    return pafpose.load_config([*TINY, *overrides])


def compose(*overrides: str, skeleton: dict[str, Any] | None = None, weights: Path | None = None) -> Any:
    cfg = copy.deepcopy(composed(*overrides))
    cfg.weights = weights and str(weights)
    if skeleton:
        cfg.skeleton, cfg.paf.limbs = skeleton, skeleton["default_limbs"]
    return cfg


def save(cfg: Any, path: Path, **parameters: Any) -> Path:
    """A checkpoint with random weights and statistics of the network that a config describes."""
    torch.manual_seed(1)
    module = PoseModule(plain(cfg))
    state = module.state_dict()
    state |= {name: _random(name, value) for name, value in state.items() if ".normalise." not in name}
    torch.save({"state_dict": state, "hyper_parameters": dict(module.hparams) | parameters}, path)
    return path


def _random(name: str, value: Tensor) -> Tensor:
    if not value.is_floating_point():
        return value + 7
    if value.ndim == 1:
        return torch.rand(value.shape) + 0.5 if name.endswith("running_var") else torch.randn(value.shape)
    return torch.randn(value.shape) * value[0].numel() ** -0.5


def start(cfg: Any) -> tuple[PoseModule, dict[str, str]]:
    torch.manual_seed(2)
    module, rows = build_from_weights(cfg)
    return module.eval(), dict(rows)


@pytest.mark.parametrize("head", HEADS)
def test_the_same_network_is_taken_to_the_last_bit(head: str, tmp_path: Path) -> None:
    path = save(compose(*HEADS[head][0]), tmp_path / "old.ckpt")
    module, rows = start(compose(*HEADS[head][0], weights=path))
    old = load_network(path).network.state_dict()
    assert old.keys() == module.network.state_dict().keys()
    for name, value in module.network.state_dict().items():
        assert torch.equal(value, old[name]), name
    assert not any("fresh" in text for text in rows.values())
    assert rows["keypoints"] == "18 of 18 matched by name" and rows["limbs"] == "19 of 19 matched by name"


def fields_of(module: Any, images: Tensor) -> list[Any]:
    with torch.no_grad():
        return module(images)


@pytest.mark.parametrize("head", HEADS)
def test_channels_follow_the_names_of_keypoints_and_limbs(head: str, tmp_path: Path) -> None:
    """The same keypoints in another order, limbs reversed: the same fields, in the other order and sign."""
    path = save(compose(*HEADS[head][0], skeleton=TOY), tmp_path / "old.ckpt")
    new = {
        **TOY, "keypoints": ["c", "a", "e", "b", "d"],
        "limb_sets": {"own": [["c", "b"], ["d", "e"], ["a", "b"], ["d", "c"]]},
    }  # fmt: skip
    module, rows = start(compose(*HEADS[head][0], weights=path, skeleton=new))
    assert rows["limbs"] == "4 of 4 matched by name (2 reversed)"
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    found, expected = fields_of(module.network, images), fields_of(load_network(path).network, images)
    assert len(found) == len(expected)
    sign = torch.tensor([-1, -1, 1, 1, 1, 1, -1, -1]).view(1, 8, 1, 1)
    for ours, theirs in zip(found, expected, strict=True):
        if theirs.heatmaps is not None:
            heatmaps = theirs.heatmaps[:, [2, 0, 4, 1, 3, 5]]
            torch.testing.assert_close(ours.heatmaps, heatmaps, rtol=1e-3, atol=1e-4)
        if theirs.pafs is not None:
            pafs = theirs.pafs[:, [2, 3, 6, 7, 0, 1, 4, 5]] * sign
            torch.testing.assert_close(ours.pafs, pafs, rtol=1e-3, atol=1e-4)


def test_what_has_no_counterpart_starts_fresh(tmp_path: Path) -> None:
    path = save(compose(skeleton=TOY), tmp_path / "old.ckpt")
    module, rows = start(compose(weights=path, skeleton=OTHER_ORDER))
    old, new = load_network(path).network.state_dict(), module.network.state_dict()
    weight, before = new["head.initial.output.weight"], old["head.initial.output.weight"]
    assert torch.equal(weight[[1, 2, 3, 4, 5, 6]], before[[1, 0, 3, 2, 4, 5]])  # b a d c e, background
    assert torch.equal(weight[[7, 8]], -before[[6, 7]])  # b-a was a-b
    assert torch.equal(weight[[9, 10, 11, 12]], before[[8, 9, 10, 11]])
    assert 0 < weight[[0, 15, 16]].abs().max() < 0.02 < before.abs().min(1).values.max()  # tail, e-tail
    reading, known = new["head.refinements.0.merge.0.weight"], old["head.refinements.0.merge.0.weight"]
    assert torch.equal(reading[:, :16], known[:, :16])  # features
    assert torch.equal(reading[:, 16 + 7 : 16 + 9], -known[:, 16 + 6 : 16 + 8])
    assert not any(torch.equal(reading[:, 16], column) for column in known.unbind(1))  # the tail
    assert rows["keypoints"] == "5 of 6 matched by name; fresh: tail"
    assert rows["limbs"] == "4 of 5 matched by name (2 reversed); fresh: e-tail"


@pytest.mark.parametrize(("old", "new"), [("max", "none"), ("none", "max"), ("sum", "max")])
def test_a_background_comes_from_a_background(old: str, new: str, tmp_path: Path) -> None:
    path = save(compose(f"heatmap.background={old}", skeleton=TOY), tmp_path / "old.ckpt")
    module, _ = start(compose(f"heatmap.background={new}", weights=path, skeleton=TOY))
    bias = module.network.state_dict()["head.initial.output.bias"]
    before = load_network(path).network.state_dict()["head.initial.output.bias"]
    assert torch.equal(bias[:5], before[:5]) and torch.equal(bias[-8:], before[-8:])
    if new == "max":
        assert bias[5] == (before[5] if old == "sum" else 1.0)  # 1: an empty scene


@pytest.mark.parametrize("head", HEADS)
def test_stages_are_taken_as_far_as_both_have_them(head: str, tmp_path: Path) -> None:
    few, more = HEADS[head]
    for first, second in ((few, [*few, *more]), ([*few, *more], few)):
        path = save(compose(*first), tmp_path / "old.ckpt")
        module, rows = start(compose(*second, weights=path))
        old = load_network(path).network.state_dict()
        both = [name for name in module.network.state_dict() if name in old]
        assert all(torch.equal(module.network.state_dict()[name], old[name]) for name in both)
        assert len(both) == sum(int(text.split()[0]) for text in rows.values() if "tensors taken" in text) + 2
        fresh = [name for name, text in rows.items() if text.startswith("fresh")]
        assert bool(fresh) == bool(set(module.network.state_dict()) - set(old))


def test_another_stride_takes_the_layers_that_fit(tmp_path: Path) -> None:
    path = save(compose("head.stride=8"), tmp_path / "old.ckpt")
    module, rows = start(compose("head.stride=4", weights=path))
    old, new = load_network(path).network.state_dict(), module.network.state_dict()
    same = [name for name in new if name.startswith(("backbone.trunk.", "head.initial."))]
    assert all(torch.equal(new[name], old[name]) for name in same if name in old)
    assert rows["head.initial"] == "16 of 16 tensors taken"
    assert module.network.stride == 4


def test_a_norm_comes_with_its_convolution(tmp_path: Path) -> None:
    """One stage of the trunk is wider: the norm after its convolution fits, but belongs to another one."""
    path = save(compose("backbone.depths=[1,1,0]"), tmp_path / "old.ckpt")
    module, _ = start(compose("backbone.depths=[1,1,0]", "backbone.widths=[8,24,16]", weights=path))
    old, new = load_network(path).network.state_dict(), module.network.state_dict()
    fitting = [name for name in new if name in old and new[name].shape == old[name].shape]
    taken = {name for name in fitting if torch.equal(new[name], old[name])}
    assert {"backbone.trunk.0.0.0.weight", "backbone.trunk.0.0.1.running_mean"} <= taken
    assert "backbone.trunk.2.0.1.running_mean" in set(fitting) - taken


@pytest.mark.parametrize(("old", "new"), [(1, 2), (2, 1)])
def test_cells_in_a_feature_cell_get_the_mean_of_those_before(old: int, new: int, tmp_path: Path) -> None:
    """The backbone stays at stride 8; each of its cells becomes four, or four become one."""
    cells = {1: ("head.stride=8", "head.shuffle=1"), 2: ("head.stride=4", "head.shuffle=2")}
    path = save(compose(*cells[old]), tmp_path / "old.ckpt")
    module, _ = start(compose(*cells[new], weights=path))
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    found, expected = fields_of(module.network, images), fields_of(load_network(path).network, images)
    for field in ("heatmaps", "pafs"):
        ours, theirs = getattr(found[0], field), getattr(expected[0], field)
        if new == 2:
            theirs = theirs.repeat_interleave(2, 2).repeat_interleave(2, 3)
        else:
            theirs = torch.nn.functional.avg_pool2d(theirs, 2)
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    if new == 2:  # four equal cells are read as the one was
        last, before = found[1].heatmaps[:, :, ::2, ::2], expected[1].heatmaps
        torch.testing.assert_close(last, before, rtol=1e-3, atol=1e-4)


def test_the_backbone_alone_can_be_taken(tmp_path: Path) -> None:
    path = save(compose("skeleton=hand21"), tmp_path / "old.ckpt")
    with pytest.raises(
        PafposeError, match=r"hand21 shares no keypoint's name with coco18.*weights_part=back"
    ):
        build_from_weights(compose(weights=path))
    module, rows = start(compose("weights_part=backbone", weights=path))
    old, new = load_network(path).network.state_dict(), module.network.state_dict()
    assert all(torch.equal(new[name], old[name]) for name in new if name.startswith("backbone."))
    assert rows["head.initial"].startswith("fresh") and "keypoints" not in rows
    with pytest.raises(PafposeError, match=r"weights_part=head: choose one of all, backbone"):
        build_from_weights(compose("weights_part=head", weights=path))


class OwnHead(SingleHead):
    """A head with the names and shapes of another."""


def test_another_head_starts_fresh_as_a_whole(tmp_path: Path) -> None:
    """Layers of two heads that happen to have the same name and shape do not mean the same."""
    path = save(compose(), tmp_path / "old.ckpt")
    cfg = compose(weights=path)
    cfg.head._target_ = "tests.training.test_finetune.OwnHead"
    _, rows = start(cfg)
    assert all(text.startswith("fresh") for name, text in rows.items() if name.startswith("head."))


class SilentHead(torch.nn.Module):
    """A head that does not say where its channels of fields are."""

    def __init__(self, in_channels: int, num_heatmaps: int, num_pafs: int, **options: Any) -> None:
        super().__init__()
        self.inner = SingleHead(in_channels, num_heatmaps, num_pafs, **options)
        self.stride = self.inner.stride

    def forward(self, features: Tensor) -> list[Any]:
        return self.inner(features)


def test_a_head_that_names_no_channels_is_taken_for_the_same_skeleton_alone(tmp_path: Path) -> None:
    shuffled = TOY | {"keypoints": ["c", "a", "e", "b", "d"]}
    for skeleton, count in ((TOY, "38 of 38 tensors taken"), (shuffled, "fresh (38 tensors)")):
        cfg = compose(skeleton=TOY)
        cfg.head._target_ = "tests.training.test_finetune.SilentHead"
        cfg.weights, cfg.trust = str(save(cfg, tmp_path / "old.ckpt")), True
        cfg.skeleton = skeleton
        assert start(cfg)[1]["head.inner"] == count


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["backbone=dense"],
            r"old\.ckpt: nothing fits, because its backbone is SmallBackbone and that of this",
        ),
        (["backbone.normalisation=caffe"], r"add backbone\.normalisation=imagenet"),
        (
            ["backbone.widths=[12,20,20]", "backbone.out_channels=20"],
            r"none of its layers has the name and shape of one in this run's network",
        ),
    ],
)
def test_networks_without_use_are_refused(overrides: list[str], message: str, tmp_path: Path) -> None:
    path = save(compose(), tmp_path / "old.ckpt")
    with pytest.raises(PafposeError, match=message):
        build_from_weights(compose(*overrides, "head=cmu2017", weights=path))


def test_backbone_weights_are_not_read_where_others_replace_them(tmp_path: Path) -> None:
    vgg = ["backbone=vgg19", "backbone.weights=/nowhere.pth"]
    path = save(compose(*vgg, "backbone.weights=null"), tmp_path / "old.ckpt")
    cfg = compose(*vgg, weights=path)
    module, _ = start(cfg)
    assert cfg.backbone.weights is None and module.config["backbone"]["weights"] is None
    cfg = compose(*vgg, "backbone.batch_norm=true", weights=path)
    with pytest.raises(PafposeError, match=r"backbone\.weights=/nowhere\.pth: no such file"):
        start(cfg)  # the checkpoint has no BatchNorm


def test_layers_that_are_never_trained_must_come_from_somewhere(tmp_path: Path) -> None:
    timm = ["backbone=timm", "backbone.name=test_efficientnet", "backbone.weights=null", "backbone.freeze=8"]
    path = save(compose(*timm), tmp_path / "old.ckpt")
    start(compose(*timm, weights=path))
    with pytest.raises(PafposeError, match=r"nothing for the frozen layer backbone\.trunk\.conv_stem"):
        start(compose(*timm, "backbone.fold=true", weights=path))


class Foreign(SmallBackbone):
    """A backbone from outside pafpose."""


def test_trust_is_needed_for_code_from_outside(tmp_path: Path) -> None:
    cfg = compose()
    cfg.backbone._target_ = "tests.training.test_finetune.Foreign"
    path = save(cfg, tmp_path / "old.ckpt")
    cfg.weights = str(path)
    with pytest.raises(PafposeError, match=r"tests\.training\.test_finetune\.Foreign.*trust=true"):
        build_from_weights(cfg)
    cfg.trust = True
    assert type(build_from_weights(cfg)[0].network.backbone).__name__ == "Foreign"


def test_missing_weights_name_their_key() -> None:
    with pytest.raises(PafposeError, match=r"^weights=nowhere: no such checkpoint"):
        build_from_weights(compose(weights=Path("nowhere")))


def test_the_table_is_logged_in_columns(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        log_origins([("weights", "old.ckpt"), ("head.initial", "2 of 2 tensors taken")])
        log_origins([])
    assert caplog.messages == ["weights       old.ckpt", "head.initial  2 of 2 tensors taken"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("before"), "callbacks.panels.num_photos=0")[1]


def test_a_new_run_starts_from_the_averaged_weights_at_step_0(
    trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No step is trained, so the first checkpoint holds what was taken."""
    with caplog.at_level(logging.INFO):
        _, out = run(tmp_path, f"weights={trained}", "optimizer.lr=0", "callbacks=none", "scheduler=none")
    before = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    after = torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)
    assert "current_model_state" in before and after["global_step"] == 3
    moving = ("running_mean", "running_var", "num_batches_tracked")
    for name, value in before["state_dict"].items():
        if not name.endswith(moving):
            assert torch.equal(after["state_dict"][name], value), name
    assert "18 of 18 matched by name" in caplog.text
    assert yaml.safe_load((out / "config.yaml").read_text())["weights"] == str(trained)


def test_both_keys_at_once_are_refused_unless_the_run_is_its_own(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(PafposeError, match=r"ckpt_path=.* goes on with a run.*weights=.* starts a new run"):
        run(tmp_path, f"weights={trained}", f"ckpt_path={trained}")
    # as the command line resumes a run that was killed
    tiny = ("callbacks.panels.num_photos=0", "weights=/gone", "backbone.weights=/gone")
    metrics, _ = run(tmp_path, *tiny, f"ckpt_path={trained}", f"paths.output_dir={trained}")
    assert metrics["steps"] == 3


def test_resuming_names_weights_where_it_cannot_be_done(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(PafposeError, match=r"initial\.output\.bias is .* there and .* weights=.*last\.ckpt$"):
        run(tmp_path, f"ckpt_path={trained}", "skeleton=animal17")
    path = save(compose(), tmp_path / "alone.ckpt")
    with pytest.raises(PafposeError, match=r"cannot resume from it; weights=.*alone\.ckpt starts a new run"):
        run(tmp_path, f"ckpt_path={path}")


def test_an_unfinished_run_can_also_be_resumed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    note_unfinished(str(tmp_path))
    (tmp_path / "status.json").write_text('{"state": "done"}')
    note_unfinished(str(tmp_path))
    assert not caplog.text
    (tmp_path / "status.json").write_text('{"state": "interrupted"}')
    note_unfinished(str(tmp_path))
    assert f"ckpt_path={tmp_path} goes on with it" in caplog.text


def test_an_exported_folder_gives_the_same_weights(trained: Path, tmp_path: Path) -> None:
    """And cannot be resumed."""
    words = [f"ckpt_path={trained}", "format=folder", f"paths.output_dir={tmp_path}"]
    folder = export(pafpose.load_config(words, name="export"), overrides=[])
    assert "weights" not in json.loads((folder / "config.json").read_text())["config"]  # a path
    cfg = tiny_config(tmp_path)
    cfg.weights = str(trained)
    expected = build_from_weights(cfg)[0].state_dict()
    cfg.weights = str(folder)
    found = build_from_weights(cfg)[0].state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    with pytest.raises(
        PafposeError, match=rf"ckpt_path={folder}: .*cannot resume.*; weights={folder} starts"
    ):
        run(tmp_path, f"ckpt_path={folder}")


def test_a_graph_has_no_layers_to_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(compose(), tmp_path / "old.ckpt")
    compiled = TrainedNetwork(torch.nn.Identity(), load_network(path).config)  # type: ignore[arg-type]
    monkeypatch.setattr("pafpose.training.finetune.load_network", lambda *_, **__: compiled)
    with pytest.raises(PafposeError, match="no layers by name to train; give the run"):
        build_from_weights(compose(weights=path))


@pytest.mark.slow
def test_the_command_trains_on_from_a_run(trained: Path, tmp_path: Path) -> None:
    words = ["skeleton=animal17", f"weights={trained}", "trainer.max_steps=2", "hydra.run.dir=new"]
    options = [word for word in RUN if not word.startswith("trainer.max_steps")]
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "train.py"), *options, *words],
        cwd=tmp_path, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    log = (tmp_path / "new" / "train.log").read_text()
    assert "keypoints" in log and "of 17 matched by name" in log and "; fresh: " in log
    assert pafpose.load(tmp_path / "new").skeleton.name == "animal17"
