"""What a checkpoint holds, whose it is, and how a training goes on from it."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from denoisers.errors import BadCheckpoint
from denoisers.memory import out_of_memory
from denoisers.training import checkpoint


def digest_of(network: nn.Module) -> str:
    """Return the SHA-256 of a network's tensors, wherever they are."""
    found = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        whole = tensor.detach().cpu().contiguous().reshape(-1)
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(whole.view(torch.uint8).numpy().data)
    return found.hexdigest()


def tensors_of(
    model: nn.Module, optimizer: torch.optim.Optimizer, average: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Copy all that the next step depends on; to the CPU, since a GPU may have no room for it."""
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.items()}
    for index, entry in optimizer.state_dict()["state"].items():
        for name, value in entry.items():
            if value is not None:
                tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value)
    return {k: v.detach().to("cpu", copy=True) for k, v in tensors.items()}


def restore(
    path: Path,
    identity: Mapping[str, object],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: dict[str, torch.Tensor],
) -> tuple[int, float]:
    """Put everything where a checkpoint says it was.

    Args:
        path: the checkpoint, from any device.
        identity: what this training is; the checkpoint's must be the same.
        model: is filled.
        optimizer: is filled.
        average: is filled.

    Returns:
        Steps that are done, and seconds that they took.

    Raises:
        BadCheckpoint: if it is another training's; says in what they differ.
        RuntimeError: if the device has no memory for it, or fails.
    """
    tensors, state = checkpoint.load(path)
    _compare(path, state.get("identity"), identity)
    try:
        model.load_state_dict(_under(tensors, "model."))
        averages = _under(tensors, "average.")
        for name, value in average.items():
            value.copy_(averages[name])
        _fill(optimizer, _under(tensors, "optimizer."))
        return int(state["step"]), float(state["seconds"])
    except (RuntimeError, KeyError, ValueError, TypeError, IndexError) as error:
        if out_of_memory(error) or isinstance(error, torch.AcceleratorError):
            raise  # not the checkpoint's fault
        raise BadCheckpoint(f"{path} does not fit the network: begin anew with --fresh") from error


def _compare(path: Path, theirs: object, mine: Mapping[str, object]) -> None:
    mine = json.loads(json.dumps(mine))  # lists for tuples, as they come out of a file
    if not isinstance(theirs, dict):
        raise BadCheckpoint(f"{path} is of another version of Surety: begin anew with --fresh")
    names = [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
    if names:
        told = "; ".join(
            f"{name}: {_short(theirs.get(name))} then, {_short(mine.get(name))} now"
            for name in names
        )
        raise BadCheckpoint(
            f"{path} belongs to another training ({told}): give the same options again or another "
            "--out, or begin anew with --fresh"
        )


def _short(value: object) -> str:
    text = "none" if value in (None, [], "") else json.dumps(value).replace('"', "")
    return text if len(text) <= 120 else f"{text[:117]}..."


def _fill(optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    entries: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        index, _, field = name.partition(".")
        entries.setdefault(int(index), {})[field] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": entries})
    for parameter, entry in optimizer.state.items():
        for field, value in entry.items():
            if field != "step" and value.shape == parameter.shape:  # in its layout, as it was
                entry[field] = torch.empty_like(parameter).copy_(value)


def _under(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
