"""What an audit can find: the kinds, how bad each is, and the findings themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pafpose.errors import PafposeError


class Kind(NamedTuple):
    """A kind of finding: ``error`` would stop or spoil a training, the others want a look."""

    error: bool
    title: str
    advice: str


KINDS: dict[str, Kind] = {
    "unusable": Kind(True, "Annotations that cannot be read", "see the message; the rest is unchecked"),
    "empty": Kind(True, "Nobody with labelled keypoints", "check the skeleton and the names in categories"),
    "duplicate_image_id": Kind(True, "Image ids that stand twice", "give every photo an id of its own"),
    "duplicate_annotation_id": Kind(True, "Annotation ids that stand twice", "number the annotations anew"),
    "unknown_image": Kind(True, "Annotations of photos that are not listed", "list the photo or drop them"),
    "unknown_category": Kind(True, "Annotations of a category that is not listed", "list it in categories"),
    "wrong_length": Kind(True, "Keypoints of the wrong number", "three numbers for each of its names"),
    "not_finite": Kind(True, "Numbers that are none (NaN, inf)", "such keypoints count as unlabelled"),
    "bad_mask": Kind(True, "Masks of another size than their photo", "write the RLE for the photo's size"),
    "missing_file": Kind(True, "Photos that are not there", "fetch them, or drop them from the annotations"),
    "unreadable_file": Kind(True, "Photos that cannot be read", "fetch them again, or data.on_error=skip"),
    "wrong_size": Kind(True, "Photos of another size than stated", "use the photos that were annotated"),
    "overlap": Kind(True, "Validation photos that are training photos", "take them out of one split"),
    "no_area": Kind(True, "Boxes without area", "a person needs a box of positive width and height"),
    "degenerate": Kind(True, "Skeletons that collapse into a point", "label them again, or drop them"),
    "swapped": Kind(False, "Left and right that look exchanged", "exchange them where the picture says so"),
    "outside": Kind(False, "Keypoints outside their photo", "v = 0 for what the photo does not show"),
    "box_outside": Kind(False, "Boxes that reach beyond their photo", "cut them at the border"),
    "off_box": Kind(False, "Keypoints far outside their person's box", "hidden parts, or somebody else's"),
    "bad_v": Kind(False, "Visibility that is not 0, 1 or 2", "other values are clipped"),
    "miscounted": Kind(False, "num_keypoints that is not the number labelled", "recount; COCO's AP reads it"),
    "same_person": Kind(False, "People who are annotated twice", "drop one; AP counts the other as missed"),
    "same_file": Kind(False, "Files that are listed twice", "list a photo once, with all its people"),
    "same_picture": Kind(False, "Pictures that are there twice", "keep one; across splits it is an overlap"),
    "turned": Kind(False, "Photos with an EXIF orientation", "labels follow the stated size; look at some"),
    "misnamed": Kind(False, "Files of another kind than their name says", "they are read by content"),
    "unlisted_file": Kind(False, "Photos that no annotation file lists", "list them, or ignore them"),
    "never_labelled": Kind(False, "Keypoints that nobody has", "choose the skeleton that fits"),
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
    person: int | None = None  # row of the split's table, to draw it
    other: str | None = None  # path of the other picture of a pair

    def plain(self) -> dict[str, Any]:
        """For json: what is known."""
        values: dict[str, Any] = {
            "text": self.text,
            "split": self.split,
            "file": self.file,
            "image_id": self.image_id,
        }
        values |= {"annotation_id": self.annotation_id, "score": round(self.score, 3)}
        return {key: value for key, value in values.items() if value is not None}


@dataclass(frozen=True)
class AuditSettings:
    """The keys of ``check``; checked when made."""

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
        """The splits to audit."""
        return ("train", "val") if self.split == "both" else (self.split,)

    @property
    def fatal_kinds(self) -> tuple[str, ...]:
        """The kinds that make the exit status 1."""
        if isinstance(self.fatal, str):
            named = {"errors": ERRORS, "all": tuple(KINDS), "none": ()}
            return named.get(self.fatal, tuple(self.fatal.split(",")))
        return tuple(self.fatal)
