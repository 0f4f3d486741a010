"""Prediction: sources of pictures, videos, overlays, and the files with everybody who was found."""
