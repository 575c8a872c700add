"""`surety train plot`: draw the curve of a run again."""

from pathlib import Path
from typing import Annotated

import typer

from service.commands.train.running import friendly
from service.errors import BadRequest


def plot(
    run: Annotated[Path, typer.Argument(help="The --out of a training; one that runs will do.")],
) -> None:
    """Draw loss, metric and learning rate of a run into its curve.svg.

    Exit codes: 0 drawn, 2 bad usage or no log there, 1 internal error.
    """
    with friendly():
        from denoisers.training import checkpoint
        from denoisers.training.loop import CHECKPOINT, CURVE, LOG, draw_curve

        if not (run / LOG).is_file():
            raise BadRequest(f"{run} holds no {LOG}: name the --out of a training")
        draw_curve(run, str(checkpoint.state_of(run / CHECKPOINT).get("metric", "metric")))
        typer.echo(run / CURVE)
