"""Lightning callbacks: pictures, speed, progress, averaged weights."""

from pafpose.callbacks.ema import EMA
from pafpose.callbacks.panels import PanelsCallback
from pafpose.callbacks.progress import Progress
from pafpose.callbacks.timing import Timing

__all__ = ["EMA", "PanelsCallback", "Progress", "Timing"]
