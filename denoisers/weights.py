"""Weights files: safetensors whose metadata name a registered architecture and its arguments.

Nothing in such a file is ever executed: pickles and TorchScript are refused unread.

A file from elsewhere has no such metadata. Then a manifest beside it, of the same name with the
ending `.json`, names the architecture: {"architecture": "dncnn", "arguments": {"depth": 20}}.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save_file
from torch import nn

from denoisers import architectures
from denoisers.errors import BrokenWeights, DenoiserError, UnknownArchitecture

LARGEST = 512 * 2**20
LARGEST_MANIFEST = 2**16
LARGEST_ARGUMENT = 1024
PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")  # torch.save


def load_weights(path: Path) -> tuple[nn.Module, str]:
    """Read a network strictly: every tensor by name, shape and type, nothing else in the file.

    Args:
        path: a safetensors file written by :func:`save_weights`, or one with a manifest.

    Returns:
        The network in evaluation mode, in float32, and the SHA-256 of the file (of file and
        manifest, one after the other, if there is a manifest).

    Raises:
        BrokenWeights: if the file is missing, damaged, of another shape or not safetensors.
        UnknownArchitecture: if the architecture that it names is not installed.
        NotUsable: if the architecture's package is broken.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise BrokenWeights(f"{path.name} has more than {LARGEST:,} bytes")
        data = path.read_bytes()
        if data.startswith(PICKLES):
            raise BrokenWeights(
                f"{path.name} is a pickle or TorchScript, which can run code when it is loaded: "
                "save the tensors as safetensors instead"
            )
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        manifest, said = _manifest(path, metadata)
        tensors = load(data)
        if any(not t.is_floating_point() or not bool(t.isfinite().all()) for t in tensors.values()):
            raise BrokenWeights(f"{path.name} holds tensors that are not finite numbers")
        _fill(_build(path.name, manifest, "meta"), tensors)  # wrong shapes cost no memory
        network = _build(path.name, manifest, "cpu")
        _fill(network, tensors)
    except DenoiserError:
        raise
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise BrokenWeights(
            f"{path.name} is no usable weights file ({type(error).__name__}): it must be "
            "safetensors with the tensors of the architecture that it names"
        ) from None
    return network.eval(), hashlib.sha256(data + said).hexdigest()


def save_weights(network: nn.Module, path: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write a network's weights, with its architecture and arguments.

    Args:
        network: has the attributes `architecture` and `arguments`.
        path: where to.
        dtype: of the tensors in the file; half the size in torch.bfloat16.
    """
    tensors = {
        name: tensor.detach().to(dtype).contiguous().cpu()
        for name, tensor in network.state_dict().items()
        if tensor.is_floating_point()  # a batch norm's count of batches is not needed any more
    }
    manifest = {
        "architecture": str(network.architecture),
        "arguments": json.dumps(network.arguments),
    }
    save_file(tensors, path, metadata=manifest)


def _manifest(path: Path, metadata: dict[str, str]) -> tuple[dict[str, Any], bytes]:
    if "architecture" in metadata:
        arguments = json.loads(metadata.get("arguments", "{}"))
        return {"architecture": metadata["architecture"], "arguments": arguments}, b""
    beside = path.with_suffix(".json")
    try:
        said = beside.read_bytes()[:LARGEST_MANIFEST]
    except OSError:
        raise BrokenWeights(
            f"{path.name} does not say which architecture it is for: put a manifest "
            f'{beside.name} beside it, such as {{"architecture": "dncnn", "arguments": {{}}}}; '
            f"installed are {', '.join(architectures.names())}"
        ) from None
    try:
        manifest = json.loads(said)
    except ValueError:
        raise BrokenWeights(f"{beside.name} is not JSON") from None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("architecture"), str):
        raise BrokenWeights(f'{beside.name} must be an object that has an "architecture"')
    return {"arguments": {}, **manifest}, said


def _build(name: str, manifest: dict[str, Any], device: str) -> nn.Module:
    arguments = manifest["arguments"]
    whole = isinstance(arguments, dict) and all(
        type(v) is int and 0 <= v <= LARGEST_ARGUMENT for v in arguments.values()
    )
    if not whole:
        raise BrokenWeights(
            f"{name}: an architecture's arguments are whole numbers up to {LARGEST_ARGUMENT}"
        )
    try:
        make = architectures.find(manifest["architecture"])
    except UnknownArchitecture as error:
        raise UnknownArchitecture(f"{name}: {error}") from None
    try:
        with torch.device(device):
            return make(**arguments)
    except Exception as error:  # noqa: BLE001  a stranger's class may raise anything
        raise BrokenWeights(
            f"{name}: the architecture {manifest['architecture']!r} does not take the arguments "
            f"{json.dumps(arguments)[:200]} ({type(error).__name__})"
        ) from None


def _fill(network: nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    """Load strictly; only counters, which are no floating point, may be missing."""
    wanted = network.state_dict()
    counters = {k: v for k, v in wanted.items() if not v.is_floating_point()}
    given = {**counters, **{k: t.float() for k, t in tensors.items()}}
    if any(value.is_meta for value in wanted.values()):
        given = {k: t.to("meta") for k, t in given.items()}
    network.load_state_dict(given, strict=True)
