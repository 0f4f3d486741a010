"""What every constant of conf/decode is worth: the table of docs/decoding.md.

``python -m benchmarks.decode_constants FOLDER data=coco_mini data.root=DIR --fields NAME=RUN``

Every run is ``scripts/oracle.py`` with one constant changed, on perfect fields and on perturbed ones. Each
RUN is a folder of saved fields (``evaluate.save_fields=true``, or ``benchmarks.published_network``) and gives
one more column, headed NAME. Results of the oracle are kept in FOLDER/results.json as they come, so a stopped
benchmark goes on where it was; FOLDER/constants.md is the table.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.oracle import Results
from pafpose import factory
from pafpose.config import load_config, plain
from pafpose.inference.evaluate import evaluate_saved
from pafpose.inference.saved_fields import SavedFields
from pafpose.runtime.log import quiet_known_warnings

log = logging.getLogger(__name__)

VALUES: Mapping[str, Sequence[object]] = {
    "peak_threshold": (0.02, 0.1, 0.2),
    "min_support": (0, 0.9),
    "refine": ("none", "quadratic"),
    "max_peaks": (20,),
    "split_error": (0, 0.02, 0.08),
    "samples": (5, 20),
    "interpolation": ("cubic",),
    "paf_threshold": (0, 0.05, 0.1),
    "min_ratio": (0.5, 0.7, 0.9),
    "length_factor": (0, 1),
    "near": (0, 4, 12),
    "near_score": (0, 0.2),
    "peak_weight": (0, 1, 2),
    "matching": ("greedy",),
    "min_keypoints": (1, 3),
    "min_sum_per_keypoint": (0, 0.4),
    "min_score": (0.1,),
    "complete": (0, 0.005, 0.05),
}
FIELDS: Mapping[str, tuple[str, ...]] = {
    "clean": (),
    "noise .05": ("oracle.noise=0.05",),
    "blur 4 px, noise .03": ("oracle.blur=4", "oracle.noise=0.03"),
    "10 % dropped": ("oracle.drop=0.1",),
}


PRESETS = ("coco", "openpose", "paper")


def table(results: Results, saved: Mapping[str, SavedFields]) -> str:
    """Return Markdown: AP of the presets, then what each other value adds to the default's."""

    def row(*choices: str) -> list[float]:
        drawn = [results("oracle.detail=total", *choices, *words)["AP"] for words in FIELDS.values()]
        return [*drawn, *(saved_ap(fields, choices) for fields in saved.values())]

    base = row()
    lines = [f"| `decode` | value | {' | '.join([*FIELDS, *saved])} |", f"|{'---|' * (len(base) + 2)}"]
    for preset in ("default", *PRESETS):
        found = base if preset == "default" else row(f"decode={preset}")
        lines.append(f"| {preset} | | {' | '.join(f'{ap:.3f}' for ap in found)} |")
    for key, values in VALUES.items():
        for value in values:
            gains = [ap - own for ap, own in zip(row(f"decode.{key}={value}"), base, strict=True)]
            lines.append(f"| {key} | {value} | {' | '.join(_signed(gain) for gain in gains)} |")
    return "\n".join(lines) + "\n"


def saved_ap(saved: SavedFields, choices: Sequence[str]) -> float:
    """Decode saved fields as the default preset does, but for ``choices``, and return the AP."""
    decode = plain(load_config(["decode=default", *choices]).decode)
    decoder = factory.build_decoder(saved.config | {"decode": decode})
    return evaluate_saved(saved, decoder).metrics["AP"]


def _signed(gain: float) -> str:
    return "0" if abs(gain) < 0.0005 else f"{gain:+.3f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("overrides", nargs="*", help="data=coco_mini data.root=DIR oracle.split=both")
    parser.add_argument("--fields", nargs="*", default=[], metavar="NAME=RUN", help="folders of saved fields")
    given = parser.parse_intermixed_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    quiet_known_warnings()
    path = given.folder / "constants.md"
    results = Results(given.folder, given.overrides)
    saved = {name: SavedFields(run) for name, run in (word.split("=", 1) for word in given.fields)}
    path.write_text(table(results, saved))
    log.info("%s", path)


if __name__ == "__main__":
    main()
