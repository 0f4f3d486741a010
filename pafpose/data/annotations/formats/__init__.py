"""Annotation formats. Each is a reader: a function from files to a dictionary in COCO's form.

A reader is called as ``read(annotations, photos, skeleton)``, with ``data.<split>_annotations`` and
``data.<split>_images`` below ``data.root`` and the skeleton in use. It returns what a COCO json holds:

- ``images``: ``id``, ``file_name`` below the folder of photos and, if known, ``height`` and ``width``;
  ``upright: True`` if labels are those of the photo after its EXIF rotation;
- ``annotations``: ``image_id``, ``keypoints`` as x, y, v in photo pixels and, if known, ``bbox``, ``area``,
  ``iscrowd`` and ``segmentation``;
- ``categories``: ``id``, and the names of the ``keypoints`` in the order in which annotations list them.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pafpose.data.annotations.coco import build_index, load_json
from pafpose.data.annotations.faults import Faults
from pafpose.data.annotations.formats.coco_foot import read_coco_foot
from pafpose.data.annotations.formats.yolo import read_yolo
from pafpose.data.annotations.index import PoseIndex
from pafpose.data.annotations.merge import merge
from pafpose.data.annotations.paths import one_source
from pafpose.data.photo_file import DEFAULT_LIMITS, PhotoLimits
from pafpose.errors import PafposeError
from pafpose.skeleton import Skeleton

Json = dict[str, Any]
Reader = Callable[[Path, Path, Skeleton], Json]


def read_coco_json(annotations: Path, photos: Path, skeleton: Skeleton) -> Json:
    """Return the content of a COCO json."""
    return load_json(annotations)


FORMATS: dict[str, Reader] = {"coco": read_coco_json, "coco_foot": read_coco_foot, "yolo": read_yolo}


def find_reader(name: str) -> Reader:
    """Return the reader that ``data.format`` names.

    That is one of ``FORMATS``, or a function of the user's: ``package.module.function`` or
    ``FILE.py:function``. The module is imported, so its code runs.
    """
    if name in FORMATS:
        return FORMATS[name]
    module, _, function = name.rpartition(":") if ":" in name else name.rpartition(".")
    if not module or not function:
        raise PafposeError(
            f"data.format={name!r}: choose one of {', '.join(FORMATS)}, or name a function of your own as "
            "package.module.function or FILE.py:function"
        )
    try:
        reader = getattr(_import_module(module), function)
    except (ImportError, AttributeError, OSError, SyntaxError) as error:
        raise PafposeError(f"data.format={name!r}: cannot import it ({error})") from error
    return _with_named_errors(reader, name)


def read_content(name: str, annotations: Sequence[Path], photos: Path, skeleton: Skeleton) -> Json:
    """Return the annotations of one split, in one or several files, as a dictionary in COCO's form."""
    reader = find_reader(name)
    contents = [(path, reader(path, photos, skeleton)) for path in annotations]
    return contents[0][1] if len(contents) == 1 else merge(contents)


def read_index(
    name: str,
    annotations: Path | Sequence[Path],
    photos: Path,
    skeleton: Skeleton,
    *,
    box_area: float = 1.0,
    faults: Faults | None = None,
    limits: PhotoLimits = DEFAULT_LIMITS,
) -> PoseIndex:
    """Read and index one split; :func:`~pafpose.data.annotations.coco.build_index` explains the settings."""
    files = [annotations] if isinstance(annotations, Path) else annotations
    content = read_content(name, files, photos, skeleton)
    folder = photos_folder(photos)
    return build_index(
        content, one_source(files), folder, skeleton, box_area=box_area, faults=faults, limits=limits
    )


def photos_folder(photos: Path) -> Path:
    """Return the folder that ``file_name`` is relative to: ``photos``, or the folder of that ``.txt``."""
    return photos.parent if photos.suffix == ".txt" else photos


def _import_module(name: str) -> Any:
    if not name.endswith(".py"):
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(Path(name).stem, name)
    if spec is None or spec.loader is None:
        raise ImportError(f"{name} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _with_named_errors(function: Callable[..., Any], name: str) -> Reader:
    """Wrap a reader of the user's so that whatever goes wrong in it is reported with its name."""

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
