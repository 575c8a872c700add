"""Faults by really killing things. The suite runs each a few times, `make soak` for minutes."""
