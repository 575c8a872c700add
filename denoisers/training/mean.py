"""The mean of networks that one training or several have made of one beginning.

Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves accuracy
without increasing inference time", ICML 2022: what each has gained is mostly kept.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from denoisers.errors import BadCheckpoint, BrokenWeights, NotUsable
from denoisers.filling import COUNTER, filled
from denoisers.training import checkpoint


def is_checkpoint(path: Path) -> bool:
    """Say whether a file is a training's checkpoint."""
    return path.is_file() and "identity" in checkpoint.state_of(path)


def averaged(path: Path) -> nn.Module:
    """Return the moving average of a training's weights, as the end of it would have saved them.

    Args:
        path: the checkpoint of a denoiser's training.

    Raises:
        BadCheckpoint: if it is damaged, or another network's.
        DenoiserError: if its architecture is not installed.
    """
    tensors, state = checkpoint.load(path)
    found: Any = state.get("identity")
    told: dict[str, Any] = found if isinstance(found, dict) else {}
    name, _, arguments = str(told.get("network", "")).partition(" ")
    if told.get("task") != "denoiser" or not arguments:
        raise BadCheckpoint(f"{path} is no checkpoint of a denoiser's training")
    given = {k.removeprefix("average."): v for k, v in tensors.items() if k[:8] == "average."}
    given = {k: v.float() if v.is_floating_point() else v for k, v in given.items()}
    try:
        manifest = {"architecture": name, "arguments": json.loads(arguments)}
        return filled(str(path), manifest, given).eval()
    except (BrokenWeights, ValueError, RecursionError) as error:
        raise BadCheckpoint(f"{path} does not fit the network {name!r} ({error})") from error


@torch.no_grad()
def mean(networks: Sequence[nn.Module], shares: Sequence[float]) -> nn.Module:
    """Return the weighted mean of networks of one architecture, with the arguments of the first.

    Args:
        networks: at least one; the first is changed.
        shares: of each, more than 0; they need not add up to 1.

    Raises:
        NotUsable: if they do not fit each other.
    """
    first, *others = networks
    total, known = sum(shares), first.state_dict()
    for other in others:
        same = {name: value.shape for name, value in other.state_dict().items()}
        kinds = {getattr(n, "architecture", type(n).__name__) for n in (first, other)}
        if len(kinds) > 1 or same != {name: value.shape for name, value in known.items()}:
            raise NotUsable("the networks are of different architectures or sizes")
        if getattr(other, "arguments", None) != getattr(first, "arguments", None):
            raise NotUsable("the networks have different arguments, or are finished differently")
    states = [network.state_dict() for network in networks]
    for name, value in known.items():
        whole = not value.is_floating_point() and not name.endswith(COUNTER)
        if whole and any(not torch.equal(value, state[name]) for state in states):
            raise NotUsable(f"the networks have different whole numbers {name!r}, without a mean")
    for name, value in known.items():
        if value.is_floating_point():
            parts = [s[name].double() * (w / total) for s, w in zip(states, shares, strict=True)]
            known[name] = torch.stack(parts).sum(0).to(value.dtype)
    first.load_state_dict(known)
    return first
