"""Annotation formats: each is a function from files to a dictionary in COCO's form; the rest is shared.

A reader is ``read(annotations, photos, skeleton)``: ``data.<split>_annotations`` and ``data.<split>_images``
below ``data.root``, and the skeleton in use. It returns what a COCO json holds: ``images`` (``id``,
``file_name`` below the photos' folder, and if known ``height``, ``width``), ``annotations`` (``image_id``,
``keypoints`` as x, y, v in photo pixels, and if known ``bbox``, ``area``, ``iscrowd``, ``segmentation``) and
``categories`` (``id``, and the names of the ``keypoints`` in the order of the numbers).
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pafpose.data.annotations.coco import index_content, load_json
from pafpose.data.annotations.formats.coco_foot import read_coco_foot
from pafpose.data.annotations.formats.yolo import read_yolo
from pafpose.data.annotations.index import PoseIndex
from pafpose.errors import PafposeError
from pafpose.skeleton import Skeleton

Json = dict[str, Any]
Reader = Callable[[Path, Path, Skeleton], Json]


def read_coco_json(annotations: Path, photos: Path, skeleton: Skeleton) -> Json:
    """A COCO json as it is."""
    return load_json(annotations)


FORMATS: dict[str, Reader] = {"coco": read_coco_json, "coco_foot": read_coco_foot, "yolo": read_yolo}


def find_reader(name: str) -> Reader:
    """The reader of ``data.format``: one of ``FORMATS``, ``package.module.function`` or ``FILE.py:function``.

    The last two run code of the user's choice.
    """
    if name in FORMATS:
        return FORMATS[name]
    place, _, function = name.rpartition(":") if ":" in name else name.rpartition(".")
    if not place or not function:
        raise PafposeError(
            f"data.format={name!r}: choose one of {', '.join(FORMATS)}, or name a function of your own as "
            "package.module.function or FILE.py:function"
        )
    try:
        found = getattr(_module(place), function)
    except (ImportError, AttributeError, OSError, SyntaxError) as error:
        raise PafposeError(f"data.format={name!r}: cannot import it ({error})") from error
    return _checked(found, name)


def read_content(name: str, annotations: Path, photos: Path, skeleton: Skeleton) -> Json:
    """The annotations of one split as a dictionary in COCO's form."""
    return find_reader(name)(annotations, photos, skeleton)


def read_index(
    name: str,
    annotations: Path,
    photos: Path,
    skeleton: Skeleton,
    *,
    limit: int | None = None,
    box_area: float = 1.0,
    on_error: str = "raise",
) -> PoseIndex:
    """One split in memory; see :func:`pafpose.data.annotations.coco.index_content` for the keys."""
    return index_content(
        read_content(name, annotations, photos, skeleton),
        annotations,
        photos_folder(photos),
        skeleton,
        limit=limit,
        box_area=box_area,
        on_error=on_error,
    )


def photos_folder(photos: Path) -> Path:
    """Where ``file_name`` starts from: the folder of photos, or that of a text file that lists them."""
    return photos.parent if photos.suffix == ".txt" else photos


def _module(place: str) -> Any:
    if not place.endswith(".py"):
        return importlib.import_module(place)
    spec = importlib.util.spec_from_file_location(Path(place).stem, place)
    if spec is None or spec.loader is None:
        raise ImportError(f"{place} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _checked(function: Callable[..., Any], name: str) -> Reader:
    """A foreign reader whose faults name it."""

    def read(annotations: Path, photos: Path, skeleton: Skeleton) -> Json:
        try:
            content = function(annotations, photos, skeleton)
        except PafposeError:
            raise
        except Exception as error:
            raise PafposeError(
                f"data.format={name!r} failed on {annotations}: {type(error).__name__}: {error}"
            ) from error
        if not isinstance(content, dict):
            raise PafposeError(
                f"data.format={name!r} returned {type(content).__name__}; a dictionary with images, "
                "annotations and categories, as in a COCO json, is expected"
            )
        return content

    return read
