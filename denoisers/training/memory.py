"""Out of memory: told as such, whether the CPU's or a GPU's is full."""

import torch

WORDS = ("can't allocate memory", "not enough memory")


def out_of_memory(error: RuntimeError) -> bool:
    """Tell whether torch failed because the memory is full."""
    return isinstance(error, torch.OutOfMemoryError) or any(w in str(error) for w in WORDS)
