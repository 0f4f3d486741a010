"""Measures of found people against annotations."""
