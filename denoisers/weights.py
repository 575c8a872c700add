"""Weights files: safetensors whose metadata name a registered architecture and its arguments.

Nothing in such a file is ever executed: pickles and TorchScript are refused unread.

A file from elsewhere has no such metadata. Then a manifest beside it, of the same name with the
ending `.json`, names the architecture: {"architecture": "dncnn", "arguments": {"depth": 20}}.
"""

import hashlib
import json
from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from denoisers import architectures
from denoisers.errors import BrokenWeights
from denoisers.filling import COUNTER, checked_arguments, filled
from denoisers.placing import placed, tried
from denoisers.reading import LARGEST, is_file, read_whole, refuse_pickle

LARGEST_MANIFEST = 2**16
CPU = torch.device("cpu")


def load_weights(path: Path) -> tuple[nn.Module, str]:
    """Read a network strictly: every tensor by name, shape and type, nothing else in the file.

    Args:
        path: a safetensors file written by :func:`save_weights`, or one with a manifest.

    Returns:
        The network in evaluation mode, in float32 whatever the file holds, and the SHA-256 of the
        file (of file and manifest, one after the other, if there is a manifest).

    Raises:
        BrokenWeights: if the file is missing, damaged, of another shape or not safetensors.
        UnknownArchitecture: if the architecture that it names is not installed.
        NotUsable: if the architecture's package is broken.
    """
    data = read_whole(path)
    tensors, metadata = _parsed(path.name, data)
    said, manifest = _manifest(path, metadata)
    network = filled(path.name, manifest, tensors)
    sha256 = hashlib.sha256(data)
    sha256.update(said)  # a safetensors file says where it ends, so no two pairs look alike
    return network.eval(), sha256.hexdigest()


def load_shipped(name: str) -> tuple[nn.Module, str]:
    """Read the weights of a denoiser that comes with Surety; see :func:`load_weights`."""
    with as_file(files("denoisers") / "weights" / f"{name}.safetensors") as path:
        return load_weights(path)


