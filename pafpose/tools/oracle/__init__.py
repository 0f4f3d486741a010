"""How well a perfect network could do: ground truth through targets and decoder, and what bounds it."""

from pafpose.tools.oracle.bounds import BOUNDS
from pafpose.tools.oracle.run import OracleResult, run_oracle
from pafpose.tools.oracle.scenes import Scene, read_scenes
from pafpose.tools.oracle.settings import OracleSettings

__all__ = ["BOUNDS", "OracleResult", "OracleSettings", "Scene", "read_scenes", "run_oracle"]
