"""A check that ``import cv2`` will give an OpenCV that pafpose can use, without importing it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

OLDEST = (4, 10)
PACKAGES = ("opencv-python-headless", "opencv-python")


def check_opencv() -> None:
    """Raise ``ImportError`` with the way out unless OpenCV is whole and new enough.

    Both packages write the same folder ``cv2``. Where both are installed, uninstalling one takes files of the
    other away, and a folder without code is left. An OpenCV from elsewhere has no version here and may pass.
    """
    spec = find_spec("cv2")
    if spec is None or spec.origin is None:
        state = "is not installed" if spec is None else "is damaged: its folder has no code"
        raise ImportError(f"OpenCV {state}; {_WAY_OUT}")
    for package in PACKAGES:
        try:
            found = version(package)
        except PackageNotFoundError:
            continue
        if tuple(int(part) for part in found.split(".")[:2]) < OLDEST:
            raise ImportError(f"{package} {found} is too old; {_WAY_OUT}")


_WAY_OUT = (
    f"pafpose needs {OLDEST[0]}.{OLDEST[1]} or newer, from opencv-python-headless or from opencv-python, not "
    "both. Run: pip uninstall -y opencv-python opencv-python-headless; pip install opencv-python-headless"
)
