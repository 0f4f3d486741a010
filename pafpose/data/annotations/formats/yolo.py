"""YOLO-pose text labels: ``labels/*.txt`` beside ``images/``, one line per person.

A line holds the class, the box (centre x, y, width, height) and x, y (and v) of every keypoint, as fractions
of the width and height of the photo after its EXIF orientation has been applied. Multiplied by them, they are
coordinates in COCO's sense of the photo turned upright.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pafpose.data.annotations.tidy import BODY
from pafpose.data.photo_file import IMAGE_SUFFIXES, read_header
from pafpose.errors import PafposeError, shown
from pafpose.skeleton import Skeleton

log = logging.getLogger(__name__)

Json = dict[str, Any]

_MAX_SHARE = 2.0  # of a photo's side; larger numbers are pixels
_MAX_KEYPOINTS = 1000


def read_yolo(annotations: Path, photos: Path, skeleton: Skeleton) -> Json:
    """Return the labels of a folder of photos, or of a text file of photos; ``annotations`` is the yaml.

    Keypoints are named by the yaml (``kpt_names``). Without that they are COCO's 17 or the skeleton's own, if
    their number and ``flip_idx`` agree. A photo without a label file shows nobody, but a split without any
    label file is an error.
    """
    description = _load_yaml(annotations)
    count, numbers = _shape(description, annotations)
    names = keypoint_names(description, count, skeleton, annotations)
    folder, files = _list_photos(photos)
    _count_labels(folder, files)
    ids = _ids(files)
    content: Json = {
        "images": [],
        "annotations": [],
        "categories": _categories(description, names, annotations),
    }
    for number, file in zip(ids, files, strict=True):
        photo: Json = {"id": number, "file_name": file, "upright": True}
        content["images"].append(photo)
        rows = _rows(label_file(folder / file), count, numbers)
        try:
            height, width = read_header(folder / file).upright_size
        except PafposeError:
            continue  # build_index raises, or leaves the photo out, when it needs the size
        photo |= {"height": height, "width": width}
        for row in rows:
            person = _person(row, (width, height), numbers)
            content["annotations"].append(
                {"id": len(content["annotations"]) + 1, "image_id": number, **person}
            )
    return content


def _count_labels(folder: Path, files: Sequence[str]) -> None:
    """Log how many photos have no label file; raise when none has one."""
    missing = [file for file in files if not label_file(folder / file).is_file()]
    if missing and len(missing) == len(files):
        raise PafposeError(
            f"{folder}: none of its {len(files)} photos has a label file; looked for "
            f"{label_file(folder / missing[0])} and the like. Put the labels there, or write empty files if "
            "nobody is shown"
        )
    if missing:
        log.info(
            "%s: %d of %d photos have no label file and count as showing nobody (the first: %s)",
            folder, len(missing), len(files), missing[0],
        )  # fmt: skip


def label_file(photo: Path) -> Path:
    """Return ``labels/x.txt`` for ``images/x.jpg``; ``x.txt`` beside a photo that is in no folder ``images``.

    >>> label_file(Path("set/images/train/1.jpg")).as_posix()
    'set/labels/train/1.txt'
    """
    parts = list(photo.parts)
    for n in range(len(parts) - 2, -1, -1):
        if parts[n] == "images":
            parts[n] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def keypoint_names(description: Mapping[str, Any], count: int, skeleton: Skeleton, path: Path) -> list[str]:
    """Return the keypoint names in the order of the labels; raise when ``flip_idx`` contradicts them."""
    flip = description.get("flip_idx")
    given = description.get("kpt_names")
    if given:
        names = _names(given, path)
        if len(names) != count:
            raise PafposeError(f"{path}: kpt_names has {len(names)} names, kpt_shape says {count} keypoints")
        return names
    own = [skeleton.keypoints[k] for k in skeleton.scored]
    known = list(BODY) if count == len(BODY) and (flip is None or flip == _mirror(BODY)) else own
    if len(known) != count or (flip is not None and flip != _flip_of(known, skeleton)):
        raise PafposeError(
            f"{path}: does not name its {count} keypoints, and with flip_idx {shown(flip)} they are neither "
            f"COCO's 17 nor the {len(own)} of skeleton {skeleton.name}; add 'kpt_names: {{0: [nose, ...]}}'"
        )
    return known


def _names(given: Any, path: Path) -> list[str]:
    """Return the names in ``kpt_names``: a list of them, or one list for each class."""
    rows = list(given.values()) if isinstance(given, Mapping) else given
    if isinstance(rows, list) and rows and isinstance(rows[0], list):
        rows = rows[0]
    if not isinstance(rows, list) or not all(isinstance(name, str | int) for name in rows):
        raise PafposeError(f"{path}: kpt_names is {shown(given)}; give a list of names for each class")
    return [str(name) for name in rows]


def _mirror(names: Sequence[str]) -> list[int]:
    """Return the permutation that exchanges "left" and "right" in names."""
    swap = {"left": "right", "right": "left"}
    place = {name: n for n, name in enumerate(names)}
    partners = ["_".join([swap.get(word, word) for word in name.split("_")]) for name in names]
    return [place.get(partner, n) for n, partner in enumerate(partners)]


def _flip_of(names: Sequence[str], skeleton: Skeleton) -> list[int]:
    """Return the permutation that exchanges left and right as the skeleton does, where it knows all names."""
    if not set(names) <= set(skeleton.keypoints):
        return _mirror(names)
    place = {name: n for n, name in enumerate(names)}
    return [place[skeleton.keypoints[skeleton.flip_keypoints[skeleton.index(name)]]] for name in names]


def _load_yaml(path: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig")) if path.is_file() else None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise PafposeError(
            f"{path}: not a readable YOLO data yaml ({error}); point data.train_annotations and "
            "data.val_annotations at it, relative to data.root"
        ) from error
    if not isinstance(content, Mapping) or "kpt_shape" not in content:
        raise PafposeError(f"{path}: lacks kpt_shape: [keypoints, 2 or 3], so these are not pose labels")
    return content


def _shape(description: Mapping[str, Any], path: Path) -> tuple[int, int]:
    shape = description["kpt_shape"]
    good = isinstance(shape, list) and len(shape) == 2 and all(type(number) is int for number in shape)
    if not good or not 1 <= shape[0] <= _MAX_KEYPOINTS or shape[1] not in (2, 3):
        raise PafposeError(f"{path}: kpt_shape is {shown(shape)}; give [number of keypoints, 2 or 3]")
    return shape[0], shape[1]


def _list_photos(photos: Path) -> tuple[Path, list[str]]:
    """Return the folder of photos, and their sorted paths relative to it."""
    if photos.is_dir():
        found = [path for path in photos.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES]
        return photos, sorted(path.relative_to(photos).as_posix() for path in found)
    try:
        lines = photos.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise PafposeError(
            f"photos not found: looked for {photos.absolute()}; give a folder, or a .txt file that lists "
            "photos, as data.train_images and data.val_images, relative to data.root"
        ) from error
    return photos.parent, sorted(line.strip().removeprefix("./") for line in lines if line.strip())


def _ids(files: Sequence[str]) -> list[int]:
    """Return the file names as numbers when they all are different numbers, as in COCO; else 1, 2, ..."""
    stems = [Path(file).stem for file in files]
    if all(stem.isascii() and stem.isdigit() for stem in stems):
        numbers = [int(stem) for stem in stems]
        if len(set(numbers)) == len(numbers):
            return numbers
    return list(range(1, len(files) + 1))


def _categories(description: Mapping[str, Any], names: list[str], path: Path) -> list[Json]:
    classes = description.get("names") or {0: "person"}
    rows = dict(enumerate(classes)) if isinstance(classes, list) else classes
    good = isinstance(rows, Mapping) and all(isinstance(name, str | int) for name in rows.values())
    if not good or not all(isinstance(n, int | str) and str(n).isdecimal() for n in rows):
        raise PafposeError(f"{path}: names is {shown(classes)}; give the classes as {{0: person}}")
    return [{"id": int(n), "name": str(name), "keypoints": names} for n, name in rows.items()]


def _rows(path: Path, count: int, numbers: int) -> np.ndarray:
    """Return the (people, 5 + count * numbers) numbers of a label file."""
    length = 5 + count * numbers
    try:
        if not path.is_file():
            return np.zeros((0, length))
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise PafposeError(f"{path}: cannot read the labels: {error}") from error
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        try:
            values = [float(word) for word in words]
        except ValueError as error:
            raise PafposeError(
                f"{path}, line {number}: {shown(str(error))}; a label holds numbers only"
            ) from error
        if len(values) != length:
            raise PafposeError(
                f"{path}, line {number}: {len(values)} numbers, but class, box and the keypoints of "
                f"kpt_shape need {length}; correct the line or kpt_shape"
            )
        _refuse_pixels(values, numbers, path, number)
        rows.append(values)
    return np.array(rows, float).reshape(-1, length)


def _refuse_pixels(values: Sequence[float], numbers: int, path: Path, line: int) -> None:
    """Raise unless the class is a whole number, and box and keypoints are fractions of the photo."""
    points = [values[n : n + numbers] for n in range(5, len(values), numbers)]
    shares = [*values[1:5], *(share for point in points if point[2:] != [0.0] for share in point[:2])]
    odd = next((share for share in shares if not abs(share) <= _MAX_SHARE), None)
    if odd is not None:
        raise PafposeError(
            f"{path}, line {line}: {odd:g} is no share of the photo's width or height (0 to 1); if these are "
            "pixels, divide x by the width and y by the height"
        )
    if not values[0].is_integer() or not 0 <= values[0] < 1e6:
        raise PafposeError(f"{path}, line {line}: the class is {values[0]:g}; a whole number is needed")


def _person(row: np.ndarray, sides: tuple[int, int], numbers: int) -> Json:
    """Return a line as an annotation in photo pixels; ``sides`` are width and height of the photo."""
    scale = np.array(sides, float)
    centre, size = row[1:3] * scale, row[3:5] * scale
    points = row[5:].reshape(-1, numbers)
    seen = (points[:, :2] > 0).any(-1) & (points[:, :2] >= 0).all(-1)
    v = points[:, 2] if numbers == 3 else np.where(seen, 2.0, 0.0)
    keypoints = np.c_[points[:, :2] * scale, v]
    return {
        "category_id": int(row[0]),
        "bbox": [*(centre - size / 2).tolist(), *size.tolist()],
        "keypoints": np.where(v[:, None] > 0, keypoints, 0.0).ravel().tolist(),
    }
