"""What is typed goes on top of the checkpoint's config, and nothing else does."""

from __future__ import annotations

import functools

import pytest
import torch

from pafpose.config import load_config, plain
from pafpose.errors import PafposeError
from pafpose.inference.checkpoint import load_network
from pafpose.tools.overrides import apply_overrides, load_checkpoint


@functools.cache
def stored():
    """What a checkpoint could hold; nobody may change it."""
    return plain(
        load_config(["data=coco", "data.root=/own", "evaluate.input_size=96", "decode.min_keypoints=5"])
    )


def applied(*overrides):
    return apply_overrides(stored(), load_config(list(overrides), name="evaluate"), overrides)


def test_nothing_typed_changes_nothing():
    assert applied() == stored()
    assert applied("ckpt_path=x")["data"] == stored()["data"]


def test_values_and_groups_go_on_top():
    config = applied("data.limit_val=7", "decode=coco", "evaluate.flip=true")
    assert config["data"] == stored()["data"] | {"limit_val": 7}
    assert config["evaluate"] == stored()["evaluate"] | {"flip": True}
    assert config["decode"] == plain(load_config(["decode=coco"]).decode)


def test_a_group_comes_before_its_values_whatever_the_order():
    config = applied("data.root=/other", "data=coco")
    assert config["data"] == plain(load_config(["data=coco", "data.root=/other"]).data)


def test_the_data_folder_moves_what_lay_in_it():
    """The stored config is resolved: its root no longer refers to paths.data_dir."""
    drawn = plain(load_config(["data=synthetic", "paths.data_dir=old"]))
    typed = ["paths.data_dir=/new"]
    config = apply_overrides(drawn, load_config(typed, name="evaluate"), typed)
    assert config["data"]["root"] == "/new/synthetic" and config["paths"]["data_dir"] == "/new"
    assert applied(*typed)["data"]["root"] == "/own"
    typed = ["data.root=/mine", "paths.data_dir=/new"]
    config = apply_overrides(drawn, load_config(typed, name="evaluate"), typed)
    assert config["data"]["root"] == "/mine"
    parts = {"parts": {"root": "old/a/b"}, "other": {"root": "older/a"}}
    config = apply_overrides(
        drawn | {"data": {"sets": parts}}, load_config(typed[1:], name="evaluate"), typed[1:]
    )
    assert [part["root"] for part in config["data"]["sets"].values()] == ["/new/a/b", "older/a"]


@pytest.mark.parametrize("choice", ["backbone=vgg19", "head.stride=4", "skeleton=coco17", "paf.limbs=tree"])
def test_what_the_weights_fix_is_refused(choice):
    with pytest.raises(PafposeError, match="trained with its own"):
        apply_overrides(stored(), load_config(name="evaluate"), [choice])


def test_recipes_and_missing_paths_are_explained():
    for recipe in ("experiment=quickstart", "recipe=plain"):
        with pytest.raises(PafposeError, match="its own recipe"):
            applied(recipe)
    with pytest.raises(PafposeError, match="ckpt_path is missing"):
        load_checkpoint(load_config(name="evaluate"))


@pytest.mark.parametrize("trust", [True, False])
def test_device_and_trust_are_those_of_the_command(checkpoint, monkeypatch, trust):
    seen = {}

    def load(path, **how):
        seen.update(how, path=path)
        return load_network(path)

    monkeypatch.setattr("pafpose.tools.overrides.load_network", load)
    words = [f"ckpt_path={checkpoint}", f"trust={str(trust).lower()}", "device=cuda:1", "evaluate.flip=true"]
    trained = load_checkpoint(load_config(words, name="evaluate"), words)
    assert seen == {"path": str(checkpoint), "device": torch.device("cuda:1"), "trust": trust}
    assert trained.settings.flip and not trained.network.training
