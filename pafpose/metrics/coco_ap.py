"""COCO keypoint AP of found people, in pixels of the original photos, with any skeleton's OKS sigmas.

pycocotools is the reference; detections are gathered over all ranks of a distributed run.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pafpose.errors import PafposeError
from pafpose.fields import People
from pafpose.metrics.match import match_detections
from pafpose.skeleton import Skeleton

Detection = dict[str, Any]  # image_id, category_id, keypoints (3 numbers each, flat), score

METRICS = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
_SLICES = ((None, "all"), (0.5, "all"), (0.75, "all"), (None, "medium"), (None, "large"))
_ABSENT = [0.0, 0.0, 0.0]
_NUMBERS = [
    (name, threshold, area) for name, (threshold, area) in zip(METRICS, (*_SLICES, *_SLICES), strict=True)
]


class KeypointAP:
    """Collects detections photo by photo and turns them into COCO's ten numbers.

    Photos are known by their id: one that comes twice (distributed samplers pad with repeats) counts
    once. ``compute`` is collective: under ``torch.distributed`` every rank must call it.
    """

    def __init__(self, *, max_dets: int = 20) -> None:
        if max_dets < 1:
            raise PafposeError(
                f"max_dets={max_dets}: COCO keeps the best 20 people per photo; give 1 or more"
            )
        self.max_dets = int(max_dets)
        self._partial = False  # whether photos without people were told as well
        self._photos: dict[int, list[Detection]] = {}

    def update(self, detections: Iterable[Detection], image_id: int | None = None) -> None:
        """Add COCO results; all people of one photo must come in one call.

        With ``image_id``, the photo that they are of, photos where nobody was found are known too, and
        ``compute`` scores the photos that came, not the whole split.
        """
        photos = _by_photo(detections)
        if image_id is not None:
            photos.setdefault(int(image_id), [])
            self._partial = True
        for number, found in photos.items():
            self._photos.setdefault(number, found)

    def reset(self) -> None:
        """Forget everything."""
        self._photos.clear()
        self._partial = False

    def photos(self) -> dict[int, list[Detection]]:
        """The COCO results of all ranks by photo id, in order of the ids; collective."""
        photos: dict[int, list[Detection]] = {}
        for part in _gather(self._photos):
            for image_id, found in part.items():
                photos.setdefault(image_id, found)
        return dict(sorted(photos.items()))

    def compute(self, ground_truth: Mapping[str, Any], skeleton: Skeleton) -> dict[str, float]:
        """AP AP50 AP75 APM APL AR AR50 AR75 ARM ARL in 0..1."""
        photos = self.photos()
        if any(_gather(self._partial)):
            ground_truth = only_photos(ground_truth, photos.keys())
        found = [detection for detections in photos.values() for detection in detections]
        return coco_ap(found, ground_truth, skeleton, max_dets=self.max_dets)


def only_photos(ground_truth: Mapping[str, Any], image_ids: Collection[int]) -> dict[str, Any]:
    """The COCO dict of some photos of another."""
    return {
        "images": [image for image in ground_truth["images"] if image["id"] in image_ids],
        "annotations": [a for a in ground_truth["annotations"] if a["image_id"] in image_ids],
        "categories": ground_truth["categories"],
    }


def people_to_coco(
    people: People, image_id: int, skeleton: Skeleton, *, category_id: int = 1
) -> list[Detection]:
    """COCO results of people in pixels of the original photo: scored keypoints only, 0, 0, 0 when absent.

    COCO's integer coordinates are pixel indices, which is our frame, so nothing is shifted.
    """
    keypoints = people.keypoints.detach().float().cpu().numpy()[:, list(skeleton.scored)]
    rows = (
        np.where(keypoints[..., 2:] > 0, keypoints, 0)
        .astype(np.float64)
        .reshape(len(keypoints), 3 * keypoints.shape[1])
    )
    scores = people.scores.detach().float().cpu().tolist()
    return [
        {
            "image_id": int(image_id),
            "category_id": category_id,
            "keypoints": np.round(row, 3).tolist(),
            "score": float(score),
        }
        for row, score in zip(rows, scores, strict=True)
    ]


def coco_ap(
    detections: Sequence[Detection],
    ground_truth: Mapping[str, Any],
    skeleton: Skeleton,
    *,
    max_dets: int = 20,
    areas: Sequence[str] = ("all", "medium", "large"),
    backend: str = "fast",
) -> dict[str, float]:
    """COCO's ten keypoint numbers in 0..1; 0 without detections and where there is no ground truth.

    ``ground_truth`` is a COCO dict (images, annotations, categories) in the data set's own keypoint
    order. With ``areas=("all",)`` the numbers by size of person are left out, which saves
    time. ``backend``: ``fast`` is pycocotools with its two innermost steps compiled or taken at once,
    ``pycocotools`` is pycocotools alone; the numbers are equal. Raises ``PafposeError`` for detections of
    photos that it does not list, and for other backends.
    """
    if backend not in BACKENDS:
        raise PafposeError(f"evaluate.backend={backend!r}: choose one of {', '.join(BACKENDS)}")
    known = {image["id"] for image in ground_truth["images"]}
    strange = sorted({d["image_id"] for d in detections} - known)
    if strange:
        raise PafposeError(
            f"{len(strange)} photos with detections are not in the annotations, the first with id "
            f"{strange[0]}; evaluate against the annotations of the photos that were predicted"
        )
    if not detections:
        return {name: 0.0 for name, _, area in _NUMBERS if area in areas}
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        truth = _coco_truth(ground_truth, skeleton)
        kind = BACKENDS[backend]
        return _summary(_run_cocoeval(detections, truth, skeleton, max_dets=max_dets, areas=areas, kind=kind))


def _by_photo(detections: Iterable[Detection]) -> dict[int, list[Detection]]:
    photos: dict[int, list[Detection]] = {}
    for detection in detections:
        photos.setdefault(int(detection["image_id"]), []).append(detection)
    return photos


def _gather(part: Any) -> list[Any]:
    """``part`` of every rank, in rank order."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [part]
    parts: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, part)
    return parts


