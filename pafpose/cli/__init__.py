"""One module per command; each works without Hydra too. ``scripts/*.py`` are doors to them."""
