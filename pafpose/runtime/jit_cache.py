"""Where compiled functions are kept: one folder for each version of the sources they come from."""

from __future__ import annotations

import hashlib
import os
import tempfile
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent
_SHARED = (_PACKAGE / "geometry.py", _PACKAGE / "runtime" / "jit.py")  # compiled into, or compiling, all


def cache_folder(sources: Path, chosen: str = "") -> Path:
    """Return the folder for functions compiled from the files of the folder ``sources``.

    It lies in ``chosen`` (``NUMBA_CACHE_DIR``) when that is set, and its name holds a digest of the files.
    """
    base = Path(chosen) if chosen else _default_base()
    return base / f"pafpose-{_digest(sources)}"


@cache
def _digest(sources: Path) -> str:
    """Hash the Python files of a folder and those that all folders share."""
    files = [*sorted(sources.glob("*.py")), *_SHARED]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


@cache
def _default_base() -> Path:
    """Choose the first writable of the package's folder, the user's cache and a private temporary folder."""
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    for folder in (_PACKAGE / "__pycache__", user / "pafpose"):
        if _writable(folder):
            return folder
    return _private_folder()


def _writable(folder: Path) -> bool:
    """Whether the folder, or the nearest above it that exists, may be written to."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return there.is_dir() and os.access(there, os.W_OK)


def _private_folder() -> Path:
    """Make a folder that all processes of a user share and nobody else may write to: its files are run."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"pafpose-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        state = folder.lstat()
    except OSError:
        return Path(tempfile.mkdtemp(prefix="pafpose-"))
    if folder.is_symlink() or state.st_uid != user or state.st_mode & 0o022:
        return Path(tempfile.mkdtemp(prefix="pafpose-"))
    return folder
