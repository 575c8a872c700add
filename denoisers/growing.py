"""Makes a trained U-shaped network larger without changing what it computes, to train it further.

After Chen, Goodfellow, Shlens, "Net2Net: accelerating learning via knowledge transfer", ICLR 2016,
in another way: what is added is drawn afresh, and nothing that was there listens to it yet. So the
larger network answers as the smaller one did, and its new parts learn from the first step on.
"""

from collections.abc import Mapping

import torch
from torch import nn

from denoisers.errors import NotUsable


def grow(old: nn.Module, new: nn.Module) -> None:
    """Fill a fresh network with a smaller one of its kind, so that it computes the same.

    Args:
        old: with residual blocks named like …N.first and …N.second.
        new: of the same kind, each of its numbers at least as large; is changed.

    Raises:
        NotUsable: if `new` is smaller somewhere.
    """
    kept: Mapping[str, torch.Tensor] = old.state_dict()
    layers = dict(new.named_modules())
    if missing := kept.keys() - new.state_dict().keys():
        raise NotUsable(f"a network can only grow: {min(missing)} has no place in the new one")
    with torch.no_grad():
        for name, fresh in new.named_parameters():
            layer, _, kind = name.rpartition(".")
            if name in kept:
                turned = isinstance(layers[layer], nn.ConvTranspose2d) and kind == "weight"
                _fill(fresh, kept[name], turned=turned)
            elif layer.endswith(".second"):
                fresh.zero_()  # a block more adds nothing


def _fill(fresh: torch.Tensor, kept: torch.Tensor, *, turned: bool) -> None:
    """Put a tensor into the corner of a larger one; old outputs do not listen to new inputs."""
    fits = zip(kept.shape, fresh.shape, strict=True)
    if any(before > after for before, after in fits):
        raise NotUsable(f"a network can only grow: {tuple(kept.shape)} to {tuple(fresh.shape)}")
    if kept.ndim > 1:
        outputs, inputs = (1, 0) if turned else (0, 1)
        old_outputs = fresh.narrow(outputs, 0, kept.shape[outputs])
        count = fresh.shape[inputs] - kept.shape[inputs]
        old_outputs.narrow(inputs, kept.shape[inputs], count).zero_()
    fresh[tuple(slice(side) for side in kept.shape)] = kept
