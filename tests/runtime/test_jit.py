"""The decorator of compiled functions: its cache outlives no edit, and it says when it compiles."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from pafpose.runtime.jit import njit

INNER = "from pafpose.runtime.jit import njit\n@njit\ndef inner(x): return x + {number}\n"
OUTER = (
    "from pafpose.runtime.jit import njit\n"
    "from inner import inner\n"
    "@njit\ndef outer(x): return inner(x) * inner(x)\n"
)
RUN = (
    "import sys; sys.path.insert(0, {folder!r})\n"
    "from outer import outer\n"
    "print(outer(2.0), sum(outer.stats.cache_hits.values()))\n"
)


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Two files of which one calls a function of the other, and an empty cache."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "inner.py").write_text(INNER.format(number=1))
    (sources / "outer.py").write_text(OUTER)
    return sources


def test_what_is_cached_is_used_until_any_of_the_sources_changes(folder):
    code = RUN.format(folder=str(folder))
    assert run(code).stdout.split() == ["9.0", "0"]
    assert run(code).stdout.split() == ["9.0", "1"]
    (folder / "inner.py").write_text(INNER.format(number=2))
    assert run(code).stdout.split() == ["16.0", "0"]


def test_one_line_says_that_functions_of_the_package_are_compiled(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    code = (
        "import logging; logging.basicConfig(level='INFO')\n"
        "import numpy as np\n"
        "from pafpose.decode.sorting import descending, lower_median\n"
        "descending(np.zeros(1)), lower_median(np.zeros(1))\n"
    )
    assert run(code).stderr.count("compiling") == 1
    assert "compiling" not in run(code).stderr


def test_nothing_is_said_of_other_functions(caplog):
    with caplog.at_level("INFO"):
        numba.njit(lambda x: x + 1)(1)
    assert not caplog.records


def test_the_cache_of_other_functions_is_left_where_it_was():
    before = numba.config.CACHE_DIR
    njit(np_sum)
    assert before == numba.config.CACHE_DIR


def np_sum(values: np.ndarray) -> float:
    return float(values.sum())


@pytest.mark.parametrize("inline", [False, True])
def test_python_and_compiled_functions_may_call_it_without_the_lock(inline):
    half = njit(lambda x: x / 2, inline=inline)

    @numba.njit
    def outer(x: float) -> float:
        return half(x) + 1

    assert half(3.0) == 1.5
    assert outer(3.0) == 2.5
    assert half.targetoptions["nogil"]
