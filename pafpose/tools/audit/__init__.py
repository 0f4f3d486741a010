"""Auditing a data set before anyone trains on it: annotations, photos, and both splits against each other."""
