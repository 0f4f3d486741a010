"""Write files that are whole or absent, whatever ends the process; read and write json."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def write_whole(path: Path) -> Iterator[IO[bytes]]:
    """Open a file beside ``path`` for writing; it takes the name ``path`` once all of it is on the disk.

    So a reader, or a run that is resumed after a kill or a power cut, sees the old content or the new.
    """
    part = path.with_name(f"{path.name}.part")
    with _renamed_at_the_end(part, path), part.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(path.parent)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield the name of a file beside ``path`` to write to; at the end it is renamed to ``path``.

    It has the suffix of ``path``, by which libraries choose formats. Its folder is made. It outlives the end
    of the process, but nothing waits for the disk, which would take longer than to write a small picture.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.stem}.part{path.suffix}")
    with _renamed_at_the_end(part, path):
        yield part


@contextmanager
def _renamed_at_the_end(part: Path, path: Path) -> Iterator[None]:
    """Rename ``part`` to ``path`` at the end, or delete it when the caller fails."""
    try:
        yield
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def write_whole_folder(path: Path) -> Iterator[Path]:
    """Make a folder beside ``path`` to be filled; it takes the name ``path``, and its place, in the end.

    The files in it must be on the disk by then: write them with ``write_whole``.
    """
    part = path.with_name(f"{path.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir()
        yield part
        if path.exists():
            shutil.rmtree(path)
        part.rename(path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system lets folders be opened."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, content: Any) -> None:
    """Write a json file that is whole or absent.

    Json has no word for NaN, which stands for what is undefined: it becomes null.
    """
    text = json.dumps(_without_nan(content), indent=1, allow_nan=False)
    with write_whole(path) as file:
        file.write(text.encode("utf-8"))


def _without_nan(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(value) for value in content]
    return None if isinstance(content, float) and math.isnan(content) else content


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the mapping in a json file; None when the file is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
