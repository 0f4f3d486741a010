"""Settings: defaults agree with conf/, choices are explained, bad values are named."""

from __future__ import annotations

import math
from dataclasses import asdict

import pytest

from pafpose.config import conf_dir, load_config, plain, settings
from pafpose.errors import PafposeError
from pafpose.targets import HeatmapSettings, MaskSettings, PafSettings
from pafpose.targets.settings import CHOICES, GROUPS
from tests.conftest import ROOT

OPTIONS = [(group, file.stem) for group in GROUPS for file in sorted((conf_dir() / group).glob("*.yaml"))]


@pytest.mark.parametrize("group", GROUPS)
def test_defaults_are_those_of_conf(group):
    cfg = load_config([f"{group}=default"])
    assert plain(cfg[group]) == asdict(GROUPS[group]())


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_file_is_valid(group, option):
    cfg = load_config([f"{group}={option}"])
    assert asdict(settings(GROUPS[group], cfg[group], group)).keys() == asdict(GROUPS[group]()).keys()


def test_whole_numbers_become_floats():
    assert isinstance(PafSettings(width=8).width, float)
    assert isinstance(HeatmapSettings(sigma=7, truncate=0).truncate, float)
    assert MaskSettings(min_keypoints=5.0).min_keypoints == 5


def test_no_limit_can_be_typed_as_in_yaml():
    for typed in ("paf.scale_max=.inf", "paf.scale_max=inf"):
        assert settings(PafSettings, load_config([typed])["paf"], "paf").scale_max == math.inf


def test_null_means_none_where_none_is_a_choice():
    assert PafSettings(caps=None, scale_by=None).caps == "none"
    assert HeatmapSettings(background=None).background == "none"


def test_unlimited_scale():
    assert PafSettings(scale_by="limb", scale_min=0, scale_max=math.inf).scale_max == math.inf


@pytest.mark.parametrize(
    ("cls", "values", "message"),
    [
        (HeatmapSettings, {"sigma": 0}, r"heatmap.sigma=0.0: must be above 0"),
        (HeatmapSettings, {"sigma": "wide"}, r"heatmap.sigma=wide: must be a number"),
        (HeatmapSettings, {"truncate": 1}, r"heatmap.truncate=1.0: must be at least 0 and below 1"),
        (HeatmapSettings, {"merge": "mean"}, r"heatmap.merge=mean: must be one of max, sum"),
        (HeatmapSettings, {"background": "min"}, r"must be one of max, sum, none"),
        (HeatmapSettings, {"scale_by": "limb"}, r"one of none, person, keypoint, both"),
        (HeatmapSettings, {"scale_min": 3}, r"heatmap.scale_max=2.5: must be .* heatmap.scale_min=3.0"),
        (HeatmapSettings, {"merge": None}, r"heatmap.merge=None: must be one of max, sum"),
        (PafSettings, {"width": -1}, r"paf.width=-1.0: must be above 0"),
        (PafSettings, {"width": float("nan")}, r"paf.width=nan: must be a number"),
        (PafSettings, {"caps": "square"}, r"paf.caps=square: must be one of bbox, none, round"),
        (PafSettings, {"profile": "flat"}, r"one of rigid, linear, cosine, gaussian"),
        (PafSettings, {"merge": "first"}, r"one of mean, nearest, max, sum, last"),
        (PafSettings, {"scale_by": "keypoint"}, r"one of none, limb, person"),
        (PafSettings, {"limb_ref": 0}, r"paf.limb_ref=0.0: must be above 0"),
        (PafSettings, {"scale_min": -1}, r"paf.scale_min=-1.0: must be a factor of 0 or more"),
        (MaskSettings, {"crowd": "yes"}, r"mask.crowd=yes: must be true or false"),
        (MaskSettings, {"small_people": "drop"}, r"one of target, ignore, both"),
        (MaskSettings, {"region": "hull"}, r"mask.region=hull: must be one of segmentation, box"),
        (MaskSettings, {"min_area": -1}, r"mask.min_area=-1.0: must be 0 or more"),
        (MaskSettings, {"min_keypoints": 2.5}, r"mask.min_keypoints=2.5: must be a whole number"),
    ],
)
def test_bad_values_are_named(cls, values, message):
    with pytest.raises(PafposeError, match=message):
        cls(**values)


def test_every_choice_is_accepted_and_explained():
    """The settings take every value; the comment beside the key and the page of pictures name it."""
    page = (ROOT / "docs" / "targets.md").read_text()
    for typed, values in CHOICES.items():
        group, key = typed.split(".")
        section = page.split(f"**`{typed}`**")[1].split("**`")[0]
        line = next(line for line in yaml_lines(group) if line.startswith(f"{key}:"))
        for value in values:
            GROUPS[group](**{key: value})
            if isinstance(value, str):
                assert value in line, (typed, value)
                assert f"`{value}`" in section, (typed, value)


def yaml_lines(group):
    return (conf_dir() / group / "default.yaml").read_text().splitlines()


def test_the_example_of_the_page_runs():
    block = (ROOT / "docs" / "targets.md").read_text().split("```python\n")[1].split("```")[0]
    names: dict = {}
    exec(block, names)
    fields = names["fields"]
    assert fields.heatmaps.shape == (4, 19, 46, 46) and fields.pafs.shape == (4, 38, 46, 46)
    assert fields.heatmaps[0, 0].max() == pytest.approx(math.exp(-2 * 3.5**2 / 98))  # 3.5 px from a cell
