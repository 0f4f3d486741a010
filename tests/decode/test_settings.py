"""Decode settings: every preset is valid, the defaults stand in one place, nonsense is refused by name."""

from __future__ import annotations

import dataclasses

import pytest

from pafpose.config import load_config, settings
from pafpose.decode import DecodeSettings
from pafpose.errors import PafposeError


@pytest.mark.parametrize("preset", ["default", "paper", "openpose", "lightweight", "coco"])
def test_presets_are_complete_and_valid(preset):
    group = load_config([f"decode={preset}"]).decode
    assert set(group) == {field.name for field in dataclasses.fields(DecodeSettings)}
    settings(DecodeSettings, group, "decode")


def test_the_default_preset_is_the_dataclass():
    assert settings(DecodeSettings, load_config(["decode=default"]).decode, "decode") == DecodeSettings()


def test_whole_numbers_become_floats():
    made = DecodeSettings(peak_threshold=0, near=8, max_peaks=64.0)
    assert isinstance(made.near, float)
    assert isinstance(made.max_peaks, int)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("peak_threshold", -0.1),
        ("peak_threshold", float("nan")),
        ("peak_threshold", None),
        ("refine", "gauss"),
        ("matching", None),
        ("interpolation", "nearest"),
        ("max_peaks", 0),
        ("max_peaks", 1.5),
        ("samples", 1),
        ("samples", "10"),
        ("samples", float("inf")),
        ("min_ratio", 1.0),
        ("min_ratio", -0.1),
        ("split_error", -1),
        ("near", True),
        ("peak_weight", 11),
        ("min_keypoints", 0),
        ("min_sum_per_keypoint", -0.2),
        ("min_score", -0.2),
        ("min_score", 1.1),
    ],
)
def test_nonsense_is_refused_with_its_key(key, value):
    with pytest.raises(PafposeError, match=rf"decode\.{key}=") as caught:
        DecodeSettings(**{key: value})
    assert "conf/decode/default.yaml" in str(caught.value)
