"""The pictures of docs/decoding.md: how one photo is decoded, and what more people cost.

``python -m benchmarks.decode_pictures docs/images/decoding data=coco_mini data.root=DIR``

The photo's fields are drawn from its annotations, blurred and made noisy, to stand for a network's.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from omegaconf import DictConfig

from benchmarks.decode import growth_table
from pafpose import factory
from pafpose.config import load_config
from pafpose.data.photos.images import evaluation_input, load_image
from pafpose.decode import Decoder
from pafpose.decode.candidates import find_candidates
from pafpose.decode.grouping import group_people
from pafpose.decode.pipeline import locate_peaks
from pafpose.geometry import cell_to_px, px_to_cell, transform_keypoints, transform_points
from pafpose.runtime.log import quiet_known_warnings
from pafpose.tools.oracle import OracleSettings
from pafpose.tools.oracle.annotated_photos import AnnotatedPhoto, read_annotated_photos
from pafpose.tools.oracle.run import perturbed_fields
from pafpose.viz.draw import SHIFT, draw_dot, draw_people, enlarge, fixed_point, write
from pafpose.viz.fields import dim, heatmaps_overlay, pafs_overlay
from pafpose.viz.sheets import Panel, figure, save_figure

log = logging.getLogger(__name__)

PERTURBED = OracleSettings(noise=0.015, blur=4)
LIMB = ("left_shoulder", "left_elbow")
ENLARGED = 2.5
GOOD, BAD, WHITE = (90, 230, 110), (255, 80, 80), (255, 255, 255)


class Steps(NamedTuple):
    """What the decoder finds in one photo; positions in input pixels."""

    peaks: np.ndarray  # (N, 3) x, y, height
    starts: np.ndarray  # (K + 1,): peaks starts[k] to starts[k + 1] - 1 are of keypoint k
    candidates: np.ndarray  # (M, 3) limb, first and second peak
    scores: np.ndarray  # (M,)
    people: np.ndarray  # (P, K, 3)
    person_scores: np.ndarray  # (P,)


def decode_steps(decoder: Decoder, heatmaps: np.ndarray, pafs: np.ndarray) -> Steps:
    """Run the decoder's own steps one by one on fields ``(K + 1, h, w)`` and ``(2 L, h, w)``."""
    parameters = decoder.parameters
    peaks = locate_peaks(heatmaps, parameters)
    candidates = find_candidates(pafs, peaks, parameters.groups.limbs, parameters.lines)
    people, person_scores = group_people(peaks, candidates, parameters.groups)
    placed = peaks.points.copy()
    placed[:, :2] = cell_to_px(placed[:, :2], decoder.stride)
    return Steps(placed, peaks.starts, candidates.ends, candidates.scores, people, person_scores)


