"""`surety clean`: drop what is past its time, now."""

from typing import Annotated

import typer

from service.commands import arguments as a

NAMES = {
    "images": "kept pictures",
    "runs": "ended runs",
    "certificates": "certificates",
    "jobs": "jobs",
    "usage": "days of usage",
    "uploads": "uploads",
}


def clean(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how many would be dropped.")
    ] = False,
    as_json: a.Json = False,
) -> None:
    """Drop pictures, runs, jobs and certificates that are past their time; never votes.

    The service does the same every hour. SURETY_KEEP_* say how long what is kept.

    Exit codes: 0 done, 6 configuration or the store is away, 2 bad usage, 141 nobody reads the
    output, 1 internal error.
    """
    import asyncio
    import json

    from service.commands.stored import with_state
    from service.housekeeping import clean as drop
    from service.load_settings import load_settings

    settings = load_settings()
    dropped = asyncio.run(
        with_state(settings, lambda state: drop(state, settings, dry_run=dry_run))
    )
    if as_json:
        typer.echo(json.dumps(dropped))
        return
    counts = ", ".join(f"{count} {NAMES[what]}" for what, count in dropped.items())
    typer.echo(f"{'to be dropped' if dry_run else 'dropped'}: {counts}")
