"""Mutated uploads against the real decoding path: a few in the suite, 100,000 by `make fuzz`."""
