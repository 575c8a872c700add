"""Builds the network that a weights file names, and fills it with the file's tensors, strictly."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from denoisers import architectures
from denoisers.errors import BrokenWeights, NotUsable, UnknownArchitecture

LARGEST_ARGUMENT = 1024
COUNTER = "num_batches_tracked"  # a batch norm's, which is not needed any more
TOLD = 3  # tensors that a message names

Tensors = Mapping[str, torch.Tensor]


def checked_arguments(name: str, arguments: object) -> dict[str, int]:
    """Return an architecture's arguments.

    Raises:
        BrokenWeights: if they are not names with whole numbers.
    """
    if isinstance(arguments, dict) and all(
        isinstance(key, str) and type(value) is int and 0 <= value <= LARGEST_ARGUMENT
        for key, value in arguments.items()
    ):
        return arguments
    raise BrokenWeights(
        f"{name}: an architecture's arguments are names with whole numbers from 0 to "
        f"{LARGEST_ARGUMENT}"
    )


def filled(name: str, manifest: Mapping[str, Any], tensors: Tensors) -> nn.Module:
    """Build what a manifest names, and fill it.

    Args:
        name: of the file, for errors.
        manifest: with "architecture" and "arguments".
        tensors: by name; floating point as float32.

    Returns:
        The network, in float32.

    Raises:
        BrokenWeights: if the tensors do not fit; before arguments that are too large cost memory.
        UnknownArchitecture: if the architecture is not installed.
        NotUsable: if the architecture's package is broken.
    """
    arguments = checked_arguments(name, manifest["arguments"])
    try:
        make = architectures.find(manifest["architecture"])
    except UnknownArchitecture as error:
        raise UnknownArchitecture(f"{name}: {error}") from None
    try:
        with torch.device("meta"):
            shapes = _states(make(**arguments))
    except Exception:  # noqa: BLE001, S110  not every class can be built so; then it is below
        pass
    else:
        _compare(name, shapes, tensors)  # before arguments that are too large can cost memory
    network = _build(name, manifest["architecture"], make, arguments)
    _compare(name, _states(network), tensors)
    missing = [k for k in _states(network) if k not in tensors and not k.endswith(COUNTER)]
    if missing:
        _see_alike(name, network, _build(name, manifest["architecture"], make, arguments), missing)
    try:
        network.load_state_dict({**network.state_dict(), **tensors}, strict=True)
    except Exception as error:  # noqa: BLE001  a stranger's class may read them in its own way
        raise BrokenWeights(
            f"{name}: the architecture does not take the tensors ({type(error).__name__})"
        ) from None
    return network


def _see_alike(name: str, one: nn.Module, other: nn.Module, keys: Sequence[str]) -> None:
    """Refuse that whole numbers are missing which each process would draw anew."""
    first, second = _states(one), _states(other)
    for key in keys:
        if not torch.equal(first[key], second[key]):
            raise BrokenWeights(f"{name} lacks {key}, which is drawn at random")


def _build(
    name: str, architecture: str, make: Callable[..., nn.Module], arguments: Mapping[str, int]
) -> nn.Module:
    try:
        network = make(**arguments)
    except Exception as error:  # noqa: BLE001  a stranger's class may raise anything
        raise BrokenWeights(
            f"{name}: the architecture {architecture!r} does not take the arguments "
            f"{json.dumps(arguments)[:200]} ({type(error).__name__})"
        ) from None
    calls_itself = getattr(network, "architecture", None)
    if not isinstance(network, nn.Module) or calls_itself != architecture:
        raise NotUsable(
            f"the architecture {architecture!r} must be a torch module whose attribute "
            f"`architecture` is this name, not {type(network).__name__} and {calls_itself!r}"
        )
    return network.float()


def _states(network: nn.Module) -> dict[str, torch.Tensor]:
    return {k: v for k, v in network.state_dict().items() if isinstance(v, torch.Tensor)}


def _compare(name: str, wanted: Tensors, given: Tensors) -> None:
    """Refuse another set of tensors. Only whole numbers may be missing, see `_see_alike`."""
    wrong = [f"lacks {k}" for k, t in wanted.items() if t.is_floating_point() and k not in given]
    for key, tensor in given.items():
        if key not in wanted:
            wrong.append(f"has {key[:60]!r}, which is not of the architecture")
        elif tensor.shape != wanted[key].shape:
            shapes = f"{tuple(tensor.shape)} and not {tuple(wanted[key].shape)}"
            wrong.append(f"has {key} of the shape {shapes}")
        elif tensor.dtype != _as_read(wanted[key].dtype):
            wrong.append(f"has {key} of the type {tensor.dtype}")
    if wrong:
        more = f"; and {len(wrong) - TOLD} more" if len(wrong) > TOLD else ""
        raise BrokenWeights(
            f"{name} does not fit its architecture and arguments: it {'; '.join(wrong[:TOLD])}"
            f"{more}"
        )


def _as_read(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if dtype.is_floating_point else dtype
