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
from pafpose.decode.decoder import group_links
from pafpose.decode.limbs import find_links
from pafpose.decode.peaks import find_peaks
from pafpose.runtime.log import quiet_known_warnings
from pafpose.tools.oracle import OracleSettings
from pafpose.tools.oracle.run import perturbed_fields
from pafpose.tools.oracle.scenes import Scene, read_scenes
from pafpose.viz.draw import draw_people, enlarge, enlarge_points, write
from pafpose.viz.fields import dim, heatmaps_overlay, pafs_overlay
from pafpose.viz.sheets import Panel, figure, save_figure

log = logging.getLogger(__name__)

PERTURBED = OracleSettings(noise=0.015, blur=4)
LIMB = ("left_shoulder", "left_elbow")
ENLARGED = 2.5
GOOD, BAD, GREY = (90, 230, 110), (255, 80, 80), (150, 150, 150)
_SHIFT = 4  # cv2 takes coordinates in 1/16 pixel


class Steps(NamedTuple):
    """What the decoder finds in one photo; peaks and samples in input px."""

    peaks: np.ndarray  # (N, 3) x, y, height
    starts: np.ndarray  # (K + 1,) of the kinds
    links: np.ndarray  # (M, 3) limb, first and second peak
    scores: np.ndarray  # (M,)
    people: np.ndarray  # (P, K, 3)
    person_scores: np.ndarray  # (P,)


def decode_steps(decoder: Decoder, heatmaps: np.ndarray, pafs: np.ndarray) -> Steps:
    """The decoder's own kernels one by one on fields ``(K + 1, h, w)``, ``(2 L, h, w)``."""
    plan, (height, width) = decoder.plan, heatmaps.shape[1:]
    peaks, starts = find_peaks(
        heatmaps, plan.scored.size, height, width, plan.peak_threshold, plan.refine, plan.variance,
        plan.max_peaks, plan.split_error,
    )  # fmt: skip
    links, scores = find_links(
        pafs, height, width, plan.limbs, peaks, starts, plan.positions, plan.needed, plan.paf_threshold,
        plan.length_factor, plan.near, plan.near_score, plan.cubic,
    )  # fmt: skip
    people, person_scores = group_links(peaks, starts, links, scores, plan)
    placed = peaks.copy()
    placed[:, :2] = peaks[:, :2] * plan.stride + (plan.stride - 1) / 2
    return Steps(placed, starts, links, scores, people, person_scores)


def limb_samples(
    decoder: Decoder, pafs: np.ndarray, limb: int, first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where a line (px) reads a limb's field, ``(n, 2)`` px, and field times direction there, ``(n,)``."""
    share = np.sort(decoder.plan.positions)[:, None]
    spots = first[:2] + share * (second[:2] - first[:2])
    cells = ((spots - (decoder.stride - 1) / 2) / decoder.stride).astype(np.float32)
    along = (second[:2] - first[:2]) / max(np.linalg.norm(second[:2] - first[:2]), 1e-9)
    read = [
        cv2.remap(part, cells[:, :1], cells[:, 1:], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0]
        for part in pafs[2 * limb : 2 * limb + 2]
    ]
    return spots, read[0] * along[0] + read[1] * along[1]


def draw_steps(image: np.ndarray, decoder: Decoder, heatmaps: np.ndarray, pafs: np.ndarray) -> list[Panel]:
    """Four panels of one photo, RGB of the network input: peaks, candidates, scores, people."""
    steps = decode_steps(decoder, heatmaps, pafs)
    big = enlarge(image, ENLARGED)
    skeleton = decoder.skeleton
    peaks = enlarge_points(steps.peaks, ENLARGED)
    limb = skeleton.limbs.index(tuple(skeleton.keypoints.index(name) for name in LIMB))
    first, second = (peaks[steps.starts[k] : steps.starts[k + 1]] for k in skeleton.limbs[limb])
    accepted = int((steps.links[:, 0] == limb).sum())
    field = pafs_overlay(big, pafs, limbs=[limb], legend=False, smooth=True)
    names = " - ".join(name.replace("_", " ") for name in LIMB)
    candidates = f"2 Candidates: {names}"
    return [
        Panel(f"1 Peaks: {len(peaks)} of all kinds", _peaks(big, heatmaps, peaks, decoder)),
        Panel(candidates, _pairs(field, first, second)),
        Panel(
            f"3 Scores: {accepted} of {len(first) * len(second)} pairs accepted",
            _scores(field, decoder, pafs, limb, steps),
        ),
        Panel(
            f"4 People: from {len(steps.links)} limbs of all kinds",
            draw_people(big, enlarge_points(steps.people, ENLARGED), skeleton, scores=steps.person_scores),
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
    out = image.copy()
    for a in first:
        for b in second:
            cv2.line(out, _fixed(a), _fixed(b), (255, 255, 255), 1, cv2.LINE_AA, _SHIFT)
    for x in (*first, *second):
        cv2.circle(out, _fixed(x), 5 << _SHIFT, (255, 255, 255), -1, cv2.LINE_AA, _SHIFT)
    return out


def _scores(image: np.ndarray, decoder: Decoder, pafs: np.ndarray, limb: int, steps: Steps) -> np.ndarray:
    """Samples of every pair as dots; accepted pairs as thick lines with their scores."""
    out = dim(image, strength=0.8)
    a, b = decoder.skeleton.limbs[limb]
    labels: list[tuple[str, tuple[float, float]]] = []
    scores = {
        (i, j): s for (of, i, j), s in zip(steps.links.tolist(), steps.scores, strict=True) if of == limb
    }
    for i in range(steps.starts[a], steps.starts[a + 1]):
        for j in range(steps.starts[b], steps.starts[b + 1]):
            ends = steps.peaks[i], steps.peaks[j]
            spots, values = limb_samples(decoder, pafs, limb, *ends)
            if (i, j) in scores:
                start, end = (_fixed(enlarge_points(e[None], ENLARGED)[0]) for e in ends)
                cv2.line(out, start, end, (255, 255, 255), 3, cv2.LINE_AA, _SHIFT)
                middle = enlarge_points(
                    (ends[0] + (0.05 + 0.2 * len(labels)) * (ends[1] - ends[0]))[None], ENLARGED
                )[0]
                labels.append((f"{scores[i, j]:.2f}", (float(middle[0]) + 8, float(middle[1]))))
            for spot, value in zip(_enlarged(spots), values, strict=True):
                good = value > decoder.plan.paf_threshold
                cv2.circle(out, _fixed(spot), 4 << _SHIFT, GOOD if good else BAD, -1, cv2.LINE_AA, _SHIFT)
    for text, place in labels:
        write(out, text, place, size=15)
    return out


def _enlarged(spots: np.ndarray) -> np.ndarray:
    return enlarge_points(np.column_stack([spots, np.ones(len(spots))]), ENLARGED)[:, :2]


def _fixed(point: np.ndarray) -> tuple[int, int]:
    return round(float(point[0]) * 2**_SHIFT), round(float(point[1]) * 2**_SHIFT)


def draw_growth(rows: Sequence[dict[str, float]], path: Path) -> Path:
    """Milliseconds of each step against people, at 46 cells a side and on larger maps."""
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


def choose_scene(scenes: Sequence[Scene], decoder: Decoder) -> Scene:
    """Of the photos with three to five people who all show the limb, the one whose smallest is largest."""
    ends = [decoder.skeleton.keypoints.index(name) for name in LIMB]

    def worth(scene: Scene) -> tuple[bool, float]:
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
    scenes, _ = read_scenes(data, ("val",))
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
