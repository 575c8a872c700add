"""What `surety train denoiser` is put together from."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.commands.train.running import counting, save_aside
from service.errors import BadRequest

if TYPE_CHECKING:
    import torch
    from torch import nn

    from denoisers.training.checks import Check
    from denoisers.training.denoise_task import DenoiseTask
    from denoisers.training.pictures import Pictures


def device(text: str) -> "torch.device":
    """Return the device of --device.

    Raises:
        BadRequest: if it is unknown or not here.
    """
    from denoisers.cuda_graphs import compute_as_named
    from denoisers.device import choose
    from denoisers.errors import NotUsable

    try:
        found = choose(text)
    except NotUsable as error:
        raise BadRequest(str(error).replace("SURETY_DEVICE", "--device")) from None
    if found.type == "cuda":
        compute_as_named()  # the fastest kernels sum in any order: no two curves were alike
    return found


def search_current_directory() -> None:
    """Let code that options name lie where the user stands, as `python -m` does.

    Not without such code: torch imports modules of Python while it trains, and would find others
    of the same name there.
    """
    here = os.getcwd()
    if not {"", here} & set(sys.path[:1]):
        sys.path.insert(0, here)


def surrogates(texts: Sequence[str]) -> "list[nn.Module]":
    """Import the classifiers of --surrogate.

    Raises:
        BadSurrogate: if one cannot be imported.
    """
    from denoisers.training.surrogates import load_surrogate

    if texts:
        search_current_directory()
    return [load_surrogate(text) for text in texts]


def weights(path: Path) -> "nn.Module":
    """Read a weights file.

    Raises:
        DenoiserError: if it cannot be used; names it as it was given, since those of all trainings
            have the same name.
    """
    from denoisers.errors import BrokenWeights
    from denoisers.weights import load_weights

    try:
        return load_weights(path)[0]
    except BrokenWeights as error:
        raise BrokenWeights(str(error).replace(path.name, str(path), 1)) from error


def network(
    architecture: str, arguments: Mapping[str, int], init: Path | None, seed: int
) -> "nn.Module":
    """Make the network to train: fresh, from a weights file, or from one and grown.

    Raises:
        BadRequest: if the architecture does not take the arguments.
        DenoiserError: if there is no such architecture, or the file cannot be used.
    """
    import torch
    from torch import nn

    from denoisers import architectures
    from denoisers.filling import LARGEST_ARGUMENT

    torch.manual_seed(seed)
    if any(value > LARGEST_ARGUMENT for value in arguments.values()):
        raise BadRequest(f"--set: numbers up to {LARGEST_ARGUMENT} are taken")
    if init is None:
        made = _made(architectures.find(architecture), architecture, arguments)
    else:
        made = weights(init)
        if arguments:
            architecture = str(getattr(made, "architecture", type(made).__name__))
            if not hasattr(made, "grown"):
                raise BadRequest(f"the architecture {architecture!r} cannot grow: leave --set out")
            made = _made(partial(_grown, made), architecture, arguments)
    if not isinstance(made, nn.Module):
        raise BadRequest(f"the architecture {architecture!r} makes no torch module")
    return made


def _grown(network: Any, **arguments: int) -> "nn.Module":  # noqa: ANN401  a stranger's, perhaps
    larger: nn.Module = network.grown(arguments)
    return larger


def _made(make: "Callable[..., nn.Module]", name: str, arguments: Mapping[str, int]) -> "nn.Module":
    from denoisers.errors import DenoiserError

    try:
        return make(**arguments)
    except DenoiserError:
        raise
    except Exception as error:
        given = " ".join(f"{name}={value}" for name, value in arguments.items()) or "none"
        raise BadRequest(
            f"the architecture {name!r} does not take the arguments given with --set "
            f"({given}): {type(error).__name__}: {error}"
        ) from error


def checks(texts: Sequence[str], size: int, where: "torch.device") -> "list[Check]":
    """Return the classifiers of --check.

    Raises:
        BadRequest: if two have one name, which the figures could not tell apart.
        BadCheck: if one cannot be used.
        BadSurrogate: if code cannot be imported.
    """
    found = [_check(text, size, where) for text in texts]
    names = [one.name for one in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise BadRequest(f"--check gives {min(twice)} twice: rename one, or leave it out")
    return found


def as_checks(
    texts: Sequence[str], modules: "Sequence[nn.Module]", size: int, where: "torch.device"
) -> "list[Check]":
    """Return surrogates as classifiers that measure, on squares of one size."""
    from denoisers.training.checks import TorchCheck

    named = dict(zip(texts, modules, strict=True))
    return [TorchCheck(text, module, size, where) for text, module in named.items()]


def _check(text: str, size: int, where: "torch.device") -> "Check":
    from denoisers.training.checks import OnnxCheck

    target = text.partition("=")[0]
    if ":" in target and not target.lower().endswith(".onnx") and not Path(text).exists():
        return as_checks([text], surrogates([text]), size, where)[0]
    return OnnxCheck(Path(text))


def kind(*, half: bool) -> "torch.dtype":
    """Return the type in which weights are saved."""
    import torch

    return torch.bfloat16 if half else torch.float32


def save_and_measure(
    task: "DenoiseTask",
    out: Path,
    held_out: "Pictures",
    checks: "Sequence[Check]",
    *,
    half: bool,
) -> dict[str, Any]:
    """Write the weights, and measure what is in the file.

    Returns:
        Figures: PSNR, answers kept, what it was trained with.
    """
    import torch

    from denoisers.training.quality import kept, quality, shown
    from denoisers.weights import load_weights, save_weights

    path = out / "weights.safetensors"
    save_aside(lambda aside: save_weights(task.model, aside, kind(half=half)), path)
    model, sha256 = load_weights(path)
    model = model.to(  # type: ignore[call-overload]
        task.device, memory_format=torch.channels_last
    )
    levels = shown(*task.objective.sigmas)
    with counting("measuring PSNR") as watch:
        decibels = quality(model, held_out, levels, watch=watch)
    shares: dict[str, dict[str, float]] = {}
    for one in checks:
        with counting(f"measuring {one.name}") as watch:
            shares |= kept(model, held_out, [one], levels, watch=watch)
    return {
        "weights_sha256": sha256,
        "half": half,
        "psnr": decibels,
        "kept": shares,
        "held_out": len(held_out),
        "trained": task.identity,
    }
