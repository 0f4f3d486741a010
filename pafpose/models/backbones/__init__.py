"""Backbones: modules with ``out_channels``, ``stride`` and ``normalisation``, images to features."""
