"""Plant annotation errors in a folder of synthetic people, for the audit to find (docs/formats.md).

``python -m benchmarks.plant_errors FOLDER``; ``scripts/make_synthetic.py output=FOLDER`` makes the folder.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

PAIRS = ((5, 6), (11, 12))  # shoulders, hips in COCO's order


def plant(root: Path) -> None:
    """Plant one error of most kinds in the training split."""
    file = root / "annotations" / "person_keypoints_train2017.json"
    content = json.loads(file.read_text())
    folder, photos = root / "train2017", content["images"]
    whole = [p for p in content["annotations"] if p.get("num_keypoints", 0) >= 15]
    for person, pair in zip(whole[:2], PAIRS, strict=True):
        points = _points(person)
        points[list(pair)] = points[list(pair[::-1])]
        person["keypoints"] = points.ravel().tolist()
    _move(whole[2], 9, (-25.0, 60.0))
    _move(whole[3], 10, (float(photos[0]["width"]) + 12, 40.0))
    whole[4]["bbox"] = [whole[4]["bbox"][0], whole[4]["bbox"][1], 0, 40]
    whole[5]["keypoints"] = (_points(whole[5]) * [0, 0, 1] + [70, 80, 0]).ravel().tolist()
    content["annotations"].append(whole[6] | {"id": 10**6})
    (folder / photos[30]["file_name"]).unlink()
    damaged = folder / photos[31]["file_name"]
    damaged.write_bytes(damaged.read_bytes()[:1500])
    shutil.copyfile(folder / photos[32]["file_name"], folder / photos[33]["file_name"])
    first = sorted((root / "val2017").iterdir())[0]
    shutil.copyfile(folder / photos[34]["file_name"], first)
    file.write_text(json.dumps(content))


def _points(person: dict[str, Any]) -> np.ndarray:
    return np.array(person["keypoints"], float).reshape(-1, 3)


def _move(person: dict[str, Any], k: int, xy: tuple[float, float]) -> None:
    points = _points(person)
    points[k] = (*xy, 2)
    person["keypoints"] = points.ravel().tolist()


if __name__ == "__main__":
    plant(Path(sys.argv[1]))
