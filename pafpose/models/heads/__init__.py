"""Heads: features to stages of fields; the last stage always has heatmaps and PAFs."""
