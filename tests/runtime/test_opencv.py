"""OpenCV that is damaged, too old or absent is named when pafpose is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from pafpose.runtime.opencv import check_opencv

ROOT = Path(__file__).resolve().parents[2]


def opencv(version: str | None) -> ModuleType:
    module = ModuleType("cv2")
    if version is not None:
        module.__version__ = version  # type: ignore[attr-defined]
    return module


@pytest.mark.parametrize("version", ["4.10.0", "4.12.0-dev", "5.0.0"])
def test_a_new_version_is_fine(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", opencv(version))
    check_opencv()


@pytest.mark.parametrize(
    ("module", "reason"),
    [(opencv("4.9.0"), "4.9.0 is too old"), (opencv(None), "__version__"), (None, "cv2")],
)
def test_another_names_the_reason_and_the_way_out(
    module: ModuleType | None, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", module)  # type: ignore[arg-type]
    with pytest.raises(ImportError, match=f"{reason}.*pip install opencv-python-headless"):
        check_opencv()


def test_importing_pafpose_checks(tmp_path: Path) -> None:
    (tmp_path / "cv2.py").touch()  # what is left when one of two packages was uninstalled
    done = subprocess.run(
        [sys.executable, "-c", "import pafpose"],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and "ImportError: OpenCV is not usable" in done.stderr
