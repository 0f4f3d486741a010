"""Measures of found people against annotations."""

from pafpose.metrics.coco_ap import METRICS, KeypointAP, coco_ap, only_photos, people_to_coco

__all__ = ["METRICS", "KeypointAP", "coco_ap", "only_photos", "people_to_coco"]
