"""Synthetic people: drawn pictures in COCO's layout, for training without a download and for experiments."""
