"""Auditing annotations: a table of the people of a split, and what is wrong with them; in photo pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pafpose.data.annotations.tidy import tidy
from pafpose.errors import PafposeError
from pafpose.skeleton import Skeleton
from pafpose.tools.audit.findings import Finding

Json = dict[str, Any]
FAR = 0.25  # of the larger box side: how far outside its box a keypoint is suspicious


@dataclass(frozen=True)
class Table:
    """N photos and M people of a split as they stand in the file, unreadable ones left out."""

    split: str
    photos: list[Json]  # id, file_name, height and width where stated
    photo: np.ndarray  # (M,) row of the photo
    ids: np.ndarray  # (M,) annotation ids
    keypoints: np.ndarray  # (M, K, 3) float64 in skeleton order, as written: NaN stays
    boxes: np.ndarray  # (M, 4) x, y, w, h; NaN where none is given
    crowd: np.ndarray  # (M,) bool

    @property
    def labelled(self) -> np.ndarray:
        """(M, K) bool: v > 0 and finite."""
        return np.isfinite(self.keypoints).all(-1) & (self.keypoints[..., 2] > 0)

    @property
    def sizes(self) -> np.ndarray:
        """(M, 2) stated height and width of each person's photo; NaN where not stated."""
        known = [(p.get("height") or np.nan, p.get("width") or np.nan) for p in self.photos]
        return np.array(known, float).reshape(-1, 2)[self.photo]

    def file(self, person: int) -> str:
        """The photo file of a person."""
        return str(self.photos[self.photo[person]]["file_name"])


def read_table(content: Json, source: Path, split: str, skeleton: Skeleton) -> tuple[Table, list[Finding]]:
    """The people of a split, and the entries that cannot be among them. Raises ``PafposeError``."""
    found = list(_repeated(content, split))
    whole = tidy(content, source)
    photos = list({photo["id"]: photo for photo in reversed(whole["images"])}.values())[::-1]
    rows = {photo["id"]: n for n, photo in enumerate(photos)}
    names = {c["id"]: list(c["keypoints"]) for c in whole["categories"] if c.get("keypoints")}
    if not names:
        raise PafposeError(f"{source}: no category lists its keypoints")
    known = {c["id"] for c in whole["categories"]}
    people: list[Json] = []
    for person in whole["annotations"]:
        fault = _fault(person, rows, known, names)
        if fault:
            found.append(_entry(fault, split, person, photos, rows))
        elif person["category_id"] in names:
            people.append(person)
    keypoints = _keypoints(people, names, skeleton)
    return _table(split, photos, keypoints, people=people, rows=rows), found


def audit_people(table: Table, content: Json, skeleton: Skeleton, margin: float) -> Iterator[Finding]:
    """All checks of single people; ``margin`` px beyond the border are forgiven."""
    scored = list(skeleton.scored)
    labelled = table.labelled[:, scored]
    points, people = table.keypoints[:, scored], ~table.crowd
    names = [skeleton.keypoints[k] for k in scored]

    def each(kind: str, mask: np.ndarray, score: np.ndarray, text: str) -> Iterator[Finding]:
        for m in np.flatnonzero(mask):
            yield _about(table, int(m), kind, text.format(score[m]), float(score[m]))

    broken = ~np.isfinite(points[..., :2]).all(-1) & (np.nan_to_num(points[..., 2], nan=1) != 0)
    broken |= np.isnan(points[..., 2])
    yield from each("not_finite", broken.any(-1), broken.sum(-1), "{:.0f} keypoints are not finite")
    odd = np.isfinite(points[..., 2]) & ~np.isin(points[..., 2], (0, 1, 2))
    yield from each("bad_v", odd.any(-1), odd.sum(-1), "{:.0f} keypoints with v other than 0, 1, 2")
    beyond = np.where(labelled, _beyond(points[..., :2], table.sizes), 0)
    worst = beyond.max(-1, initial=0)
    for m in np.flatnonzero((worst > margin) & people):
        name = names[int(beyond[m].argmax())]
        yield _about(table, int(m), "outside", f"{name} lies {worst[m]:.1f} px outside", float(worst[m]))
    given = np.isfinite(table.boxes).all(-1)
    sides = np.where(given[:, None], table.boxes[:, 2:], 1)
    flat = given & people & (sides <= 0).any(-1)
    yield from each("no_area", flat, sides.min(-1), "a box side of {:.1f} px")
    excess = _box_excess(table.boxes, table.sizes)
    yield from each("box_outside", (excess > margin) & people, excess, "the box reaches {:.1f} px beyond")
    off = np.where(labelled, _off_box(points[..., :2], table.boxes), 0)
    share = off.max(-1, initial=0) / np.maximum(sides.max(-1), 1e-9)
    yield from each(
        "off_box", given & ~flat & people & (share > FAR), share, "{:.2f} box sides outside the box"
    )
    collapsed = _collapsed(points[..., :2], labelled)
    yield from each("degenerate", collapsed & people, labelled.sum(-1), "{:.0f} keypoints in one place")
    if people.any() and labelled[people].any():
        for k in np.flatnonzero(~labelled.any(0)):
            yield Finding("never_labelled", table.split, f"{names[k]} is labelled nowhere in this split")
    yield from _counts(table, content, labelled)
    yield from _same_people(table, labelled, points)


def _fault(person: Json, rows: dict[int, int], known: set[int], names: dict[int, list[str]]) -> str | None:
    if person["image_id"] not in rows:
        return "unknown_image"
    if person.get("category_id") not in known:
        return "unknown_category"
    keypoints = person.get("keypoints")
    order = names.get(person["category_id"])
    if keypoints and order is not None and len(keypoints) != 3 * len(order):
        return "wrong_length"
    return None


