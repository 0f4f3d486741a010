"""Networks: a backbone gives features at the field stride, a head turns them into stages of fields."""

from __future__ import annotations

from pafpose.models.network import PoseNetwork

__all__ = ["PoseNetwork"]
