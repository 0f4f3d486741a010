"""pafpose: train multi-person 2D pose networks with part affinity fields.

The public names are listed in ``__init__.pyi`` and imported when they are first used, because torch and
Lightning take seconds to import.

>>> import pafpose
>>> cfg = pafpose.load_config(["paf.width=8", "heatmap.sigma=7"])
>>> pafpose.build_skeleton(cfg).num_limbs
19
"""

import os

import lazy_loader

from pafpose.runtime.opencv import check_opencv

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # albumentations would look online for a new version
check_opencv()

__version__ = "0.2.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