def save_weights(network: nn.Module, path: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write a network's weights, with its architecture and arguments; the same gives the same file.

    Args:
        network: has the attributes `architecture` and `arguments`.
        path: where to.
        dtype: of the tensors in the file; half the size in torch.bfloat16.

    Raises:
        BrokenWeights: if the arguments could not be read again, or it keeps other things than
            tensors of real numbers.
    """
    path.write_bytes(_encoded(path.name, network, dtype))


def rehearse(
    network: nn.Module, dtype: torch.dtype = torch.float32, device: torch.device = CPU
) -> None:
    """Save a network to memory and load it again, before a training that could not be kept.

    Args:
        network: as :func:`save_weights` takes it.
        dtype: as there.
        device: where it will be run.

    Raises:
        BrokenWeights: if it cannot be saved, or not be loaded again and be the same.
        UnknownArchitecture: if its architecture is not installed.
        NotUsable: if the architecture's package is broken, or the network cannot be run.
    """
    name = "what this network would be saved as"
    for wanted in ("architecture", "arguments"):
        if not hasattr(network, wanted):
            raise BrokenWeights(
                f"{type(network).__name__} has no attribute `{wanted}`, without which its weights "
                "cannot be loaded again"
            )
    data = _encoded(name, network, dtype)
    if len(data) > LARGEST:
        raise BrokenWeights(
            f"the network has {len(data):,} bytes of weights: files up to {LARGEST:,} are loaded"
        )
    tensors, metadata = _parsed(name, data)
    manifest = _manifest(Path(name), metadata)[1]
    loaded = [placed(filled(name, manifest, tensors), device)[0] for _ in range(2)]
    # A last layer that begins with zeros hides what is kept before it.
    seen = [[tried(one, device), *one.buffers()] for one in loaded]
    if not all(torch.equal(first, second) for first, second in zip(*seen, strict=True)):
        raise BrokenWeights(
            f"{type(network).__name__} does not come out of its weights file the same each time: "
            "what it draws at random must be kept in its state (register_buffer)"
        )


def smallest_exact_type(network: nn.Module) -> torch.dtype:
    """Return bfloat16 if the weights are those of such a file, which so loses nothing; or float32.

    Args:
        network: as :func:`load_weights` returns it, always float32.
    """
    tensors = [t for t in network.state_dict().values() if t.is_floating_point()]
    exact = all(torch.equal(t, t.bfloat16().to(t.dtype)) for t in tensors)
    return torch.bfloat16 if exact else torch.float32


def _encoded(name: str, network: nn.Module, dtype: torch.dtype) -> bytes:
    state = network.state_dict()
    if other := [k for k, v in state.items() if not isinstance(v, torch.Tensor) or v.is_complex()]:
        raise BrokenWeights(
            f"{type(network).__name__} keeps {other[0][:60]!r}, which is no tensor of real numbers"
        )
    tensors = {
        key: tensor.detach()
        .to("cpu", dtype if tensor.is_floating_point() else tensor.dtype)
        .clone(memory_format=torch.contiguous_format)
        for key, tensor in state.items()
        if not key.endswith(COUNTER)
    }
    arguments = checked_arguments(name, network.arguments)
    manifest = {
        "architecture": str(network.architecture),
        "arguments": json.dumps(arguments),
    }
    data = save(tensors, manifest)
    # The library writes the metadata in any order, and the file's SHA-256 stands for the network.
    header, rest = _split(data)
    text = json.dumps({**header, "__metadata__": manifest}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + rest


def _parsed(name: str, data: bytes) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Return tensors, floating point as float32, and metadata."""
    try:
        raw = load(data)  # which checks the header, too
        metadata: dict[str, str] = _split(data)[0].get("__metadata__") or {}
        tensors = {k: t.float() if t.is_floating_point() else t for k, t in raw.items()}
    except (SafetensorError, LookupError, RuntimeError, TypeError, ValueError) as error:
        refuse_pickle(name, data)
        raise BrokenWeights(
            f"{name} is damaged, or not safetensors ({type(error).__name__})"
        ) from None
    for key, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise BrokenWeights(f"{name}: the tensor {key[:60]!r} holds values that are not finite")
    return tensors, metadata


def _split(data: bytes) -> tuple[dict[str, Any], bytes]:
    start = 8 + int.from_bytes(data[:8], "little")
    header: dict[str, Any] = json.loads(data[8:start])
    return header, data[start:]


def _manifest(path: Path, metadata: Mapping[str, str]) -> tuple[bytes, dict[str, Any]]:
    """Return the bytes of the manifest beside the file, if it is needed, and what it says."""
    beside = path.with_suffix(".json")
    # Ours have both. An architecture alone may be what another tool calls it.
    if "architecture" in metadata and ("arguments" in metadata or not is_file(beside)):
        try:
            arguments = json.loads(metadata.get("arguments", "{}"))
        except (ValueError, RecursionError):
            raise BrokenWeights(f"{path.name}: the arguments in its metadata are no JSON") from None
        return b"", {"architecture": metadata["architecture"], "arguments": arguments}
    if not is_file(beside):
        raise BrokenWeights(
            f"{path.name} does not say which architecture it is for: put a manifest "
            f'{beside.name} beside it, such as {{"architecture": "dncnn", "arguments": {{}}}}; '
            f"installed are {', '.join(architectures.names())}"
        )
    said = read_whole(beside, LARGEST_MANIFEST)
    try:
        manifest = json.loads(said)
    except (ValueError, RecursionError):
        raise BrokenWeights(f"{beside.name} is no JSON") from None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("architecture"), str):
        raise BrokenWeights(f'{beside.name} must be an object that has an "architecture"')
    if unknown := sorted(manifest.keys() - {"architecture", "arguments"}):
        raise BrokenWeights(
            f'{beside.name} may hold "architecture" and "arguments", not {unknown[0][:60]!r}'
        )
    return said, {"arguments": {}, **manifest}
