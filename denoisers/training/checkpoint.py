"""Checkpoints: safetensors and JSON in one file, written aside and moved into place.

No pickle, so that a checkpoint from elsewhere can at worst be refused.
"""

import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open

from denoisers.errors import BadCheckpoint
from denoisers.training.files import write_whole


def save(path: Path, tensors: dict[str, torch.Tensor], state: dict[str, Any]) -> None:
    """Write atomically: a kill or a full disk leaves the old file or the new one.

    Args:
        path: the checkpoint.
        tensors: by name, on any device.
        state: JSON values.

    Raises:
        CannotSave: if there is no room for it.
    """
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_whole(path, safetensors.torch.save(whole, metadata={"state": json.dumps(state)}))


def load(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what :func:`save` wrote, into the memory of the CPU.

    Raises:
        BadCheckpoint: if it is damaged or no checkpoint.
    """
    try:
        with safe_open(path, framework="pt") as file:
            state: dict[str, Any] = dict(json.loads((file.metadata() or {})["state"]))
            return {name: file.get_tensor(name) for name in file.keys()}, state  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise BadCheckpoint(
            f"{path} is no usable checkpoint ({type(error).__name__}): begin anew with --fresh"
        ) from None


def state_of(path: Path) -> dict[str, Any]:
    """Read the state alone. Empty if there is no usable checkpoint."""
    try:
        with safe_open(path, framework="pt") as file:
            return dict(json.loads((file.metadata() or {})["state"]))
    except (SafetensorError, OSError, KeyError, ValueError, TypeError):
        return {}