def scored_annotations(ground_truth: Mapping[str, Any], skeleton: Skeleton) -> list[dict[str, Any]]:
    """Annotations with scored keypoints in skeleton order and the keys that COCOeval insists on."""
    columns = {c["id"]: _columns(c.get("keypoints"), skeleton) for c in ground_truth["categories"]}
    return [
        _annotation(annotation, number, columns[annotation["category_id"]])
        for number, annotation in enumerate(ground_truth["annotations"], start=1)
    ]


def _coco_truth(ground_truth: Mapping[str, Any], skeleton: Skeleton) -> COCO:
    truth = COCO()
    truth.dataset = {
        "images": list(ground_truth["images"]),
        "categories": [{"id": 1}],  # the skeleton says what is looked for, whatever its category is called
        "annotations": scored_annotations(ground_truth, skeleton),
    }
    truth.createIndex()
    return truth


def _columns(names: Sequence[str] | None, skeleton: Skeleton) -> list[int]:
    """For every scored keypoint its place in the data set's list; -1 when the data set has no such one."""
    wanted = [skeleton.keypoints[k] for k in skeleton.scored]
    if not names:
        return list(range(len(wanted)))
    return [list(names).index(name) if name in names else -1 for name in wanted]


def _annotation(annotation: Mapping[str, Any], number: int, columns: Sequence[int]) -> dict[str, Any]:
    given = list(annotation.get("keypoints") or [])
    keypoints: list[float] = []
    for column in columns:
        known = 0 <= 3 * column < len(given)
        keypoints += [float(value) for value in given[3 * column : 3 * column + 3]] if known else _ABSENT
    box = annotation["bbox"]
    return {
        "id": number,  # COCOeval takes 0 for "no match", so ids of our own
        "image_id": annotation["image_id"],
        "category_id": 1,
        "bbox": list(box),
        "area": float(annotation.get("area", box[2] * box[3])),
        "iscrowd": int(annotation.get("iscrowd", 0)),
        "keypoints": keypoints,
        "num_keypoints": sum(v > 0 for v in keypoints[2::3]),
    }


