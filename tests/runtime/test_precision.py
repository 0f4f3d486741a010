"""precision=auto: decided by what the hardware multiplies, before anything else reads the config."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import pafpose
from pafpose.runtime import precision
from pafpose.runtime.precision import resolve_precision


@pytest.mark.parametrize(("amx", "expected"), [(True, "bf16-mixed"), (False, "32-true")])
def test_auto_asks_the_cpu(monkeypatch: pytest.MonkeyPatch, amx: bool, expected: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    flags = ["sse", "amx_bf16"] if amx else ["sse"]
    monkeypatch.setattr(precision, "_cpu_flags", lambda: flags)
    assert resolve_precision("auto") == expected
    assert pafpose.load_config(["precision=auto"]).trainer.precision == expected


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        ("AVX2", "32-true"),
        ("avx512_core_bf16", "32-true"),
        ("AVX512_CORE_AMX", "bf16-mixed"),
        ("ALL", "bf16-mixed"),
    ],
)
def test_auto_heeds_onednns_limit(monkeypatch: pytest.MonkeyPatch, allowed: str, expected: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(precision, "_cpu_flags", lambda: ["amx_bf16"])
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", allowed)
    assert resolve_precision("auto") == expected


def test_the_flags_of_the_cpu_are_those_that_linux_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = "processor\t: 0\nflags\t\t: fpu sse amx_bf16\nbugs\t\t:\n\nprocessor\t: 1\n"
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: listed)
    assert "amx_bf16" in precision._cpu_flags() and "bugs" not in precision._cpu_flags()


def test_elsewhere_nothing_is_known_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> str:
        raise FileNotFoundError("/proc/cpuinfo")

    monkeypatch.setattr(Path, "read_text", missing)
    assert precision._cpu_flags() == []


@pytest.mark.parametrize(("tensor_cores", "expected"), [(True, "bf16-mixed"), (False, "32-true")])
def test_auto_asks_the_gpu(monkeypatch: pytest.MonkeyPatch, tensor_cores: bool, expected: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: tensor_cores)
    assert resolve_precision("auto") == expected


def test_what_a_user_says_stands() -> None:
    assert resolve_precision("16-mixed") == "16-mixed"
    assert pafpose.load_config(["precision=32-true"]).trainer.precision == "32-true"
