"""Surrogates: classifiers whose answers a denoiser learns to keep.

A surrogate is a torch module that scores pictures on [0, 1]. Importing code to get it is asked
for on the command line, in so many words; nothing is ever unpickled here.
"""

import importlib
from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional

from denoisers.errors import BadSurrogate


def load_surrogate(text: str) -> nn.Module:
    """Import a surrogate.

    Args:
        text: `package.module:function` or `package.module:function=argument`; called with the
            argument, it returns a module from float32 (N, 3, H, W) on [0, 1] to logits (N, C).

    Returns:
        The module, evaluating, its weights fixed.

    Raises:
        BadSurrogate: if it cannot be imported or is no module.
    """
    target, given, argument = text.partition("=")
    module, _, function = target.partition(":")
    try:
        make: Callable[..., object] = getattr(importlib.import_module(module), function)
        made = make(argument) if given else make()
    except Exception as error:
        raise BadSurrogate(
            f"the surrogate {text!r} cannot be made ({type(error).__name__}: {error}); expected "
            "package.module:function or package.module:function=argument"
        ) from error
    if not isinstance(made, nn.Module):
        raise BadSurrogate(f"the surrogate {text!r} is a {type(made).__name__}, no torch module")
    return made.eval().requires_grad_(False)


def stability(
    surrogates: Sequence[nn.Module], clean: torch.Tensor, denoised: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy between each surrogate's answer to the clean picture and to the denoised.

    L_stab of Salman et al., "Denoised Smoothing", NeurIPS 2020, section 3.2: the answer to the
    clean picture is the label, so no labels are needed. The batch is dealt out among the
    surrogates: any number of them costs what one costs.

    Args:
        surrogates: score pictures on [0, 1].
        clean: float32 (N, 3, H, W) on [0, 1], in random order.
        denoised: the same shape; is clipped, as the pixels that a classifier gets are.

    Returns:
        Cross-entropy (N,) and whether the answer stayed (N,), bool.
    """
    losses, stayed = [], []
    seen = denoised.clamp(0, 1)
    for place, surrogate in enumerate(surrogates):
        mine = slice(place, None, len(surrogates))
        if not len(clean[mine]):
            continue
        with torch.no_grad():
            answer = surrogate(clean[mine]).argmax(1)
        scores = surrogate(seen[mine]).float()
        losses.append(functional.cross_entropy(scores, answer, reduction="none"))
        stayed.append(scores.argmax(1) == answer)
    return torch.cat(losses), torch.cat(stayed)
