"""pafpose: train multi-person 2D pose networks with part affinity fields."""

from __future__ import annotations

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # importing it would ask the network for its version

__version__ = "0.1.0"
