"""The kinds of findings of an audit, how bad each is, and the findings themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pafpose.errors import PafposeError


class Kind(NamedTuple):
    """A kind of finding; an ``error`` would stop or spoil a training, the others are worth a look."""

    error: bool
    title: str
    advice: str


KINDS: dict[str, Kind] = {
    "unusable": Kind(True, "Annotations that cannot be read", "see the message; the rest is unchecked"),
    "empty": Kind(True, "Splits without a labelled keypoint", "check skeleton and categories[].keypoints"),
    "duplicate_image_id": Kind(True, "Duplicate image ids", "give every photo its own id"),
    "duplicate_annotation_id": Kind(True, "Duplicate annotation ids", "renumber the annotations"),
    "unknown_image": Kind(True, "Annotations of unlisted photos", "list the photo, or drop the annotation"),
    "unknown_category": Kind(True, "Annotations of unlisted categories", "list the category in categories"),
    "bad_value": Kind(True, "Values that are no numbers", "write numbers; they count as not given"),
    "wrong_length": Kind(True, "Keypoint lists of the wrong length", "write three numbers for each keypoint"),
    "not_finite": Kind(True, "NaN, infinite or huge coordinates", "correct them; they count as not given"),
    "bad_mask": Kind(True, "Masks that do not fit their photo", "see docs/formats.md for what is read"),
    "missing_file": Kind(True, "Missing photos", "fetch them, or drop them from the annotations"),
    "unreadable_file": Kind(True, "Unreadable photos", "fetch them again, or train with data.on_error=skip"),
    "wrong_size": Kind(True, "Photos of another size than stated", "use the photos that were annotated"),
    "overlap": Kind(True, "Photos in both splits", "remove them from one of the two"),
    "no_area": Kind(True, "Boxes without area", "give the person a box of positive width and height"),
    "collapsed": Kind(True, "People whose keypoints lie in one place", "label them again, or drop them"),
    "swapped_sides": Kind(False, "Left and right that look swapped", "swap them if the picture confirms it"),
    "outside_photo": Kind(False, "Keypoints outside their photo", "set v = 0 where nothing is shown"),
    "box_outside_photo": Kind(False, "Boxes that reach beyond their photo", "clip them at the border"),
    "far_from_box": Kind(False, "Keypoints far outside their person's box", "check whose they are"),
    "bad_visibility": Kind(False, "Visibility other than 0, 1 or 2", "correct it; other values are clipped"),
    "wrong_num_keypoints": Kind(False, "num_keypoints that is wrong", "recount; COCO's tools rely on it"),
    "same_person": Kind(False, "People annotated twice", "drop one; AP counts the other as missed"),
    "corner_boxes": Kind(False, "Boxes that look like two corners", "write bbox as x, y, width, height"),
    "odd_area": Kind(False, "Areas that do not fit their boxes", "correct them; a share of the box is used"),
    "other_category": Kind(False, "Categories of another skeleton", "they are left out"),
    "duplicate_file": Kind(False, "Photos listed twice", "list each photo once, with all its people"),
    "duplicate_picture": Kind(False, "Pictures that occur twice in a split", "keep one of them"),
    "turned": Kind(False, "Photos with an EXIF rotation", "check that labels fit the frame they are read in"),
    "wrong_suffix": Kind(False, "Files with the suffix of another format", "rename them; content decides"),
    "dark_picture": Kind(False, "16-bit pictures of 13 bits or fewer", "stretch them, or store 8 bits"),
    "unlisted_file": Kind(False, "Photos that no annotation file lists", "list them, or ignore them"),
    "never_labelled": Kind(False, "Keypoints that are never labelled", "choose the skeleton that fits"),
}  # fmt: skip
ERRORS = tuple(name for name, kind in KINDS.items() if kind.error)


@dataclass(frozen=True)
class Finding:
    """One thing that was found; ``score`` ranks within a kind, the worst highest."""

    kind: str
    split: str
    text: str
    score: float = 0.0
    file: str | None = None  # the photo, relative to the split's folder
    image_id: int | None = None
    annotation_id: int | None = None
    person: int | None = None  # index in the split's people, to draw the person
    other: str | None = None  # path of the other picture of a pair

    def to_json(self) -> dict[str, Any]:
        """Return what is known, as written to audit.json."""
        keys = ("text", "split", "file", "image_id", "annotation_id")
        values = {key: getattr(self, key) for key in keys} | {"score": round(self.score, 3)}
        return {key: value for key, value in values.items() if value is not None}


@dataclass(frozen=True)
class AuditSettings:
    """The keys of ``check`` in ``conf/check_data.yaml``; checked when made."""

    split: str = "both"
    files: bool = True
    fatal: str | Sequence[str] = "errors"
    margin: float = 1.0
    pictures: int = 6
    listed: int = 200
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.split not in ("both", "train", "val"):
            raise PafposeError(f"check.split={self.split}: choose both, train or val")
        unknown = [kind for kind in self.fatal_kinds if kind not in KINDS]
        if unknown:
            raise PafposeError(
                f"check.fatal={self.fatal}: unknown {', '.join(unknown)}; choose errors, all, none, or a "
                f"list of {', '.join(KINDS)}"
            )
        for key in ("margin", "pictures", "listed"):
            if getattr(self, key) < 0:
                raise PafposeError(f"check.{key}={getattr(self, key)}: choose 0 or more")

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits to audit."""
        return ("train", "val") if self.split == "both" else (self.split,)

    @property
    def fatal_kinds(self) -> tuple[str, ...]:
        """The kinds that make the exit status 1."""
        if isinstance(self.fatal, str):
            named = {"errors": ERRORS, "all": tuple(KINDS), "none": ()}
            return named.get(self.fatal, tuple(self.fatal.split(",")))
        return tuple(self.fatal)
