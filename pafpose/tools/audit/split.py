"""A split as it stands in its annotation file: photos and people, in pixels of the photos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pafpose.data.annotations import formats
from pafpose.data.annotations.faults import Faults
from pafpose.data.annotations.index import PoseIndex
from pafpose.data.annotations.paths import local_name, one_source
from pafpose.data.annotations.tidy import tidy
from pafpose.data.folder import FolderDataModule
from pafpose.data.photo_file import DEFAULT_LIMITS, PhotoLimits
from pafpose.errors import PafposeError, shown
from pafpose.geometry import box_from_corner_frame
from pafpose.skeleton import Skeleton
from pafpose.tools.audit.findings import Finding

Json = dict[str, Any]


@dataclass(frozen=True)
class Split:
    """N photos and M people, crowds among them; entries that cannot be used are left out."""

    name: str
    folder: Path  # of the photos
    skeleton: Skeleton
    photos: list[Json]  # id, file_name, and where stated height and width
    people: list[Json]  # the annotations
    photo_of: np.ndarray  # (M,) index of each person's photo
    keypoints: np.ndarray  # (M, K, 3) in the skeleton's order, as written: NaN stays
    boxes: np.ndarray  # (M, 4) x, y, w, h in the frame of geometry.py; NaN where none is given
    crowd: np.ndarray  # (M,) bool
    limits: PhotoLimits = DEFAULT_LIMITS  # which photos may be opened

    @cached_property
    def labelled(self) -> np.ndarray:
        """(M, K) whether a keypoint has v > 0 and finite numbers."""
        return np.isfinite(self.keypoints).all(-1) & (self.keypoints[..., 2] > 0)

    @cached_property
    def sizes(self) -> np.ndarray:
        """(M, 2) stated width and height of each person's photo; NaN where not stated."""
        known = [(p.get("width") or np.nan, p.get("height") or np.nan) for p in self.photos]
        return np.array(known, float).reshape(-1, 2)[self.photo_of]

    def use_frames_of(self, index: PoseIndex | None) -> None:
        """Take over which photos training reads upright, and their sizes in that frame."""
        rows = {} if index is None else dict(zip(index.ids.tolist(), range(len(index)), strict=True))
        for photo in self.photos:
            row = rows.get(photo["id"])
            if index is not None and row is not None and index.upright[row]:
                height, width = index.size(row)
                photo |= {"upright": True, "height": height, "width": width}

    @property
    def scored_names(self) -> list[str]:
        """The names of the keypoints that data sets annotate."""
        return [self.skeleton.keypoints[k] for k in self.skeleton.scored]

    def about(self, kind: str, person: int, text: str, score: float = 0.0) -> Finding:
        """Return a finding about a person."""
        photo = self.photos[self.photo_of[person]]
        return Finding(
            kind,
            self.name,
            text,
            float(score),
            file=str(photo["file_name"]),
            image_id=int(photo["id"]),
            annotation_id=int(self.people[person]["id"]),
            person=person,
        )


def read_split(data: FolderDataModule, name: str) -> tuple[Split, list[Finding]]:
    """Read a split of a data module; return it with findings about entries that had to be left out.

    Raises ``PafposeError`` when the annotations are missing or cannot be understood.
    """
    folder, files = data.find_split(name)
    source = one_source(files)
    written = formats.read_content(data.format, files, folder, data.skeleton)
    found = list(_duplicate_ids(written, name))
    content = tidy(written, source, Faults(source, "collect"))  # trial.py reports the faults
    keypoint_names = {c["id"]: c["keypoints"] for c in content["categories"] if c["keypoints"]}
    fitting = {number: names for number, names in keypoint_names.items() if data.skeleton.fits(names)}
    if not fitting:
        misfits = map(data.skeleton.misfit, keypoint_names.values())
        raise PafposeError(f"{source}: {next(misfits, 'no category lists its keypoints')}")
    limits, place = data.photo_limits(folder), formats.photos_folder(folder)
    for photo in content["images"]:
        photo["file_name"] = local_name(photo["file_name"], place, limits)
    photos = list({photo["id"]: photo for photo in reversed(content["images"])}.values())[::-1]
    index = {photo["id"]: n for n, photo in enumerate(photos)}
    categories = {category["id"] for category in content["categories"]}
    people: list[Json] = []
    for person in content["annotations"]:
        fault = _fault(person, index, categories)
        if fault:
            photo = index.get(person["image_id"])
            found.append(
                Finding(
                    fault[0],
                    name,
                    fault[1],
                    file=None if photo is None else str(photos[photo]["file_name"]),
                    image_id=person["image_id"],
                    annotation_id=person["id"],
                )
            )
        elif person["category_id"] in fitting:
            people.append(person)
    boxes = np.array([person.get("bbox") or [np.nan] * 4 for person in people], float).reshape(-1, 4)
    split = Split(
        name=name,
        folder=place,
        skeleton=data.skeleton,
        photos=photos,
        people=people,
        photo_of=np.array([index[person["image_id"]] for person in people], np.int64),
        keypoints=_keypoints(people, fitting, data.skeleton),
        boxes=box_from_corner_frame(boxes),
        crowd=np.array([bool(person.get("iscrowd")) for person in people], bool),
        limits=limits,
    )
    return split, found


def _duplicate_ids(content: Mapping[str, Any], split: str) -> Iterator[Finding]:
    for key, kind in (("images", "duplicate_image_id"), ("annotations", "duplicate_annotation_id")):
        rows = content.get(key) or []
        rows = rows if isinstance(rows, list) else []
        ids = Counter(shown(row["id"]) for row in rows if isinstance(row, dict) and row.get("id") is not None)
        for number, count in ids.items():
            if count > 1:
                yield Finding(kind, split, f"id {number} occurs {count} times", score=count)


def _fault(person: Json, photos: Mapping[int, int], categories: set[int]) -> tuple[str, str] | None:
    """Return why an annotation cannot be used, as kind and text; None when it can."""
    if person["image_id"] not in photos:
        return "unknown_image", f"image_id {person['image_id']} is not listed"
    category = person.get("category_id")
    if category not in categories:
        return "unknown_category", f"category_id {category} is not listed"
    return None


def _keypoints(people: Sequence[Json], names: Mapping[int, list[str]], skeleton: Skeleton) -> np.ndarray:
    """Return the keypoints ``(M, K, 3)`` in the skeleton's order."""
    keypoints = np.zeros((len(people), skeleton.num_keypoints, 3))
    for category, order in names.items():
        members = [m for m, person in enumerate(people) if person["category_id"] == category]
        blank = [0.0] * (3 * len(order))
        values = np.array([people[m].get("keypoints") or blank for m in members], float)
        keypoints[members] = skeleton.from_dataset(values.reshape(len(members), len(order), 3), order)
    return keypoints
