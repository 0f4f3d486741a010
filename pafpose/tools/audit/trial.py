"""The audit's trial: read a split with the code of training, so that a clean set trains."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from pafpose.data.annotations.faults import Fault, Faults
from pafpose.data.annotations.index import PoseIndex
from pafpose.data.annotations.paths import one_source
from pafpose.data.dataset import EvalDataset
from pafpose.data.folder import FolderDataModule
from pafpose.errors import PafposeError
from pafpose.tools.audit.findings import Finding
from pafpose.tools.audit.split import Split


class Trial(NamedTuple):
    """What happened to a split."""

    split: str
    indexed: PoseIndex | None  # None if the annotations cannot be read
    findings: list[Finding]  # about single values, and about the file
    stopped: str  # why training would stop; empty if it would not


def index_split(data: FolderDataModule, split: Split) -> Trial:
    """Index a split and choose its samples as training does."""
    name = split.name
    photos, annotations = data.find_split(name)
    faults = Faults(one_source(annotations), "collect")
    index, reason = None, ""
    try:
        index = data.read_whole(photos, annotations, faults)
        data.make_dataset(name, index)
    except PafposeError as error:
        reason = str(error)
    found = [_finding(fault, split) for fault in faults.found]
    known = {finding.kind for finding in found}
    notes = index.notes.tolist() if index is not None else []
    found += [Finding(kind, name, text) for kind, text in notes if kind not in known]
    return Trial(name, index, found, reason)


def _finding(fault: Fault, split: Split) -> Finding:
    """Return a fault as a finding, with the person whom a picture can show."""
    rows = [m for m, person in enumerate(split.people) if person["id"] == fault.annotation_id]
    if rows:
        return split.about(fault.kind, rows[0], fault.text, 1.0)
    numbers = {"image_id": fault.image_id, "annotation_id": fault.annotation_id}
    return Finding(fault.kind, split.name, fault.text, 1.0, **numbers)


def read_photos(data: FolderDataModule, name: str, index: PoseIndex, workers: int) -> Iterator[Finding]:
    """Make the sample of every photo, picture and labels, as validation does; yield what cannot be read."""
    dataset = EvalDataset(
        index, data.skeleton, fit=data.evaluate, mask=data.mask, stride=data.stride, on_error="raise"
    )

    def fault(item: int) -> str:
        try:
            dataset[item]
        except PafposeError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(workers) as pool:  # decoding releases Python's lock
        for item, text in enumerate(pool.map(fault, range(len(dataset)))):
            if text:
                photo = int(dataset.photos[item])
                yield Finding(
                    "unreadable_file",
                    name,
                    text.removeprefix(f"{index.path(photo)}: "),
                    1.0,
                    file=str(index.files[photo]),
                    image_id=int(index.ids[photo]),
                )
