"""Lightning callbacks: checkpoints, averaged weights, pictures, progress, speed, first lines, last step."""

from pafpose.training.callbacks.announce import Announce
from pafpose.training.callbacks.checkpoints import Checkpoints
from pafpose.training.callbacks.ema import EMA
from pafpose.training.callbacks.gradients import PendingGradients
from pafpose.training.callbacks.panels import PanelsCallback
from pafpose.training.callbacks.progress import build_progress
from pafpose.training.callbacks.stop_on_signal import StopOnSignal
from pafpose.training.callbacks.timing import Timing
from pafpose.training.callbacks.validate_last_step import ValidateLastStep

__all__ = [
    "EMA",
    "Announce",
    "Checkpoints",
    "PanelsCallback",
    "PendingGradients",
    "StopOnSignal",
    "Timing",
    "ValidateLastStep",
    "build_progress",
]
