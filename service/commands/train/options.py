"""Options that the kinds of training share, and how texts of options are read."""

import math
from pathlib import Path
from typing import Annotated

import typer

from service.errors import BadRequest

MOST_STEPS = 10**9
MOST_SEED = 10**12  # the generators of the steps are seeded with a million times as much

Seed = Annotated[int, typer.Option(help="The same seed gives the same curve.")]
Batch = Annotated[int, typer.Option(min=1, help="Pictures per step.")]
BatchByCrop = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Pictures per step.",
        show_default="128 of 32×32, fewer of a larger --crop",
    ),
]
Mixed = Annotated[
    bool,
    typer.Option("--mixed", help="bfloat16 where safe and the hardware has it: twice as fast."),
]
Resume = Annotated[
    bool, typer.Option("--resume/--fresh", help="Go on from the checkpoint in --out.")
]
Out = Annotated[Path, typer.Option(help="Folder for checkpoint, log, curve, weights and figures.")]


def check_seed(seed: int) -> None:
    """Refuse a seed that the generators do not take.

    Raises:
        BadRequest: if it is too large.
    """
    if abs(seed) > MOST_SEED:
        raise BadRequest(f"--seed must be a whole number within ±{MOST_SEED:,}")


def parse_range(text: str, option: str = "--sigma") -> tuple[float, float]:
    """Read a range of noise levels: "0.05,1.0", or one level.

    Args:
        text: as it was given.
        option: that it was given for.

    Raises:
        BadRequest: if it is something else.
    """
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (1, 2) or not all(map(math.isfinite, values)):
        raise BadRequest(
            f"{option} {text[:40]!r} is no range: write 0.05,1.0, or one level as 0.25"
        )
    return values[0], values[-1]


def parse_arguments(texts: list[str]) -> dict[str, int]:
    """Read --set: "width=48", any number of times.

    Raises:
        BadRequest: if one is something else, or given twice.
    """
    found: dict[str, int] = {}
    for text in texts:
        name, _, value = (part.strip() for part in text.partition("="))
        if not name.isidentifier() or not (value.isascii() and value.isdecimal()):
            raise BadRequest(f"--set {text[:40]!r} must be a name and a whole number: width=48")
        if name in found:
            raise BadRequest(f"--set gives {name!r} twice")
        found[name] = int(value[:20])
    return found
