"""Where the photos and annotations of a split are, and the error when they are missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pafpose.data.photo_file import PhotoLimits, refuse_outside
from pafpose.errors import PafposeError
from pafpose.runtime.invocation import spell

# photos and annotation files of each split, relative to the root
Splits = Mapping[str, tuple[str, Sequence[str]]]


def find_split(
    root: Path, splits: Splits, split: str, *, need_photos: bool = True
) -> tuple[Path, list[Path]]:
    """Return the folder of photos (or the ``.txt`` that lists them) and the annotation files of a split.

    Raises ``PafposeError``, with the tree that is expected below ``root``, when one is missing.
    """
    photos = root / Path(str(splits[split][0])).expanduser()
    annotations = [root / Path(str(name)).expanduser() for name in splits[split][1]]
    absent = [path for path in annotations if not path.exists()]
    if absent or not annotations:
        missing = f"annotation file not found: looked for {(*absent, root)[0].absolute()}"
    elif need_photos and not (photos.is_dir() or (photos.suffix == ".txt" and photos.is_file())):
        missing = f"folder of photos not found: looked for {photos.absolute()}"
    else:
        return photos, annotations
    raise PafposeError(f"{missing}\n{_expected_tree(root.absolute(), splits)}")


def one_source(annotations: Sequence[Path]) -> Path:
    """Return the name that errors and warnings give to one or several annotation files."""
    return annotations[0] if len(annotations) == 1 else Path(", ".join(map(str, annotations)))


def local_name(name: str, folder: Path, limits: PhotoLimits) -> str:
    """Return the name of a photo with slashes for Windows' separators; raise if it leads out of the data."""
    if "\\" in name and not (folder / name).exists():
        name = name.replace("\\", "/")
    if name.startswith("/") or ".." in name.split("/"):
        refuse_outside(folder / name, limits.inside)
    return name


def _expected_tree(root: Path, splits: Splits) -> str:
    photos = dict.fromkeys(photos for photos, _ in splits.values())
    annotations = dict.fromkeys(name for _, names in splits.values() for name in names)
    kind = "COCO's own layout" if "train2017" in photos else "data.train_images and so on"
    lines = [*(f"    {name + '/':<43} photos" for name in photos), *(f"    {name}" for name in annotations)]
    return "\n".join(
        [
            f"expected ({kind}):",
            f"  {root}/",
            *lines,
            f"Point data.root at such a folder. Without any download: {spell('train')}",
        ]
    )
