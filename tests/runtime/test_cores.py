"""The number of cores, on systems that tell which ones a process may use and on others."""

from __future__ import annotations

import os

import pytest

from pafpose.runtime.cores import usable_cores


def test_a_process_has_the_cores_that_it_may_run_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5, 7}, raising=False)
    assert usable_cores() == 3


@pytest.mark.parametrize(("cores", "expected"), [(6, 6), (None, 1)])
def test_elsewhere_it_has_all(cores: int | None, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS and Windows have no ``sched_getaffinity``."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert usable_cores() == expected
