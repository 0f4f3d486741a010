"""Backbones: networks that map images to features; ``base.Backbone`` says what one must offer."""
