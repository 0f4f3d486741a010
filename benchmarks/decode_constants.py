"""What every constant of conf/decode is worth: the table of docs/decoding.md.

``python -m benchmarks.decode_constants FOLDER data=coco_mini data.root=DIR oracle.split=both``

Every run is ``scripts/oracle.py`` with one constant changed, on perfect fields and on perturbed ones. Results
are kept in FOLDER/results.json as they come, so a stopped benchmark goes on where it was; FOLDER/constants.md
is the table.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.oracle import Results
from pafpose.runtime.log import quiet_known_warnings

log = logging.getLogger(__name__)

VALUES: Mapping[str, Sequence[object]] = {
    "peak_threshold": (0.02, 0.05, 0.2, 0.3),
    "refine": ("none", "quadratic"),
    "max_peaks": (20,),
    "split_error": (0, 0.02, 0.08),
    "samples": (5, 20),
    "interpolation": ("cubic",),
    "paf_threshold": (0, 0.1, 0.2),
    "min_ratio": (0.5, 0.7, 0.9),
    "length_factor": (0, 1),
    "near": (0, 4, 12),
    "near_score": (0, 0.2),
    "peak_weight": (0, 1, 2),
    "matching": ("greedy",),
    "min_keypoints": (1, 2, 4),
    "min_score": (0, 0.4),
    "complete": (0.05,),
}
FIELDS: Mapping[str, tuple[str, ...]] = {
    "clean": (),
    "noise .05": ("oracle.noise=0.05",),
    "blur 4 px, noise .03": ("oracle.blur=4", "oracle.noise=0.03"),
    "10 % dropped": ("oracle.drop=0.1",),
}


def table(results: Results) -> str:
    """Markdown: AP of the default, then what each other value adds to it, for all ``FIELDS``."""
    base = {name: results("oracle.detail=total", *words)["AP"] for name, words in FIELDS.items()}
    lines = [f"| `decode.` | value | {' | '.join(FIELDS)} |", f"|{'---|' * (len(FIELDS) + 2)}"]
    lines.append(f"| default | | {' | '.join(f'{ap:.3f}' for ap in base.values())} |")
    for key, values in VALUES.items():
        for value in values:
            choice = f"decode.{key}={value}"
            gains = [
                results("oracle.detail=total", choice, *words)["AP"] - base[name]
                for name, words in FIELDS.items()
            ]
            lines.append(f"| {key} | {value} | {' | '.join(_signed(gain) for gain in gains)} |")
    return "\n".join(lines) + "\n"


def _signed(gain: float) -> str:
    return "0" if abs(gain) < 0.0005 else f"{gain:+.3f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("overrides", nargs="*", help="data=coco_mini data.root=DIR oracle.split=both")
    given = parser.parse_intermixed_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    quiet_known_warnings()
    path = given.folder / "constants.md"
    results = Results(given.folder, given.overrides)
    path.write_text(table(results))
    log.info("%s", path)


if __name__ == "__main__":
    main()
