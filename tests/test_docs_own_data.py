"""The reader of Label Studio's json that docs/own-data.md offers reads what Label Studio writes."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pafpose.data.annotations.formats import read_index
from pafpose.skeleton import Skeleton
from pafpose.viz.sheets import save_picture
from tests.conftest import ROOT

WIDTH, HEIGHT = 200, 100


def region(kind: str, name: str, parent: str | None = None, **value: Any) -> dict[str, Any]:
    """Return a region as Label Studio writes it, in percent of the photo."""
    return {
        "id": name + (parent or ""), "type": kind, "original_width": WIDTH, "original_height": HEIGHT,
        "image_rotation": 0, "parentID": parent, "value": {**value, kind: [name]},
    }  # fmt: skip


@pytest.fixture
def export(tmp_path: Path) -> Path:
    page = (ROOT / "docs" / "own-data.md").read_text()
    reader = re.search(r"^ +```python\n(.*?)```", page, re.MULTILINE | re.DOTALL)
    assert reader
    (tmp_path / "label_studio.py").write_text(textwrap.dedent(reader.group(1)))
    (tmp_path / "photos").mkdir()
    for name in ("1a2b-a.png", "b.png"):
        save_picture(np.zeros((HEIGHT, WIDTH, 3), np.uint8), tmp_path / "photos" / name)
    left, right = (
        region("rectanglelabels", name, x=x, y=20, width=25, height=60)
        for name, x in (("left", 10), ("right", 50))
    )
    points = [
        region("keypointlabels", "nose", "left", x=20, y=30, width=0.5),
        region("keypointlabels", "left_wrist", "left", x=12.25, y=50.5, width=0.5),
        region("keypointlabels", "nose", "right", x=60, y=40, width=0.5),
    ]
    tasks = [
        {
            "id": 7,
            "data": {"image": "/data/upload/1/1a2b-a.png"},
            "annotations": [
                {"was_cancelled": False, "result": [points[2], left, *points[:2], right]},
                {"was_cancelled": True, "result": [left]},
            ],
        },
        {"id": 9, "data": {"image": "/data/local-files/?d=set/b.png"}, "annotations": []},
    ]
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    return tmp_path


def test_label_studios_json_is_read_as_the_page_says(export: Path, coco18: Skeleton) -> None:
    index = read_index(
        f"{export}/label_studio.py:read", export / "export.json", export / "photos", coco18, box_area=0.53
    )
    assert len(index.keypoints) == 2
    first, second = index.keypoints
    nose, wrist = coco18.index("nose"), coco18.index("left_wrist")
    assert first[nose].tolist() == [39.5, 29.5, 2]  # 20 % of 200 px from the corner; pixel centres are at .5
    assert first[wrist].tolist() == [24, 50, 2]
    assert second[nose].tolist() == [119.5, 39.5, 2] and second[wrist, 2] == 0
    assert index.boxes.tolist() == [[19.5, 19.5, 50, 60], [99.5, 19.5, 50, 60]]
