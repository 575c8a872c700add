"""Denoisers: one architecture per file, their weights, the runtime and the training."""
