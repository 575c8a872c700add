"""Arguments that the commands about jobs share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

Priority = Literal["low", "normal", "high"]
Allocation = Literal["in_order", "closest"]

Id = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="Of the job, or as many of its first digits as are clear; or last."
    ),
]
MaxCost = Annotated[
    float | None,
    typer.Option(help="US dollars that all calls of the job may cost together; never passed."),
]
Rate = Annotated[
    str | None,
    typer.Option(
        metavar="N/s",
        help="Calls or pictures a second, whichever the provider counts, beside the account's own "
        "limit: 20, 20/s, 600/min.",
    ),
]
JobPriority = Annotated[
    Priority,
    typer.Option(help="Share of the workers where several jobs wait: low 1, normal 4, high 16."),
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write it there; - is standard output.")
]
Force = Annotated[bool, typer.Option("--force", help="Let --output replace a file.")]
NoWork = Annotated[
    bool, typer.Option("--no-work", help="Only watch, even if no worker works on the job.")
]
