"""Kernels: one program for Python, parts for each other, a cache that knows all its sources."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import njit
from numba.core.caching import NullCache

from pafpose.decode import peaks
from pafpose.runtime.jit import kernel, sources_digest
from pafpose.targets import cpu


@kernel
def add(values: np.ndarray, number: int) -> None:
    for i in range(values.size):
        values[i] += number


@kernel(inline=True)
def root(value: float) -> float:
    if value < 0:
        raise ValueError("a negative number has no root")
    return np.sqrt(value)


@kernel(noalias=True)
def total(values: np.ndarray) -> float:
    add(values, 1)
    add(values, 2)
    n = values.size
    add(values, n)
    return root(np.sort(values).sum()) + root(4.0)


for one in (add, root, total):  # compiled anew in every run
    one._cache = NullCache()


def test_a_kernel_and_what_it_calls():
    assert total(np.arange(4.0)) == 34**0.5 + 2
    assert len(total.signatures) == 1


def test_the_called_kernel_is_compiled_once_for_a_type_and_not_for_each_constant():
    total(np.arange(4.0))
    assert len(add.inner.signatures) == 1


def test_a_called_kernel_answers_python_too():
    total(np.arange(4.0))
    values = np.zeros(3)
    add(values, 5)
    np.testing.assert_array_equal(values, 5)
    assert root(9.0) == 3


def test_errors_reach_python():
    with pytest.raises(ValueError, match="no root"):
        total(np.array([-100.0, 1.0]))


def test_functions_that_are_no_kernels_may_call_them():
    total(np.arange(4.0))

    @njit
    def outer(values):
        return total(values) + total(values)

    assert outer(np.zeros(1)) > 0


def test_numba_is_left_as_it_was():
    total(np.arange(4.0))
    codegen = total.targetctx.codegen()
    assert "_library_class" not in vars(codegen)
    assert "set_env" not in vars(codegen)

    @njit
    def alone(values):
        return np.sort(values)[0] + np.median(values)

    assert alone(np.array([3.0, 1.0])) == 3


@pytest.mark.parametrize(("module", "function"), [(peaks, "find_peaks"), (cpu, "draw_pafs")])
def test_cached_kernels_know_all_their_sources(module, function):
    stamp = getattr(module, function)._cache._cache_file._source_stamp
    assert stamp == sources_digest(Path(module.__file__).parent)


def test_a_program_is_loaded_and_not_compiled_again(tmp_path):
    (tmp_path / "some.py").write_text(
        "from pafpose.runtime.jit import kernel\n"
        "@kernel\ndef inner(x): return x + 1\n"
        "@kernel\ndef outer(x): return inner(x) * inner(x)\n"
        "if __name__ == 'some':\n"
        "    assert outer(2.0) == 9\n"
        "    print(sum(outer.stats.cache_hits.values()), sum(inner.inner.stats.cache_misses.values()))\n"
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import some"],
            capture_output=True, text=True, check=True,
        ).stdout.split()
        for _ in range(2)
    ]  # fmt: skip
    assert found == [["0", "1"], ["1", "0"]]
    files = {path.name.split(".")[1].split("-")[0] for path in tmp_path.rglob("*.nbc")}
    assert files == {"outer"}  # nothing of what only kernels call is written


def test_with_another_numba_kernels_compile_as_numba_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numba.__version__", "0.99.0")

    @kernel(inline=True)
    def half(value: float) -> float:
        return value / 2

    @kernel(noalias=True)
    def halves(values: np.ndarray) -> float:
        total = 0.0
        for value in values:
            total += half(value)
        return total

    for one in (half, halves):
        one._cache = NullCache()
        assert type(one).__name__ == "CPUDispatcher"
    assert halves(np.arange(4.0)) == 3
