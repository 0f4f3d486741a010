"""Where numba keeps what it compiled, on machines where it may write neither beside the code nor at home."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path


def ensure_cache() -> None:
    """Name a private temporary folder when there is no other; numba refuses to be imported without any."""
    if os.environ.get("NUMBA_CACHE_DIR"):
        return
    package = Path(__file__).resolve().parent.parent
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "numba"
    if _writable(package) or _writable(user):
        return
    folder = str(_private_folder())
    os.environ["NUMBA_CACHE_DIR"] = folder
    if "numba" in sys.modules:  # it has read the environment already
        sys.modules["numba"].config.CACHE_DIR = folder


def _writable(folder: Path) -> bool:
    """Whether the folder, or the nearest above it that exists, may be written to."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return there.is_dir() and os.access(there, os.W_OK)


def _private_folder() -> Path:
    """The same for all processes of a user, and nobody else's: what lies in it is run."""
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
