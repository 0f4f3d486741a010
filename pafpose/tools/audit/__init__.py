"""Audit of a data set before training: annotations, photos, and the two splits against each other."""
