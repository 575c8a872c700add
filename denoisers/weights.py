"""Weights files: safetensors whose metadata name a registered architecture and its arguments.

Nothing in such a file is ever executed: pickles and TorchScript are refused unread.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save_file
from torch import nn

from denoisers.errors import BrokenWeights
from denoisers.unet import UNet

ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {"unet": UNet}
LARGEST = 512 * 2**20


def load_weights(path: Path) -> tuple[nn.Module, str]:
    """Read a network strictly: every tensor by name, shape and type, nothing else in the file.

    Args:
        path: a safetensors file written by :func:`save_weights`.

    Returns:
        The network in evaluation mode and the SHA-256 of the file.

    Raises:
        BrokenWeights: if the file is missing, damaged, of another shape or not safetensors.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise BrokenWeights(f"{path.name} has more than {LARGEST:,} bytes")
        data = path.read_bytes()
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        network = _build(path.name, metadata)
        tensors = load(data)
        if any(not t.is_floating_point() or not bool(t.isfinite().all()) for t in tensors.values()):
            raise BrokenWeights(f"{path.name} holds tensors that are not finite numbers")
        network.load_state_dict({name: t.float() for name, t in tensors.items()}, strict=True)
    except BrokenWeights:
        raise
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise BrokenWeights(
            f"{path.name} is no usable weights file ({type(error).__name__}): it must be "
            "safetensors with the tensors of the architecture that it names"
        ) from None
    return network.eval(), hashlib.sha256(data).hexdigest()


def save_weights(network: nn.Module, path: Path) -> None:
    """Write a network's weights as float32, with its architecture and arguments.

    Args:
        network: has the attributes `architecture` and `arguments`.
        path: where to.
    """
    tensors = {k: v.detach().float().contiguous().cpu() for k, v in network.state_dict().items()}
    manifest = {
        "architecture": str(network.architecture),
        "arguments": json.dumps(network.arguments),
    }
    save_file(tensors, path, metadata=manifest)


def _build(name: str, metadata: dict[str, str]) -> nn.Module:
    maker = ARCHITECTURES.get(metadata.get("architecture", ""))
    if maker is None:
        raise BrokenWeights(
            f"{name} names no known architecture: known are {', '.join(ARCHITECTURES)}"
        )
    arguments = json.loads(metadata.get("arguments", "{}"))
    whole = isinstance(arguments, dict) and all(
        type(v) is int and 0 < v <= 1024 for v in arguments.values()
    )
    if not whole:
        raise BrokenWeights(f"{name}: the architecture's arguments must be small whole numbers")
    try:
        with torch.device("cpu"):
            return maker(**arguments)
    except TypeError:
        raise BrokenWeights(f"{name}: the architecture does not take these arguments") from None
