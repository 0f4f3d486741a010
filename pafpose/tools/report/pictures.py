"""Pictures of a run, small enough to lie inside a page."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import cv2

WIDTH = 720  # px


def newest_pictures(folder: Path, *, most: int = 3) -> dict[str, Path]:
    """Files below ``images/`` by what they show; of several steps of the same photo the last."""
    images = folder / "images"
    found = sorted(path for path in images.rglob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg"))
    latest: dict[str, Path] = {}
    for path in found:  # step000200_17.png: steps have leading zeros, so the last one stays
        latest[re.sub(r"step\d+_", "", str(path.relative_to(images)))] = path
    validation = {name: path for name, path in latest.items() if name.startswith("val")}
    return dict(list((validation or latest).items())[:most])


def data_uri(path: Path, *, width: int = WIDTH) -> str | None:
    """A JPEG of at most ``width`` px as a ``data:`` address; None when the file is no picture."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        return None
    scale = min(1.0, width / picture.shape[1])
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()
