"""Run all checks of a data set."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pafpose.data.datamodule import PoseDataModule
from pafpose.data.folder import FolderDataModule
from pafpose.errors import PafposeError
from pafpose.runtime.cores import usable_cores
from pafpose.skeleton import Skeleton
from pafpose.tools.audit.findings import KINDS, AuditSettings, Finding
from pafpose.tools.audit.people import audit_people
from pafpose.tools.audit.photos import audit_photos
from pafpose.tools.audit.split import Split, read_split
from pafpose.tools.audit.trial import Trial, index_split, read_photos

FILE_KINDS = ("missing_file", "unreadable_file", "wrong_size")  # say already why a photo cannot be read


@dataclass
class Audit:
    """The result of an audit; splits that could not be read are missing from ``splits``."""

    name: str  # of the data set
    skeleton: Skeleton
    fatal: tuple[str, ...]  # kinds of findings that are problems
    findings: list[Finding] = field(default_factory=list)
    splits: dict[str, Split] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """The number of findings of each kind that was found, in the order of ``KINDS``."""
        number = Counter(finding.kind for finding in self.findings)
        return {kind: number[kind] for kind in KINDS if number[kind]}

    @property
    def verdict(self) -> str:
        """How sound the data are, in a few words."""
        look = len(self.findings) - self.problems
        problems = f"{self.problems or 'no'} problem{'' if self.problems == 1 else 's'}"
        return f"{problems}; {look} worth a look" if look else problems if self.problems else "clean"

    @property
    def problems(self) -> int:
        """The number of findings of the fatal kinds."""
        return sum(count for kind, count in self.counts.items() if kind in self.fatal)

    def of(self, kind: str) -> list[Finding]:
        """Return the findings of a kind, the worst first."""
        return sorted((f for f in self.findings if f.kind == kind), key=lambda f: -f.score)

    def to_json(self, listed: int) -> dict[str, Any]:
        """Return the content of audit.json, with at most ``listed`` findings of each kind."""
        kinds = {
            kind: {
                "count": count,
                "fatal": kind in self.fatal,
                "title": KINDS[kind].title,
                "findings": [finding.to_json() for finding in self.of(kind)[:listed]],
            }
            for kind, count in self.counts.items()
        }
        return {
            "data": self.name,
            "skeleton": self.skeleton.name,
            "status": "problems" if self.problems else "worth a look" if self.findings else "clean",
            "problems": self.problems,
            "splits": {name: statistics(split) for name, split in self.splits.items()},
            "kinds": kinds,
        }


def run_audit(data: PoseDataModule, settings: AuditSettings) -> Audit:
    """Audit the splits of a data module. Writes nothing; what is found is returned, not raised."""
    if not isinstance(data, FolderDataModule):
        raise PafposeError(
            f"{data.name}: a mix has no annotations of its own; audit each set by itself: data=..."
        )
    data.prepare_data()
    audit = Audit(str(data.name), data.skeleton, settings.fatal_kinds)
    trials: dict[str, Trial] = {}
    for name in settings.splits:
        if name not in data.splits:
            continue  # a part of the training photos
        try:
            audit.splits[name], found = read_split(data, name)
        except PafposeError as error:
            audit.findings.append(Finding("unusable", name, str(error), 1.0))
            continue
        trials[name] = index_split(data, audit.splits[name])
        audit.splits[name].use_frames_of(trials[name].indexed)
        audit.findings += [*found, *audit_people(audit.splits[name], settings.margin)]
    workers = settings.workers or usable_cores()
    if settings.files:
        audit.findings += audit_photos(audit.splits, workers)
    for name, split in audit.splits.items():
        if not split.labelled.any():
            text = f"{len(split.photos)} photos, {len(split.people)} annotations, no labelled keypoint"
            audit.findings.append(Finding("empty", name, text))
        audit.findings += _new_findings(data, audit, trials[name], workers if settings.files else 0)
    return audit


def _new_findings(data: FolderDataModule, audit: Audit, trial: Trial, workers: int) -> list[Finding]:
    """Return what training comes across and no check has found; photos are read unless ``workers`` is 0."""
    of_split = [finding for finding in audit.findings if finding.split == trial.split]
    known = {finding.kind for finding in of_split}
    found = [finding for finding in trial.findings if finding.kind not in known]
    if trial.indexed is not None and workers:
        files = {finding.file for finding in of_split if finding.kind in FILE_KINDS}
        photos = read_photos(data, trial.split, trial.indexed, workers)
        found += [finding for finding in photos if finding.file not in files]
    if trial.stopped and not any(KINDS[finding.kind].error for finding in (*of_split, *found)):
        found.append(Finding("unusable", trial.split, trial.stopped, 1.0))
    return found


def statistics(split: Split) -> dict[str, Any]:
    """Return counts, sizes as least, median and largest, and how often each keypoint is labelled."""
    labelled = split.labelled[:, list(split.skeleton.scored)]
    people = ~split.crowd
    posed = people & labelled.any(-1)
    heights = split.boxes[posed, 3]
    sides = [(p["height"], p["width"]) for p in split.photos if p.get("height") and p.get("width")]
    per_photo = np.bincount(split.photo_of[people], minlength=len(split.photos))
    share = labelled[posed].mean(0) if posed.any() else np.zeros(labelled.shape[1])
    return {
        "photos": len(split.photos),
        "photos_without_people": int((per_photo == 0).sum()),
        "people": int(people.sum()),
        "people_with_keypoints": int(posed.sum()),
        "crowds": int(split.crowd.sum()),
        "most_people_in_a_photo": int(per_photo.max(initial=0)),
        "keypoints_per_person": round(float(labelled[posed].sum(-1).mean()), 2) if posed.any() else 0.0,
        "person_height_px": _range(heights[np.isfinite(heights)]),
        "photo_height_px": _range(np.array([h for h, _ in sides], float)),
        "photo_width_px": _range(np.array([w for _, w in sides], float)),
        "labelled_share": {n: round(float(s), 4) for n, s in zip(split.scored_names, share, strict=True)},
    }


def _range(values: np.ndarray) -> list[float]:
    """Return the least, the median and the largest value."""
    if not len(values):
        return []
    return [round(float(v), 1) for v in (values.min(), np.median(values), values.max())]
