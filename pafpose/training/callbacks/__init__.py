"""Lightning callbacks: pictures, speed, progress, averaged weights."""

from pafpose.training.callbacks.ema import EMA
from pafpose.training.callbacks.panels import PanelsCallback
from pafpose.training.callbacks.progress import Progress
from pafpose.training.callbacks.timing import Timing

__all__ = ["EMA", "PanelsCallback", "Progress", "Timing"]
