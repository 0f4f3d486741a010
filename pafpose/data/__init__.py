"""Data: annotation files and photos to batches."""