class _Evaluation(COCOeval):
    """COCOeval whose similarities of a photo are taken at once and whose matching is compiled."""

    def computeOks(self, imgId: int, catId: int) -> Any:
        """OKS ``(detections, people)``, surest detections first; an empty list where there is no pair."""
        people, found = self._gts[imgId, catId], self._dts[imgId, catId]
        if not people or not found:
            return []
        order = np.argsort([-d["score"] for d in found], kind="mergesort")[: self.params.maxDets[-1]]
        xy = np.array([found[n]["keypoints"] for n in order], np.float64).reshape(len(order), -1, 3)[..., :2]
        variances = (2 * np.asarray(self.params.kpt_oks_sigmas)) ** 2
        return np.stack([_oks(xy, person, variances) for person in people], 1)

    def evaluateImg(
        self, imgId: int, catId: int, aRng: Sequence[float], maxDet: int
    ) -> dict[str, Any] | None:
        """Matches of one photo for people of an area range, in the form that ``accumulate`` takes."""
        people, found = self._gts[imgId, catId], self._dts[imgId, catId]
        if not people and not found:
            return None
        ignored = np.array([bool(g["ignore"]) or not aRng[0] <= g["area"] <= aRng[1] for g in people], bool)
        order = np.argsort(ignored, kind="mergesort")
        scores = np.array([d["score"] for d in found], np.float64)
        surest = np.argsort(-scores, kind="mergesort")[:maxDet]
        ignored, thresholds = ignored[order], np.asarray(self.params.iouThrs, np.float64)
        crowd = np.array([bool(people[g]["iscrowd"]) for g in order], bool)
        matches = np.full((len(thresholds), len(surest)), -1)
        if people and found:
            similarity = np.ascontiguousarray(self.ious[imgId, catId][:, order])
            matches = match_detections(similarity, ignored, crowd, thresholds)
        outside = np.array([not aRng[0] <= found[d]["area"] <= aRng[1] for d in surest], bool)
        missed = matches < 0
        skipped = ignored[matches] if people else np.zeros_like(missed)
        return {
            "dtScores": scores[surest].tolist(),
            "dtMatches": ~missed,
            "dtIgnore": np.where(missed, outside, skipped),
            "gtIgnore": ignored,
        }


BACKENDS: dict[str, type[COCOeval]] = {"fast": _Evaluation, "pycocotools": COCOeval}


def _oks(xy: np.ndarray, person: Mapping[str, Any], variances: np.ndarray) -> np.ndarray:
    """Similarity ``(N,)`` of detections ``xy (N, K, 2)`` to an annotated person, as COCOeval defines it.

    For a person without labelled keypoints the distance is that to the box grown to three times its size.
    """
    keypoints = np.array(person["keypoints"], np.float64).reshape(-1, 3)
    labelled = keypoints[:, 2] > 0
    if labelled.any():
        xy, variances = xy[:, labelled], variances[labelled]
        offset = xy - keypoints[labelled, :2]
    else:
        x, y, width, height = person["bbox"]
        low, high = np.array([x - width, y - height]), np.array([x + 2 * width, y + 2 * height])
        offset = np.maximum(low - xy, 0) + np.maximum(xy - high, 0)
    error = (offset**2).sum(-1) / variances / (person["area"] + np.spacing(1)) / 2
    return np.exp(-error).sum(-1) / error.shape[-1]


def _run_cocoeval(
    detections: Sequence[Detection],
    truth: COCO,
    skeleton: Skeleton,
    *,
    max_dets: int,
    areas: Sequence[str],
    kind: type[COCOeval],
) -> COCOeval:
    found = truth.loadRes([d | {"category_id": 1} for d in detections])  # copies: loadRes writes into them
    evaluation = kind(truth, found, "keypoints")
    params = evaluation.params
    params.kpt_oks_sigmas = np.array([skeleton.sigmas[k] for k in skeleton.scored])
    params.maxDets = [max_dets]
    wanted = [n for n, label in enumerate(params.areaRngLbl) if label in areas]
    params.areaRng = [params.areaRng[n] for n in wanted]
    params.areaRngLbl = [params.areaRngLbl[n] for n in wanted]
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation


def _summary(evaluation: COCOeval) -> dict[str, float]:
    """COCOeval.summarize without its printing and its fixed 20 detections; only areas that were evaluated."""
    precision, recall = (
        evaluation.eval["precision"],
        evaluation.eval["recall"],
    )  # (T, R, 1, A, 1), (T, 1, A, 1)
    labels, thresholds = evaluation.params.areaRngLbl, evaluation.params.iouThrs
    values = {}
    for name, threshold, area in _NUMBERS:
        if area in labels:
            rows = slice(None) if threshold is None else np.isclose(thresholds, threshold)
            table = precision if name.startswith("AP") else recall
            part = table[rows, ..., labels.index(area), :]
            counted = part[part > -1]  # -1: no ground truth there
            values[name] = float(counted.mean()) if counted.size else 0.0
    return values
