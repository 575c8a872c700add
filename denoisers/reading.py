"""Reads a file that should hold a network: bounded, in one go, and never a pickle.

One read, so that what is checked, what is hashed and what is used are the same bytes.
"""

import os
from pathlib import Path

from denoisers.errors import BrokenWeights

LARGEST = 512 * 2**20
PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")  # torch.save
NO_PICKLES = (
    "a pickle or TorchScript file runs whatever its author wrote into it when it is loaded: "
    "save the tensors as safetensors, or export the network to ONNX"
)


def read_whole(path: Path, most: int = LARGEST) -> bytes:
    """Return a file's bytes.

    Args:
        path: a file.
        most: bytes that it may have.

    Raises:
        BrokenWeights: if it is missing, cannot be read, is no regular file or has more bytes.
    """
    if not is_file(path):  # a pipe would never end, nor would /dev/zero
        raise BrokenWeights(f"{path.name} is not there, or is not a file")
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(most + 1) if size <= most else b""  # it may still grow
    except OSError as error:
        raise BrokenWeights(f"{path.name} cannot be read ({error.strerror})") from None
    if max(size, len(data)) > most:
        raise BrokenWeights(f"{path.name} has more than {most:,} bytes")
    return data


def is_file(path: Path) -> bool:
    """Tell whether a path is a regular file's; of one that is not to be looked at, no."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long a name, a folder that is closed to us, a null byte
        return False


def refuse_pickle(name: str, data: bytes) -> None:
    """Tell a pickle for what it is.

    Asked only about what could not be read as safetensors: a sound file of those may begin with
    the same bytes, its header's length.

    Raises:
        BrokenWeights: if it is one.
    """
    if data.startswith(PICKLES):
        raise BrokenWeights(f"{name} is refused unread: {NO_PICKLES}")