def limb_samples(
    decoder: Decoder, pafs: np.ndarray, limb: int, first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return where a line between two peaks reads a limb's field and what it reads there.

    Places ``(n, 2)`` in input pixels, and the field's component along the line ``(n,)``.
    """
    share = np.linspace(0, 1, decoder.settings.samples)[:, None]
    spots = first[:2] + share * (second[:2] - first[:2])
    cells = px_to_cell(spots, decoder.stride).astype(np.float32)
    along = (second[:2] - first[:2]) / max(np.linalg.norm(second[:2] - first[:2]), 1e-9)
    read = [
        cv2.remap(part, cells[:, :1], cells[:, 1:], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0]
        for part in pafs[2 * limb : 2 * limb + 2]
    ]
    return spots, read[0] * along[0] + read[1] * along[1]


def draw_steps(image: np.ndarray, decoder: Decoder, heatmaps: np.ndarray, pafs: np.ndarray) -> list[Panel]:
    """Draw peaks, candidates, scores and people of one network input, RGB: four panels."""
    steps = decode_steps(decoder, heatmaps, pafs)
    big, matrix = enlarge(image, ENLARGED)
    skeleton = decoder.skeleton
    peaks, people = (transform_keypoints(matrix, found) for found in (steps.peaks, steps.people))
    limb = skeleton.limbs.index(tuple(skeleton.keypoints.index(name) for name in LIMB))
    first, second = (peaks[steps.starts[k] : steps.starts[k + 1]] for k in skeleton.limbs[limb])
    accepted = int((steps.candidates[:, 0] == limb).sum())
    field = pafs_overlay(big, pafs, limbs=[limb], legend=False, smooth=True)
    names = " - ".join(name.replace("_", " ") for name in LIMB)
    candidates = f"2 Candidates: {names}"
    return [
        Panel(f"1 Peaks: {len(peaks)} of all kinds", _peaks(big, heatmaps, peaks, decoder)),
        Panel(candidates, _pairs(field, first, second)),
        Panel(
            f"3 Scores: {accepted} of {len(first) * len(second)} pairs accepted",
            _scores(field, decoder, pafs, limb, steps, matrix=matrix),
        ),
        Panel(
            f"4 People: from {len(steps.candidates)} limbs of all kinds",
            draw_people(big, people, skeleton, scores=steps.person_scores),
        ),
    ]  # fmt: skip


def _peaks(image: np.ndarray, heatmaps: np.ndarray, peaks: np.ndarray, decoder: Decoder) -> np.ndarray:
    out = heatmaps_overlay(image, heatmaps, decoder.skeleton)
    for x, y, _ in peaks:
        spot = (round(float(x)), round(float(y)))
        for colour, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.drawMarker(out, spot, colour, cv2.MARKER_CROSS, 11, width, cv2.LINE_AA)
    return out


def _pairs(image: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Draw a line between every two peaks, enlarged (N, 3)."""
    out = image.copy()
    for a in first[:, :2]:
        for b in second[:, :2]:
            cv2.line(out, fixed_point(a), fixed_point(b), WHITE, 1, cv2.LINE_AA, SHIFT)
    for peak in (*first[:, :2], *second[:, :2]):
        draw_dot(out, peak, radius=5, colour=WHITE)
    return out


def _scores(
    image: np.ndarray, decoder: Decoder, pafs: np.ndarray, limb: int, steps: Steps, *, matrix: np.ndarray
) -> np.ndarray:
    """Draw the samples of every pair as dots, and accepted pairs as thick lines with their scores.

    ``matrix`` leads from input pixels to those of ``image``.
    """
    out = dim(image, strength=0.8)
    a, b = decoder.skeleton.limbs[limb]
    labels: list[tuple[str, np.ndarray]] = []
    scores = {
        (i, j): s for (of, i, j), s in zip(steps.candidates.tolist(), steps.scores, strict=True) if of == limb
    }
    for i in range(steps.starts[a], steps.starts[a + 1]):
        for j in range(steps.starts[b], steps.starts[b + 1]):
            samples, values = limb_samples(decoder, pafs, limb, steps.peaks[i], steps.peaks[j])
            start, end = transform_points(matrix, steps.peaks[[i, j], :2])
            if (i, j) in scores:
                cv2.line(out, fixed_point(start), fixed_point(end), WHITE, 3, cv2.LINE_AA, SHIFT)
                labels.append((f"{scores[i, j]:.2f}", start + (0.05 + 0.2 * len(labels)) * (end - start)))
            for place, value in zip(transform_points(matrix, samples), values, strict=True):
                draw_dot(out, place, radius=4, colour=GOOD if value > decoder.settings.paf_threshold else BAD)
    for text, (x, y) in labels:
        write(out, text, (x + 8, y), size=15)
    return out


def draw_growth(rows: Sequence[dict[str, float]], path: Path) -> Path:
    """Chart the milliseconds of each step against the number of people, on small and on larger maps."""
    from matplotlib.figure import Figure

    picture = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = picture.subplots(1, 2)
    small = [row for row in rows if row["map"] == rows[0]["map"]]
    people = [row["people"] for row in small]
    steps = {
        "read_ms": "every value looked at once",
        "peaks_ms": "peaks",
        "limbs_ms": "limb candidates and scores",
        "people_ms": "people",
    }
    total = [sum(row[key] for key in steps) for row in small]
    left.loglog(people, total, "k-o", markersize=4, label="all")
    for key, label in steps.items():
        left.loglog(people, [row[key] for row in small], "-o", markersize=3, label=label)
    left.set_title(f"steps, maps of {small[0]['map']} x {small[0]['map']} cells", fontsize=11)
    for side in dict.fromkeys(row["map"] for row in rows):
        part = [row for row in rows if row["map"] == side]
        times = [sum(row[key] for key in steps) for row in part]
        right.loglog(
            [row["people"] for row in part], times, "-o", markersize=4, label=f"{side} x {side} cells"
        )
    right.set_title("all steps, larger maps", fontsize=11)
    for panel in (left, right):
        panel.xaxis.set_major_formatter("{x:g}")
        panel.yaxis.set_major_formatter("{x:g}")
        panel.set_xlabel("people in the photo")
        panel.set_ylabel("ms, one thread")
        panel.grid(alpha=0.3, which="both")
        panel.legend(fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(path, dpi=75)
    return path


def choose_scene(scenes: Sequence[AnnotatedPhoto], decoder: Decoder) -> AnnotatedPhoto:
    """Of the photos with three to five people who all show the limb, the one whose smallest is largest."""
    ends = [decoder.skeleton.keypoints.index(name) for name in LIMB]

    def worth(scene: AnnotatedPhoto) -> tuple[bool, float]:
        seen = (scene.keypoints[:, ends, 2] > 0).all(-1)
        return bool(seen.all()), float(scene.boxes[:, 3].min())

    some = [scene for scene in scenes if 3 <= len(scene.keypoints) <= 5] or list(scenes)
    return max(some, key=worth)


def draw_photo(cfg: DictConfig, path: Path) -> Path:
    """The four panels for one validation photo of a config of ``oracle``."""
    data, decoder, targets = (
        factory.build_datamodule(cfg),
        factory.build_decoder(cfg),
        factory.build_targets(cfg),
    )
    scenes, _ = read_annotated_photos(data, ("val",))
    scene = choose_scene(scenes, decoder)
    index = data.read_split("val", need_photos=False)
    photo = scene.image_id - 1  # scenes are numbered from 1 in the order of the index
    log.info("photo %s", index.path(photo).name)
    heatmaps, pafs = perturbed_fields([scene], targets, settings=PERTURBED, seed=0)
    image, _, valid = evaluation_input(
        load_image(index.path(photo)),
        input_size=data.evaluate.input_size,
        fit=data.evaluate.fit,
        stride=data.stride,
    )
    rows, columns = (-(-side // data.stride) for side in valid)
    panels = draw_steps(
        image[: valid[0], : valid[1]], decoder,
        np.ascontiguousarray(heatmaps[0, :, :rows, :columns].numpy()),
        np.ascontiguousarray(pafs[0, :, :rows, :columns].numpy()),
    )  # fmt: skip
    return save_figure(figure(panels, columns=2, inches=5.0), path, dpi=80)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw both pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("overrides", nargs="*", help="data=coco_mini data.root=DIR")
    given = parser.parse_intermixed_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    quiet_known_warnings()
    cfg = load_config(given.overrides, name="oracle")
    log.info("%s", draw_photo(cfg, given.folder / "steps.jpg"))
    log.info("%s", draw_growth(growth_table(factory.build_skeleton(cfg)), given.folder / "growth.png"))


if __name__ == "__main__":
    main()
