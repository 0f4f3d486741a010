"""The tests. A package, so that no other distribution's top-level ``tests`` can take its name."""
