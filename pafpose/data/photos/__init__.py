"""Photos: read, cropped, augmented, and which of their cells the loss ignores."""
