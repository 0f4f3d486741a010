"""The pictures that a run left in its folder."""

from __future__ import annotations

import re
from pathlib import Path

import cv2

from pafpose.tools.html import jpeg_uri

WIDTH = 720  # px


def newest_pictures(folder: Path, *, most: int = 3) -> dict[str, Path]:
    """Return picture files by what they show: the last step of each photo, of validation if there are any."""
    images = folder / "images"
    found = sorted(path for path in images.rglob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg"))
    latest: dict[str, Path] = {}
    for path in found:  # step000200_17.png: steps have leading zeros, so the last one stays
        latest[re.sub(r"step\d+_", "", str(path.relative_to(images)))] = path
    validation = {name: path for name, path in latest.items() if name.startswith("val")}
    return dict(list((validation or latest).items())[:most])


def picture_uri(path: Path) -> str | None:
    """Return the picture, at most 720 px wide, as a ``data:`` address; None when the file is no picture."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        return None
    scale = min(1.0, WIDTH / picture.shape[1])
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return jpeg_uri(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
