"""Checkpoints: safetensors and JSON in one file, written aside and moved into place.

No pickle, so that a checkpoint from elsewhere can at worst be refused.
"""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from denoisers.errors import BadCheckpoint


def save(path: Path, tensors: dict[str, torch.Tensor], state: dict[str, Any]) -> None:
    """Write atomically: a kill at any time leaves the old file or the new one.

    Args:
        path: the checkpoint.
        tensors: by name.
        state: JSON values.
    """
    aside = path.with_suffix(f".{os.getpid()}.tmp")
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(whole, aside, metadata={"state": json.dumps(state)})
    with aside.open("rb") as file:
        os.fsync(file.fileno())
    aside.replace(path)


def load(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what :func:`save` wrote.

    Raises:
        BadCheckpoint: if it is damaged or no checkpoint.
    """
    try:
        with safe_open(path, framework="pt") as file:
            state: dict[str, Any] = json.loads((file.metadata() or {})["state"])
            return {name: file.get_tensor(name) for name in file.keys()}, state  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise BadCheckpoint(
            f"{path} is no usable checkpoint ({type(error).__name__}): begin anew with --fresh"
        ) from None
