"""Lightning callbacks: pictures, speed, progress, averaged weights, first lines, validation at the end."""

from pafpose.training.callbacks.announce import Announce
from pafpose.training.callbacks.ema import EMA
from pafpose.training.callbacks.panels import PanelsCallback
from pafpose.training.callbacks.progress import build_progress
from pafpose.training.callbacks.timing import Timing
from pafpose.training.callbacks.validate_last_step import ValidateLastStep

__all__ = ["EMA", "Announce", "PanelsCallback", "Timing", "ValidateLastStep", "build_progress"]
