"""The interface of everything that can stand in a picture."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from pafpose.synthetic.canvas import Canvas


class Figure(ABC):
    """A person or creature: place it, draw it, then ask for its keypoints."""

    box: np.ndarray  # x0, y0, x1, y1 in the figure's own units

    @abstractmethod
    def place(self, scale: float, offset: complex) -> None:
        """Put the figure into the picture: pixels = units * scale + offset."""

    @abstractmethod
    def draw(self, canvas: Canvas, owner: int) -> None:
        """Draw the figure; every pixel of it belongs to ``owner``."""

    @abstractmethod
    def keypoints(self, names: tuple[str, ...]) -> np.ndarray:
        """Return the positions ``(K,)`` of keypoints, x + iy in pixels."""

    @abstractmethod
    def own_visibility(self, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Return what the figure's own body lets one see of its keypoints.

        First each keypoint's v when nothing else covers it, ``(K,)``; then the parts of the body that show
        it, as bits of an integer, ``(K,)``.
        """
