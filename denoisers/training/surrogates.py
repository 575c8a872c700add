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
from denoisers.memory import out_of_memory

EXPECTED = "expected package.module:function or package.module:function=argument"


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
    if text.partition("=")[0].lower().endswith(".onnx"):
        raise BadSurrogate(
            f"the surrogate {text!r} is an ONNX model, which gives no gradient to learn from: "
            "--check measures with it"
        )
    return make_module(text, "surrogate").eval().requires_grad_(False)


def make_module(text: str, what: str) -> nn.Module:
    """Import a function and let it make a torch module.

    Args:
        text: see :func:`load_surrogate`.
        what: it is called in errors.

    Raises:
        BadSurrogate: if it cannot be imported or makes no module.
    """
    target, given, argument = text.partition("=")
    module, _, function = target.partition(":")
    if not module or not function:
        raise BadSurrogate(f"the {what} {text!r} names no function; {EXPECTED}")
    try:
        make: Callable[..., object] = getattr(importlib.import_module(module), function)
        made = make(argument) if given else make()
    except (Exception, SystemExit) as error:
        raise BadSurrogate(
            f"the {what} {text!r} cannot be made ({type(error).__name__}: {error}); {EXPECTED}"
        ) from error
    if not isinstance(made, nn.Module):
        raise BadSurrogate(
            f"the {what} {text!r} makes {type(made).__name__}, no torch module; {EXPECTED}"
        )
    return made


def stability(
    surrogates: Sequence[nn.Module], clean: torch.Tensor, denoised: torch.Tensor, first: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy between each surrogate's answer to the clean picture and to the denoised.

    L_stab of Salman et al., "Denoised Smoothing", NeurIPS 2020, section 3.2: the answer to the
    clean picture is the label, so no labels are needed. The batch is dealt out among the
    surrogates: any number of them costs what one costs.

    Args:
        surrogates: score pictures on [0, 1].
        clean: float32 (N, 3, H, W) on [0, 1], in random order.
        denoised: the same shape; is clipped, as the pixels that a classifier gets are.
        first: which of the surrogates gets the first picture; counted on beyond their number.

    Returns:
        Cross-entropy (N,) and whether the answer stayed (N,), bool, both as the pictures stand.

    Raises:
        BadSurrogate: if one fails on the pictures, or does not score them.
    """
    losses = denoised.new_zeros(len(clean), dtype=torch.float32)
    stayed = torch.zeros(len(clean), dtype=torch.bool, device=clean.device)
    seen = denoised.clamp(0, 1)
    for place, surrogate in enumerate(surrogates):
        mine = slice((place - first) % len(surrogates), None, len(surrogates))
        if not len(clean[mine]):
            continue
        with torch.no_grad():
            answer = _scores(place, surrogate, clean[mine]).argmax(1)
        scores = _scores(place, surrogate, seen[mine]).float()
        losses[mine] = functional.cross_entropy(scores, answer, reduction="none")
        stayed[mine] = scores.argmax(1) == answer
    return losses, stayed


def try_out(
    surrogates: Sequence[nn.Module], size: int, device: torch.device | str = "cpu"
) -> list[int]:
    """See that each surrogate scores pictures of this size, and that they can be learnt from.

    Args:
        surrogates: to try.
        size: side of the pictures.
        device: where they are.

    Returns:
        How many classes each of them tells apart.

    Raises:
        BadSurrogate: if one cannot be used; says why.
    """
    classes = []
    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand((2, 3, size, size), generator=generator).to(device)
    for place, surrogate in enumerate(surrogates):
        leaf = pictures.clone().requires_grad_()
        scores = _scores(place, surrogate, leaf)
        gradient = None
        if scores.requires_grad:
            (gradient,) = torch.autograd.grad(scores.float().sum(), leaf, allow_unused=True)
        if gradient is None or not bool(gradient.isfinite().all()):
            raise BadSurrogate(
                f"{_name(place, surrogate)} passes no usable gradient to its pictures (is it "
                "quantised, or inside no_grad?): it cannot be learnt from"
            )
        with torch.no_grad():
            _scores(place, surrogate, pictures[:1])  # what is dealt to it may be one
        classes.append(scores.shape[1])
    return classes


def _scores(place: int, surrogate: nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    count, _, height, width = pictures.shape
    name = _name(place, surrogate)
    try:
        scores: object = surrogate(pictures)
    except Exception as error:
        if out_of_memory(error):
            raise
        raise BadSurrogate(
            f"{name} cannot score pictures of {width}×{height} ({type(error).__name__}: {error}): "
            "let it bring them to its size itself, or give another --crop"
        ) from error
    if not isinstance(scores, torch.Tensor):
        raise BadSurrogate(f"{name} returns a {type(scores).__name__}, not a tensor of scores")
    if scores.ndim != 2 or len(scores) != count or scores.shape[1] < 2:
        raise BadSurrogate(
            f"{name} returns the shape {tuple(scores.shape)} for {count} pictures: scores of at "
            f"least two classes, ({count}, C), are needed"
        )
    if not bool(scores.isfinite().all()):
        raise BadSurrogate(f"{name} returns scores that are not finite numbers (NaN or infinite)")
    return scores


def _name(place: int, surrogate: nn.Module) -> str:
    return f"surrogate {place + 1} ({type(surrogate).__name__})"
