"""Annotation files: read, brought to one form, indexed and cached."""
