"""A check that ``import cv2`` gives an OpenCV that pafpose can use."""

from __future__ import annotations

OLDEST = (4, 10)


def check_opencv() -> None:
    """Raise ``ImportError`` with the way out unless OpenCV imports and is new enough.

    ``opencv-python`` and ``opencv-python-headless`` write the same folder ``cv2``. Where both are installed,
    uninstalling one takes files of the other away, and an empty package is left.
    """
    try:
        import cv2

        version = str(cv2.__version__)
    except (ImportError, AttributeError) as error:
        raise ImportError(f"OpenCV is not usable ({error}); {_WAY_OUT}") from error
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        raise ImportError(f"OpenCV {version} is too old; {_WAY_OUT}")


_WAY_OUT = (
    f"pafpose needs {OLDEST[0]}.{OLDEST[1]} or newer, from opencv-python-headless or from opencv-python, not "
    "both. Run: pip uninstall -y opencv-python opencv-python-headless; pip install opencv-python-headless"
)
