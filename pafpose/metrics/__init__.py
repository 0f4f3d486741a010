"""Measures of found people against annotations."""

from pafpose.metrics.coco_ap import (
    METRICS,
    KeypointAP,
    coco_ap,
    count_people,
    only_photos,
    people_to_coco,
    score_text,
)

__all__ = [
    "METRICS",
    "KeypointAP",
    "coco_ap",
    "count_people",
    "only_photos",
    "people_to_coco",
    "score_text",
]
