"""Targets: what a network should say, rendered from keypoints for a whole batch."""

from pafpose.targets.builder import TargetBuilder
from pafpose.targets.settings import HeatmapSettings, MaskSettings, PafSettings

__all__ = ["HeatmapSettings", "MaskSettings", "PafSettings", "TargetBuilder"]
