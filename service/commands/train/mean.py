"""`surety train mean`: weights of several trainings in one, or of one that was ended early."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.train import parts
from service.commands.train.running import friendly, new_file, save_aside
from service.errors import BadRequest

if TYPE_CHECKING:
    from torch import nn


def mean(
    weights: Annotated[
        list[Path],
        typer.Argument(
            help="Weights files of denoisers of one beginning, or checkpoints, of which the moving "
            "average is taken. One alone is written as it is."
        ),
    ],
    output: Annotated[Path, typer.Option(help="Weights file to write; must not exist yet.")],
    shares: Annotated[
        str | None, typer.Option(help="Of each, such as 4,1; without it all alike.")
    ] = None,
    half: Annotated[
        bool, typer.Option("--half", help="Save the weights as bfloat16: half the file.")
    ] = False,
) -> None:
    """Write the mean of denoisers' weights.

    Exit codes: 0 written, 2 bad usage or files, 1 internal error.
    """
    with friendly():
        from denoisers.training.mean import mean as mean_of
        from denoisers.weights import save_weights, smallest_exact_type

        new_file(output)
        parted = _shares(shares, len(weights))
        networks = [_network(path) for path in weights]
        kind = parts.kind(half=half)
        if len(networks) == 1 and not half:
            kind = smallest_exact_type(networks[0])
        made = mean_of(networks, parted)
        save_aside(lambda aside: save_weights(made, aside, kind), output, like=weights[0])
        typer.echo(output)


def _network(path: Path) -> "nn.Module":
    from denoisers.training.mean import averaged, is_checkpoint

    return averaged(path) if is_checkpoint(path) else parts.weights(path)


def _shares(text: str | None, count: int) -> list[float]:
    if text is None:
        return [1.0] * count
    try:
        shares = [float(part) for part in text.split(",")]
    except ValueError:
        shares = []
    if len(shares) != count or not all(0 < share < float("inf") for share in shares):
        raise BadRequest(
            f"--shares {text[:40]!r} are not {count} numbers above 0, one for each file: write 4,1"
        )
    return shares
