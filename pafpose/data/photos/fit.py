"""How a whole photo is fitted into the network's input."""

from __future__ import annotations

from dataclasses import dataclass

from pafpose.errors import PafposeError

FITS = ("long", "height")


@dataclass(frozen=True)
class PhotoFit:
    """The size at which photos are evaluated: ``evaluate.input_size`` and ``evaluate.fit``, checked."""

    input_size: int = 368  # px of the long side, or of the height
    fit: str = "long"  # long | height

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_size", int(self.input_size))
        if self.input_size < 1:
            raise PafposeError(f"evaluate.input_size={self.input_size}: give a number of pixels above 0")
        if self.fit not in FITS:
            raise PafposeError(f"evaluate.fit={self.fit!r}: choose 'long' (long side) or 'height'")
