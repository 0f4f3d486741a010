"""What ``source=`` names: photos, videos and cameras, and the name that each has among the results."""

from __future__ import annotations

import glob
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pafpose.data.photo_file import IMAGE_SUFFIXES
from pafpose.errors import PafposeError

VIDEO_SUFFIXES = frozenset(
    {
        ".mp4",
        ".mov",
        ".m4v",
        ".avi",
        ".mkv",
        ".webm",
        ".mpg",
        ".mpeg",
        ".wmv",
        ".flv",
        ".mts",
        ".m2ts",
        ".3gp",
    }
)
WANTED = (
    "give a photo, a video, a folder, a glob in quotes (source='photos/*.jpg'), the number of a camera "
    "(source=0), or - for a list of names on standard input"
)


@dataclass(frozen=True)
class File:
    """A photo or video file."""

    path: Path
    name: str  # below the folder that was given, with forward slashes; no other file has it
    overlay: str  # the name of the picture or video that is drawn, below the output folder


@dataclass(frozen=True)
class Sources:
    """Everything to look for people in."""

    photos: Sequence[File] = ()
    videos: Sequence[File] = ()
    camera: int | None = None
    skipped: Sequence[Path] = ()  # neither pictures nor videos
    missing: Sequence[str] = ()  # names on standard input that are no files


def find_sources(source: object, *, leave_out: Path | None = None) -> Sources:
    """Return what ``source`` names.

    Folders are searched with their subfolders, but not the folder ``leave_out``, nor anything whose name
    starts with a dot. A number is a camera unless a file or folder has that name. A file that is named by
    itself is taken for a photo whatever its suffix, if that is not a video's. Raises ``PafposeError`` when
    nothing is found.
    """
    text = "" if source is None else str(source)  # a folder called 2024 comes as a number
    if not text:
        raise PafposeError(f"source is missing: {WANTED}")
    path = Path(text).expanduser()
    if text == "-":
        return _from_list(sys.stdin, leave_out)
    if path.is_dir():
        return _sorted_out(path, _below(path, leave_out), text)
    if path.exists():
        return _named([path], path.parent)
    if text.isdecimal():
        return Sources(camera=int(text))
    found = [Path(name) for name in glob.glob(str(path), recursive=True)]  # noqa: PTH207  (takes absolute patterns)
    found = [name for name in found if name.is_file() and not _is_inside(name, leave_out)]
    if not found:
        raise PafposeError(f"source={text}: no such file or folder; {WANTED}")
    return _sorted_out(_common_folder(found), found, text)


def _from_list(lines: Iterable[str], leave_out: Path | None) -> Sources:
    """Return the files and folders that a list names, one in a line."""
    named: list[Path] = []
    skipped: list[Path] = []
    missing: list[str] = []
    for line in filter(None, map(str.strip, lines)):
        path = Path(line).expanduser()
        if path.is_dir():
            wanted, others = _split(_below(path, leave_out))
            named, skipped = named + wanted, skipped + others
        elif path.exists():
            named.append(path)
        else:
            missing.append(line)
    if not named:
        raise PafposeError(
            f"source=-: standard input names no picture or video that is there ({len(missing)} missing)"
        )
    unique = list(dict.fromkeys(named))
    return _named(unique, _common_folder(unique), skipped=skipped, missing=missing)


def _sorted_out(folder: Path, found: Iterable[Path], text: str) -> Sources:
    """Return the pictures and videos among files that were not named one by one."""
    wanted, skipped = _split(found)
    if not wanted:
        raise PafposeError(
            f"source={text}: no pictures ({' '.join(sorted(IMAGE_SUFFIXES))}) or videos found, "
            f"{len(skipped)} other files; {WANTED}"
        )
    return _named(wanted, folder, skipped=skipped)


def _split(paths: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Return pictures and videos, and the other files, both in order."""
    wanted: list[Path] = []
    others: list[Path] = []
    for path in sorted(paths):
        (wanted if path.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES else others).append(path)
    return wanted, others


def _below(folder: Path, leave_out: Path | None) -> list[Path]:
    """Return all files in a folder and its subfolders, except hidden ones."""
    found: list[Path] = []
    for root, folders, names in os.walk(folder):
        folders[:] = [n for n in folders if n[0] != "." and not _is_inside(Path(root, n), leave_out)]
        found += [path for name in names if name[0] != "." and (path := Path(root, name)).is_file()]
    return found


def _is_inside(path: Path, folder: Path | None) -> bool:
    return folder is not None and path.resolve().is_relative_to(folder.resolve())


def _common_folder(paths: Sequence[Path]) -> Path:
    try:
        return Path(os.path.commonpath([path.absolute().parent for path in paths]))
    except ValueError:  # on different drives
        return Path()


def _named(
    paths: Sequence[Path], folder: Path, *, skipped: Sequence[Path] = (), missing: Sequence[str] = ()
) -> Sources:
    names = {path: _name_below(path, folder) for path in paths}
    videos = [path for path in paths if path.suffix.lower() in VIDEO_SUFFIXES]
    photos = [path for path in paths if path not in set(videos)]
    pictures = overlay_names([names[path] for path in photos], "images", ".png")
    clips = overlay_names([names[path] for path in videos], "videos", ".mp4")
    return Sources(
        photos=[File(path, names[path], pictures[names[path]]) for path in photos],
        videos=[File(path, names[path], clips[names[path]]) for path in videos],
        skipped=skipped,
        missing=missing,
    )


def _name_below(path: Path, folder: Path) -> str:
    """Return the name of a file below a folder; one that lies elsewhere keeps all its folders."""
    absolute = Path(os.path.normpath(path.absolute()))
    base = Path(os.path.normpath(folder.absolute()))
    if absolute.is_relative_to(base):
        return absolute.relative_to(base).as_posix()
    return absolute.relative_to(absolute.anchor).as_posix()


def overlay_names(names: Sequence[str], folder: str, suffix: str) -> dict[str, str]:
    """Return the name of the drawn picture for every name: that name with another suffix.

    The old suffix stays where others would have the same name without it.

    >>> overlay_names(["x/a.jpg", "x/a.webp", "y/a.jpg"], "images", ".png")
    {'x/a.jpg': 'images/x/a.jpg.png', 'x/a.webp': 'images/x/a.webp.png', 'y/a.jpg': 'images/y/a.png'}
    """
    short = {name: str(PurePosixPath(name).with_suffix(suffix)) for name in names}
    taken = Counter(other.lower() for other in short.values())
    taken.update(f"{name}{suffix}".lower() for name in names)
    return {
        name: f"{folder}/{other if taken[other.lower()] == 1 else name + suffix}"
        for name, other in short.items()
    }