def _entry(kind: str, split: str, person: Json, photos: list[Json], rows: dict[int, int]) -> Finding:
    texts = {
        "unknown_image": f"image_id {person['image_id']} is not listed",
        "unknown_category": f"category_id {person.get('category_id')} is not listed",
        "wrong_length": f"{len(person.get('keypoints') or [])} numbers in keypoints",
    }
    row = rows.get(person["image_id"])
    return Finding(
        kind,
        split,
        texts[kind],
        image_id=person["image_id"],
        annotation_id=person["id"],
        file=None if row is None else str(photos[row]["file_name"]),
    )


def _repeated(content: Json, split: str) -> Iterator[Finding]:
    """Ids that stand twice in the file as written."""
    for key, kind in (("images", "duplicate_image_id"), ("annotations", "duplicate_annotation_id")):
        rows = content.get(key) or []
        ids = Counter(str(row["id"]) for row in rows if isinstance(row, dict) and row.get("id") is not None)
        for number, count in ids.items():
            if count > 1:
                yield Finding(kind, split, f"id {number} stands {count} times", score=count)


def _table(
    split: str, photos: list[Json], keypoints: np.ndarray, *, people: list[Json], rows: dict[int, int]
) -> Table:
    boxes = [person.get("bbox") or [np.nan] * 4 for person in people]
    return Table(
        split=split,
        photos=photos,
        photo=np.array([rows[person["image_id"]] for person in people], np.int64),
        ids=np.array([person["id"] for person in people], np.int64),
        keypoints=keypoints,
        boxes=np.array(boxes, float).reshape(-1, 4),
        crowd=np.array([bool(person.get("iscrowd")) for person in people], bool),
    )


def _keypoints(people: list[Json], names: dict[int, list[str]], skeleton: Skeleton) -> np.ndarray:
    """(M, K, 3) in skeleton order, as written."""
    keypoints = np.zeros((len(people), skeleton.num_keypoints, 3))
    for category, order in names.items():
        members = [m for m, person in enumerate(people) if person["category_id"] == category]
        blank = [0.0] * (3 * len(order))
        values = np.array([people[m].get("keypoints") or blank for m in members], float)
        keypoints[members] = skeleton.from_dataset(values.reshape(len(members), len(order), 3), order)
    return keypoints


def _about(table: Table, m: int, kind: str, text: str, score: float) -> Finding:
    photo = table.photos[table.photo[m]]
    return Finding(
        kind,
        table.split,
        text,
        score,
        file=table.file(m),
        image_id=int(photo["id"]),
        annotation_id=int(table.ids[m]),
        person=m,
    )


def _beyond(xy: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """(M, K) px between a point and its photo, whose pixels cover -0.5 .. side - 0.5."""
    ends = np.nan_to_num(sizes[:, None, ::-1], nan=np.inf) - 0.5
    over = np.maximum(np.maximum(-0.5 - xy, xy - ends), 0)
    return np.nan_to_num(over.max(-1))


def _box_excess(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """(M,) px by which a box, counted from the corner of the first pixel, leaves its photo."""
    sides = np.nan_to_num(sizes[:, ::-1], nan=np.inf)
    over = np.concatenate([-boxes[:, :2], boxes[:, :2] + boxes[:, 2:] - sides], -1)
    return np.nan_to_num(over).max(-1, initial=0)


def _off_box(xy: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(M, K) px between a point and its person's box."""
    low, high = boxes[:, None, :2], boxes[:, None, :2] + boxes[:, None, 2:]
    return np.nan_to_num(np.maximum(np.maximum(low - xy, xy - high), 0).max(-1))


def _collapsed(xy: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """(M,) three or more labelled keypoints, half of them or more on top of others."""
    out = np.zeros(len(xy), bool)
    for m in np.flatnonzero(labelled.sum(-1) >= 3):
        own = xy[m, labelled[m]]
        out[m] = np.ptp(own, axis=0).max() < 2 or len(np.unique(own.round(1), axis=0)) <= len(own) / 2
    return out


def _counts(table: Table, content: Json, labelled: np.ndarray) -> Iterator[Finding]:
    stated = {p["id"]: p for p in content["annotations"] if isinstance(p, dict) and "num_keypoints" in p}
    for m, number in enumerate(table.ids.tolist()):
        person = stated.get(number)
        if person is None:
            continue
        row = np.reshape(np.array(person.get("keypoints") or [], float).ravel(), (-1, 3))
        count = int((row[:, 2] > 0).sum())
        if count != person["num_keypoints"]:
            text = f"num_keypoints is {person['num_keypoints']}, {count} are labelled"
            yield _about(table, m, "miscounted", text, abs(count - (person["num_keypoints"] or 0)))


def _same_people(table: Table, labelled: np.ndarray, points: np.ndarray) -> Iterator[Finding]:
    """Pairs in one photo with the same three or more keypoints within a pixel."""
    able = np.flatnonzero(~table.crowd & (labelled.sum(-1) >= 3))
    keys: dict[tuple[Any, ...], int] = {}
    for m in able:
        own = np.where(labelled[m, :, None], points[m, :, :2], -1).round()
        key = (int(table.photo[m]), own.tobytes())
        if key in keys:
            first = int(table.ids[keys[key]])
            yield _about(table, int(m), "same_person", f"the same as annotation {first}", 1.0)
        keys.setdefault(key, int(m))
