"""Convert the published weights of other projects to checkpoints of pafpose."""

from __future__ import annotations

from pafpose.tools.convert.convert import convert_weights, guess_layout, read_weights
from pafpose.tools.convert.layouts import LAYOUTS, Layer, Layout

__all__ = ["LAYOUTS", "Layer", "Layout", "convert_weights", "guess_layout", "read_weights"]
