"""OpenCV that is damaged, too old or absent is named when pafpose is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError

import pytest

from pafpose.runtime import opencv
from tests.conftest import ROOT

WHOLE, DAMAGED = ModuleSpec("cv2", None, origin="cv2/__init__.py"), ModuleSpec("cv2", None)


def install(monkeypatch: pytest.MonkeyPatch, spec: ModuleSpec | None, **versions: str) -> None:
    """Pretend that packages of these versions, and what they leave in ``cv2``, are installed."""

    def version(package: str) -> str:
        try:
            return versions[package.replace("-", "_")]
        except KeyError:
            raise PackageNotFoundError(package) from None

    monkeypatch.setattr(opencv, "find_spec", lambda name: spec)
    monkeypatch.setattr(opencv, "version", version)


@pytest.mark.parametrize("package", ["opencv_python", "opencv_python_headless"])
@pytest.mark.parametrize("version", ["4.10.0.84", "4.12.0", "5.0.0.93"])
def test_a_new_version_of_either_package_is_fine(
    package: str, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, WHOLE, **{package: version})
    opencv.check_opencv()


def test_an_opencv_from_elsewhere_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, WHOLE)
    opencv.check_opencv()


@pytest.mark.parametrize(
    ("spec", "version", "reason"),
    [(WHOLE, "4.9.0.80", "4.9.0.80 is too old"), (DAMAGED, "5.0.0", "no code"), (None, "5.0.0", "installed")],
)
def test_another_names_the_reason_and_the_way_out(
    spec: ModuleSpec | None, version: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, spec, opencv_python=version)
    with pytest.raises(ImportError, match=f"{reason}.*pip install opencv-python-headless"):
        opencv.check_opencv()


def test_importing_pafpose_checks() -> None:
    hide = (
        "import importlib.util as util; find = util.find_spec; "
        "util.find_spec = lambda name, *more: None if name == 'cv2' else find(name, *more)"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{hide}; import pafpose"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and "ImportError: OpenCV is not installed" in done.stderr
