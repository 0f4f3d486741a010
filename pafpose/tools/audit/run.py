"""The whole audit of a data module: findings, figures of each split, and what is needed to draw them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pafpose.data.annotations import formats
from pafpose.data.datamodule import PoseDataModule
from pafpose.data.folder import FolderDataModule
from pafpose.errors import PafposeError
from pafpose.skeleton import Skeleton
from pafpose.tools.audit.annotations import Table, audit_people, read_table
from pafpose.tools.audit.files import audit_copies, audit_files, audit_presence, inspect_all, unlisted
from pafpose.tools.audit.findings import KINDS, AuditSettings, Finding
from pafpose.tools.audit.sides import exchanged


@dataclass
class Audit:
    """What came out; ``tables`` lack splits that could not be read."""

    name: str
    skeleton: Skeleton
    fatal: tuple[str, ...]
    findings: list[Finding] = field(default_factory=list)
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    tables: dict[str, tuple[Table, Path]] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """Findings of each kind that was found, in the order of ``KINDS``."""
        number = Counter(finding.kind for finding in self.findings)
        return {kind: number[kind] for kind in KINDS if number[kind]}

    @property
    def problems(self) -> int:
        """Findings of the fatal kinds."""
        return sum(count for kind, count in self.counts.items() if kind in self.fatal)

    def of(self, kind: str) -> list[Finding]:
        """The findings of a kind, the worst first."""
        return sorted((f for f in self.findings if f.kind == kind), key=lambda f: -f.score)

    def plain(self, listed: int) -> dict[str, Any]:
        """For json, with at most ``listed`` findings of each kind."""
        kinds = {
            kind: {
                "count": count,
                "fatal": kind in self.fatal,
                "title": KINDS[kind].title,
                "findings": [finding.plain() for finding in self.of(kind)[:listed]],
            }
            for kind, count in self.counts.items()
        }
        status = "problems" if self.problems else "clean"
        head = {"data": self.name, "skeleton": self.skeleton.name, "status": status}
        return {**head, "problems": self.problems, "splits": self.figures, "kinds": kinds}


def run_audit(data: PoseDataModule, settings: AuditSettings) -> Audit:
    """Audit the splits of a data module; nothing is written, and nothing raised for what is found."""
    if not isinstance(data, FolderDataModule):
        raise PafposeError(
            f"{data.name}: a mix has no annotations of its own; audit each set by itself: data=..."
        )
    data.prepare_data()
    audit = Audit(str(data.name), data.skeleton, settings.fatal_kinds)
    for split in settings.splits:
        audit.findings += _read(data, split, audit, settings.margin)
    workers = settings.workers or len(os.sched_getaffinity(0))
    if settings.files:
        audit.findings += _files(audit, workers)
    for split, (table, _) in audit.tables.items():
        audit.figures[split] = figures(table, data.skeleton)
    return audit


def _read(data: FolderDataModule, split: str, audit: Audit, margin: float) -> Iterator[Finding]:
    try:
        photos, annotations = data.find_split(split)
        content = formats.read_content(data.format, annotations, photos, data.skeleton)
        table, found = read_table(content, annotations, split, data.skeleton)
    except PafposeError as error:
        yield Finding("unusable", split, str(error), 1.0)
        return
    audit.tables[split] = (table, formats.photos_folder(photos))
    yield from found
    yield from audit_people(table, content, data.skeleton, margin)
    yield from _masks(table, content)
    yield from _sides(table, data.skeleton)
    if not table.labelled.any():
        yield Finding(
            "empty", split, f"{len(table.photos)} photos, {len(table.ids)} annotations, no keypoint"
        )


def _sides(table: Table, skeleton: Skeleton) -> Iterator[Finding]:
    rows = np.flatnonzero(~table.crowd)
    points = np.nan_to_num(table.keypoints[rows], posinf=0, neginf=0)
    for m, pairs, strength in exchanged(points, table.labelled[rows], skeleton):
        person = int(rows[m])
        photo = table.photos[table.photo[person]]
        yield Finding(
            "swapped",
            table.split,
            pairs.replace("_", " "),
            strength,
            file=table.file(person),
            image_id=int(photo["id"]),
            annotation_id=int(table.ids[person]),
            person=person,
        )


def _masks(table: Table, content: dict[str, Any]) -> Iterator[Finding]:
    sizes = {p["id"]: [p.get("height"), p.get("width")] for p in table.photos}
    names = {p["id"]: str(p["file_name"]) for p in table.photos}
    for person in content["annotations"]:
        shape = person.get("segmentation")
        stated = sizes.get(person.get("image_id"))
        if isinstance(shape, dict) and stated and all(stated) and list(shape.get("size", stated)) != stated:
            text = f"mask of {shape['size']}, photo of {stated} (height, width)"
            number = person.get("id")
            yield Finding(
                "bad_mask",
                table.split,
                text,
                1.0,
                file=names[person["image_id"]],
                image_id=person["image_id"],
                annotation_id=number,
            )


def _files(audit: Audit, workers: int) -> Iterator[Finding]:
    listed: dict[Path, set[str]] = {}
    for table, folder in audit.tables.values():
        listed.setdefault(folder, set()).update(str(photo["file_name"]) for photo in table.photos)
    paths = [folder / name for folder, names in listed.items() for name in sorted(names)]
    facts = inspect_all([path for path in paths if path.is_file()], workers)
    for split, (table, folder) in audit.tables.items():
        yield from audit_presence(table, folder)
        yield from audit_files(table, folder, facts)
        if folder in listed:
            yield from unlisted(folder, listed.pop(folder), split)
    yield from audit_copies(audit.tables, facts)


def figures(table: Table, skeleton: Skeleton) -> dict[str, Any]:
    """Counts, sizes, and how often each keypoint is labelled."""
    labelled = table.labelled[:, list(skeleton.scored)]
    people = ~table.crowd
    posed = people & labelled.any(-1)
    heights = table.boxes[posed, 3]
    sides = [(p["height"], p["width"]) for p in table.photos if p.get("height") and p.get("width")]
    per_photo = np.bincount(table.photo[people], minlength=len(table.photos))
    names = [skeleton.keypoints[k] for k in skeleton.scored]
    share = labelled[posed].mean(0) if posed.any() else np.zeros(len(names))
    return {
        "photos": len(table.photos),
        "photos_without_people": int((per_photo == 0).sum()),
        "people": int(people.sum()),
        "people_with_keypoints": int(posed.sum()),
        "crowds": int(table.crowd.sum()),
        "most_people_in_a_photo": int(per_photo.max(initial=0)),
        "keypoints_per_person": round(float(labelled[posed].sum(-1).mean()), 2) if posed.any() else 0.0,
        "person_height_px": _quartiles(heights[np.isfinite(heights)]),
        "photo_height_px": _quartiles(np.array([h for h, _ in sides], float)),
        "photo_width_px": _quartiles(np.array([w for _, w in sides], float)),
        "labelled_share": {name: round(float(s), 4) for name, s in zip(names, share, strict=True)},
    }


def _quartiles(values: np.ndarray) -> list[float]:
    """Least, median and largest."""
    if not len(values):
        return []
    return [round(float(v), 1) for v in (values.min(), np.median(values), values.max())]
