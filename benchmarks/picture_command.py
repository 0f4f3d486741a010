"""The command line that the makers of docs' pictures share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pafpose.viz import save_picture


def draw_from_command_line(
    draw: Callable[[Path, Path], np.ndarray], description: str | None, arguments: Sequence[str] | None
) -> None:
    """Read RUN PHOTO OUTPUT and write to OUTPUT what ``draw(RUN, PHOTO)`` returns, RGB."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("run", "photo", "output"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args(arguments)
    save_picture(draw(given.run, given.photo), given.output)
