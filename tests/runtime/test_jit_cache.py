"""A place for compiled functions wherever the package is installed, one for each version of its sources."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pafpose.runtime import jit_cache


@pytest.fixture(autouse=True)
def forget():
    """Look for folders anew in every test, and after it."""
    for function in (jit_cache._digest, jit_cache._default_base):
        function.cache_clear()
    yield
    for function in (jit_cache._digest, jit_cache._default_base):
        function.cache_clear()


@pytest.fixture
def sealed(monkeypatch, tmp_path):
    """Nothing but the temporary folder may be written to."""
    monkeypatch.setattr(jit_cache, "_writable", lambda folder: False)
    monkeypatch.setattr(jit_cache.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(jit_cache.tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_folder_changes_with_any_file_beside_the_function(tmp_path):
    (tmp_path / "a.py").write_text("a = 1")
    (tmp_path / "b.py").write_text("b = 1")
    before = jit_cache.cache_folder(tmp_path)
    jit_cache._digest.cache_clear()
    assert jit_cache.cache_folder(tmp_path) == before
    jit_cache._digest.cache_clear()
    (tmp_path / "b.py").write_text("b = 2")
    assert jit_cache.cache_folder(tmp_path) != before


def test_the_folder_changes_with_the_half_pixel_rule(monkeypatch, tmp_path):
    assert jit_cache._SHARED[0].is_file()
    before = jit_cache.cache_folder(tmp_path)
    (tmp_path / "geometry").write_text("another rule")
    monkeypatch.setattr(jit_cache, "_SHARED", (tmp_path / "geometry",))
    jit_cache._digest.cache_clear()
    assert jit_cache.cache_folder(tmp_path) != before


def test_the_user_may_choose_where(tmp_path):
    assert jit_cache.cache_folder(tmp_path, str(tmp_path / "chosen")).parent == tmp_path / "chosen"


def test_the_package_comes_first_then_the_cache_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(jit_cache, "_writable", lambda folder: True)
    assert jit_cache.cache_folder(tmp_path).parent == jit_cache._PACKAGE / "__pycache__"
    jit_cache._default_base.cache_clear()
    monkeypatch.setattr(jit_cache, "_writable", lambda folder: tmp_path in folder.parents)
    assert jit_cache.cache_folder(tmp_path).parent == tmp_path / "pafpose"


def test_a_sealed_machine_gets_one_private_folder(sealed):
    folder = jit_cache.cache_folder(sealed).parent
    assert folder.parent == sealed and folder.stat().st_mode & 0o777 == 0o700
    jit_cache._default_base.cache_clear()
    assert jit_cache.cache_folder(sealed).parent == folder, "the same the next time"


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
    chosen: Path = jit_cache.cache_folder(sealed).parent
    assert chosen != folder
    assert chosen.stat().st_mode & 0o777 == 0o700


def test_what_is_writable(tmp_path):
    assert jit_cache._writable(tmp_path / "not" / "there")
    (tmp_path / "file").write_text("")
    assert not jit_cache._writable(tmp_path / "file" / "below")
