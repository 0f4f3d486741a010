"""A place for compiled kernels, wherever the package is installed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from pafpose.runtime import jit_cache as compiled


@pytest.fixture
def sealed(monkeypatch, tmp_path):
    """Nothing but the temporary folder may be written to."""
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(compiled, "_writable", lambda folder: False)
    monkeypatch.setattr(compiled.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(compiled.tempfile, "tempdir", str(tmp_path))
    if "numba" in sys.modules:
        monkeypatch.setattr(sys.modules["numba"].config, "CACHE_DIR", "")
    yield tmp_path
    os.environ.pop("NUMBA_CACHE_DIR", None)


def test_nothing_is_set_where_numba_finds_a_place(monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(compiled, "_writable", lambda folder: folder.name == "numba")
    compiled.ensure_cache()
    assert "NUMBA_CACHE_DIR" not in os.environ


def test_a_sealed_machine_gets_one_private_folder(sealed):
    import numba

    compiled.ensure_cache()
    folder = Path(os.environ["NUMBA_CACHE_DIR"])
    assert folder.parent == sealed and folder.stat().st_mode & 0o777 == 0o700
    assert str(folder) == numba.config.CACHE_DIR
    del os.environ["NUMBA_CACHE_DIR"]
    compiled.ensure_cache()
    assert os.environ["NUMBA_CACHE_DIR"] == str(folder), "the same the next time"


@pytest.mark.parametrize("spoil", ["open to others", "a link", "a file"])
def test_a_folder_that_others_may_write_to_is_not_trusted(sealed, spoil):
    folder = sealed / f"pafpose-{os.getuid()}"
    if spoil == "open to others":
        folder.mkdir()
        folder.chmod(0o777)
    elif spoil == "a link":
        (sealed / "elsewhere").mkdir()
        folder.symlink_to(sealed / "elsewhere")
    else:
        folder.write_text("")
    compiled.ensure_cache()
    assert os.environ["NUMBA_CACHE_DIR"] != str(folder)
    assert Path(os.environ["NUMBA_CACHE_DIR"]).stat().st_mode & 0o777 == 0o700


def test_what_is_writable(tmp_path):
    assert compiled._writable(tmp_path / "not" / "there")
    (tmp_path / "file").write_text("")
    assert not compiled._writable(tmp_path / "file" / "below")
