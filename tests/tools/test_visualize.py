"""visualize() writes a sheet per sample, or one photo under several choices; its keys are checked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pafpose.config import load_config
from pafpose.data.photos.images import load_image
from pafpose.errors import PafposeError
from pafpose.fields import Targets
from pafpose.targets.settings import CHOICES
from pafpose.tools.visualize import SheetSettings, visualize
from pafpose.viz.samples import SampleView, comparison_panels

COMMON = ("data=coco", "augment=default", "augment.crop=64", "data.num_workers=0", "evaluate.input_size=96")


def run(coco_root, folder, *overrides):
    overrides = [*COMMON, f"data.root={coco_root}", f"paths.output_dir={folder}", *overrides]
    return visualize(load_config(overrides, name="visualize"))


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_sheet_per_sample(coco_root, tmp_path, split):
    paths = run(coco_root, tmp_path, f"visualize.split={split}", "visualize.count=2")
    assert len(paths) == 2 and all(path.parent == tmp_path / "images" for path in paths)
    assert min(load_image(paths[0]).shape[:2]) > 300


def test_choices_side_by_side(coco_root, tmp_path):
    overrides = ["visualize.count=1", "visualize.channels=[nose]", "visualize.limbs=[neck-nose]"]
    profile = run(coco_root, tmp_path / "a", "visualize.compare=paf.profile", *overrides)
    width = run(
        coco_root, tmp_path / "b", "visualize.compare=paf.width", "visualize.values=[4,8]", *overrides
    )
    assert load_image(profile[0]).shape[1] == pytest.approx(2 * load_image(width[0]).shape[1], abs=4)
    assert run(coco_root, tmp_path / "c", "visualize.format=pdf", "visualize.count=1")[0].suffix == ".pdf"


@pytest.mark.parametrize("split", ["train", "val"])
def test_photos_by_id(coco_root, tmp_path, split):
    first = run(coco_root, tmp_path / "a", f"visualize.split={split}", "visualize.count=1")[0]
    number = first.stem.split("_")[-1]
    same = run(coco_root, tmp_path / "b", f"visualize.split={split}", f"visualize.photos=[{number}]")
    assert {path.stem.split("_")[-1] for path in same} == {number}


def test_a_map_shows_where_only_some_limbs_count(coco18):
    weights = torch.ones(38, 12, 16)
    weights[:2, 3:6] = 0
    fields = Targets(torch.zeros(19, 12, 16), torch.zeros(38, 12, 16), torch.ones(1, 12, 16), weights)
    some = SampleView(1, np.zeros((96, 128, 3), np.uint8), np.zeros((0, 18, 3)), fields)
    every = replace(some, targets=fields._replace(paf_weights=torch.ones(1, 12, 16)))
    assert len(comparison_panels({"true": some, "false": every}, "mask", coco18)) == 4
    assert len(comparison_panels({"true": every, "false": every}, "mask", coco18)) == 2
    assert not some.ignored().any()
    assert some.ignored([0]).sum() == 3 * 16


@pytest.mark.parametrize(
    "bad",
    [
        "split=test",
        "photos=[424242]",
        "format=gif",
        "count=0",
        "compare=paf.width",
        "compare=paf.wdith",
        "channels=[nse]",
    ],
)
def test_bad_keys_are_explained(coco_root, tmp_path, bad):
    with pytest.raises(PafposeError, match=f"visualize.{bad.split('=')[0]}"):
        run(coco_root, tmp_path, f"visualize.{bad}")


def test_every_choice_of_the_targets_can_be_compared():
    for key in CHOICES:
        assert SheetSettings(compare=key).values is None
