"""The public names of pafpose."""

from .api import load as load
from .api import train as train
from .config import load_config as load_config
from .errors import PafposeError as PafposeError
from .factory import build_datamodule as build_datamodule
from .factory import build_decoder as build_decoder
from .factory import build_network as build_network
from .factory import build_skeleton as build_skeleton
from .factory import build_targets as build_targets
from .fields import Fields as Fields
from .fields import Poses as Poses
from .fields import Targets as Targets
from .inference.people import People as People
from .inference.tracking import Tracker as Tracker
from .skeleton import Skeleton as Skeleton

__version__: str
