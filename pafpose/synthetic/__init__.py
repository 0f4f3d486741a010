"""Synthetic people: drawn pictures in COCO's layout, to train without a download and to run experiments."""
