"""`surety train finish`: say how a trained denoiser is to be used, without training it further."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.train import parts
from service.commands.train.running import friendly, new_file, save_aside
from service.errors import BadRequest
from service.terminal import say

if TYPE_CHECKING:
    from torch import nn


def finish(
    weights: Annotated[Path, typer.Argument(help="Weights file of a denoiser.")],
    out: Annotated[Path, typer.Argument(help="Weights file to write; must not exist yet.")],
    mirror: Annotated[
        bool, typer.Option("--mirror", help="The mean of both ways round; twice the time.")
    ] = False,
    again: Annotated[
        int,
        typer.Option(
            min=0,
            max=100,
            help="Clean the result once more, as if noise with a sigma of that many hundredths "
            "were left, such as 5; the time of one cleaning more.",
        ),
    ] = 0,
    contrast: Annotated[
        int, typer.Option(min=1, max=1000, help="Percent of the result's contrast, such as 130.")
    ] = 100,
) -> None:
    """Write a denoiser's weights anew, to be used in another way.

    Exit codes: 0 written, 2 bad usage or files, 1 internal error.
    """
    with friendly():
        from denoisers.finish import Finish
        from denoisers.weights import save_weights, smallest_exact_type

        new_file(out)
        network = parts.weights(weights)
        kind = str(getattr(network, "architecture", type(network).__name__))
        finished: Callable[[Finish], nn.Module] | None = getattr(network, "finished", None)
        if finished is None:
            raise BadRequest(f"the architecture {kind!r} cannot be finished: unet can")
        wanted = Finish(int(mirror), again, contrast)
        before: Finish = getattr(network, "finish", wanted)
        if before not in (Finish(), wanted):
            said = ", ".join(f"{name} {value}" for name, value in before.arguments().items())
            say(f"{weights} has been finished before ({said}): these options replace all of it")
        made = finished(wanted)
        dtype = smallest_exact_type(network)
        save_aside(lambda aside: save_weights(made, aside, dtype), out, like=weights)
        typer.echo(out)
