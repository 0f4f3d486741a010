"""Read labels with sleap-io, and find the pictures and videos that they name."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from pafpose.data.photo_file import refuse_outside
from pafpose.errors import PafposeError, shown


def sleap_io(path: Path) -> ModuleType:
    """Return the library; raise ``PafposeError`` with the install line when it is missing."""
    try:
        import sleap_io as library
    except ImportError as error:
        raise PafposeError(
            f'labels={path}: reading them needs sleap-io; install it: pip install "pafpose[labs]"'
        ) from error
    return library


def read_labels(path: Path) -> Any:
    """Return the ``sleap_io.Labels`` of a file; no video that it names is opened here if it is a ``.slp``."""
    library = sleap_io(path)
    if not path.exists():
        raise PafposeError(f"labels={path}: no such file; name one that SLEAP, DeepLabCut or the like wrote")
    more = {"open_videos": False} if path.suffix == ".slp" else {}
    try:
        labels = library.load_file(str(path.absolute()), **more)
    except Exception as error:  # each format has its own errors
        raise PafposeError(
            f"labels={path}: sleap-io {library.__version__} cannot read it ({shown(str(error))}): it is "
            "damaged, holds no labels or has another version. Save it as .slp with SLEAP, or try: "
            "pip install -U sleap-io"
        ) from error
    if not isinstance(labels, library.Labels):
        raise PafposeError(f"labels={path}: this is a video; name the file of its labels")
    return labels


def labelled_frames(labels: Any, path: Path) -> list[tuple[Any, list[Any]]]:
    """Return frames with the animals that somebody labelled; predictions are no labels."""
    frames = [(frame, [one for one in frame.user_instances if one.n_visible]) for frame in labels]
    frames = [(frame, animals) for frame, animals in frames if animals]
    if not frames:
        raise PafposeError(
            f"labels={path}: nobody labelled an animal in its {len(labels)} frames, and predictions do not "
            "count as labels; correct and accept them in SLEAP first, or name another file"
        )
    return frames


def the_skeleton(frames: Sequence[tuple[Any, list[Any]]], path: Path) -> Any:
    """Return the one skeleton of all labelled animals."""
    skeletons = {id(one.skeleton): one.skeleton for _, animals in frames for one in animals}
    if len(skeletons) > 1:
        raise PafposeError(
            f"labels={path}: its animals have {len(skeletons)} skeletons; a network has one. Save a file for "
            "each"
        )
    return next(iter(skeletons.values()))


def is_embedded(video: Any, path: Path) -> bool:
    """Return whether the pictures of a video are in the file of the labels itself."""
    name = video.filename
    return isinstance(name, str) and os.path.realpath(name) == os.path.realpath(path)


def find_file(name: str, path: Path, folders: Sequence[Path], *, allow_outside: bool) -> Path:
    """Return the picture or video that labels call ``name``: as written, or by its last part.

    Names are relative to ``folders``, and must stay inside unless ``allow_outside``.
    """
    last = re.split(r"[\\/]", name)[-1]
    tries = list(dict.fromkeys(folder / part for folder in folders for part in (name, last)))
    there = [file for file in tries if file.is_file()]
    if not there:
        raise PafposeError(
            f"labels={path}: they name {shown(name)}, which is not there: looked for "
            f"{', '.join(map(str, tries))}. Put it beside the labels, or name its folder: videos=FOLDER"
        )
    inside = () if allow_outside else tuple(os.path.realpath(folder) for folder in folders)
    for file in there:
        try:
            refuse_outside(file, inside)
        except PafposeError:
            continue
        return file
    raise PafposeError(
        f"labels={path}: they name {there[0]}, outside of {folders[0]}; move it there, name its folder "
        "(videos=FOLDER), or set allow_outside=true if you trust the labels"
    )
